"""The site file of `--site`: how jobs are submitted to a Slurm cluster, and their resources."""

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
    """The options of a site file."""

    cluster: Literal["slurm", "local", "debug"] = "slurm"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    time: int | str | None = None  # minutes, or in Slurm's format [D-]HH:MM:SS
    jobs: int = 1  # expected to run at the same time
    cpus: int = 0
    gpus: int = 0
    gres: str | None = None
    mem: str | None = None
    setup: tuple[str, ...] = ()  # shell lines, run in the job before Python
    sbatch: Mapping[str, str | int | bool] = field(default_factory=dict)  # further options

    @property
    def minutes(self) -> int | None:
        """Return the time limit of a job; None: not given."""
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
