"""The processor time that a container may use: the quotas of its control groups (Linux).

Docker's `--cpus` and Kubernetes' limits bind a process to no cores: it sees them all and is stopped
for the rest of each period once its time is used up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

SYSTEM = Path("/")


def processor_quota(root: Path = SYSTEM) -> float | None:
    """Return how many processors' time this process may use, the least that a group of its allows;
    `None` without a limit. Looks below `root`."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found: list[float] = []
    for line in lines:
        # `0::/a/b` in version 2, `4:cpu,cpuacct:/a/b` in version 1
        _, controllers, path = line.split(":", 2)
        if not controllers:
            for mount in ("sys/fs/cgroup", "sys/fs/cgroup/unified"):
                found += _quotas(root / mount, path, _version_2)
        elif "cpu" in controllers.split(","):
            found += _quotas(root / "sys/fs/cgroup" / controllers, path, _version_1)
            found += _quotas(root / "sys/fs/cgroup/cpu", path, _version_1)
    return min(found, default=None)


def _quotas(mount: Path, path: str, read: Callable[[Path], float | None]) -> Iterator[float]:
    """The limits of the group at `path` and of those that it is in. In a container the mount may be
    the group itself, so that `path` is not below it."""
    parts = [part for part in PurePosixPath(path).parts if part not in ("/", "..")]
    for depth in range(len(parts) + 1):
        try:
            quota = read(mount.joinpath(*parts[:depth]))
        except (OSError, ValueError):
            continue
        if quota is not None:
            yield quota


def _version_2(group: Path) -> float | None:
    quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
    return None if quota == "max" else int(quota) / int(period)


def _version_1(group: Path) -> float | None:
    quota, period = (
        int((group / f"cpu.cfs_{name}_us").read_text(encoding="ascii"))
        for name in ("quota", "period")
    )
    return None if quota < 0 else quota / period
