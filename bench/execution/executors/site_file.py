"""The site file of `--site`: how jobs are submitted to a Slurm cluster, and what they get."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

import msgspec

from bench.errors import UnknownNameError, UsageError
from bench.system.files import read_toml

CLOCK = re.compile(r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)")


@dataclass(frozen=True)
class Site:
    """What a site file may hold: how jobs are submitted, and what they get."""

    cluster: Literal["slurm", "local", "debug"] = "slurm"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    time: int | str | None = None  # minutes, or as Slurm writes it: [D-]HH:MM:SS
    jobs: int = 1  # that run side by side, as far as is known
    cpus: int = 0
    gpus: int = 0
    gres: str | None = None
    mem: str | None = None
    setup: tuple[str, ...] = ()  # lines of shell, run in the job before Python
    sbatch: Mapping[str, str | int | bool] = field(default_factory=dict)  # its other options

    @property
    def minutes(self) -> int | None:
        """Return the time limit of a job, if there is one."""
        if not isinstance(self.time, str):
            return self.time
        if (found := CLOCK.fullmatch(self.time)) is None:
            raise UsageError(f"time must be minutes or [D-]HH:MM:SS; got {self.time!r}.")
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return (days * 24 + hours) * 60 + minutes + math.ceil(seconds / 60)


def read_site(path: Path | None) -> Site:
    """Read a site file; `UsageError` says what is wrong in it."""
    if path is None:
        return Site()
    raw = read_toml(path, "--site")
    try:
        known = [one.name for one in fields(Site)]
        for key in raw:
            if key not in known:
                raise UnknownNameError("key", key, known)
        site = msgspec.convert(raw, Site)
        if site.minutes is not None and site.minutes < 1:
            raise UsageError(f"time must be a minute or more; got {site.time!r}.")
    except (msgspec.ValidationError, UsageError) as error:
        raise UsageError(f"--site {path}: {str(error).rstrip('.')}.") from error
    return site
