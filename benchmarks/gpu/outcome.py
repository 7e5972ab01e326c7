"""The result of one backbone on one side, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Side = Literal["harness", "PyTorch"]
Status = Literal["ok", "failed", "timed out", "not reached", "skipped"]


@dataclass(frozen=True)
class Outcome:
    """Figures by name, of which missing ones were not measured, and the reason of a failure."""

    status: Status
    reason: str = ""
    seconds: float = 0.0  # that this part took, start of its process included
    figures: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)


NOT_REACHED = Outcome("not reached", "the time was used up before it")


def last_line(output: str) -> str:
    """Return the last line of a process's output, which is the reason of an error."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
