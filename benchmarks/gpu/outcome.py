"""What one side measured of one backbone; plain data, the same for both sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Side = Literal["harness", "PyTorch"]
Status = Literal["ok", "failed", "timed out", "not reached", "skipped"]


@dataclass(frozen=True)
class Outcome:
    """Figures by name; a figure that was not measured is not there. `reason` unless all is well."""

    status: Status
    reason: str = ""
    seconds: float = 0.0  # that this part took, start of its process included
    figures: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)


NOT_REACHED = Outcome("not reached", "the time was used up before it")


def last_line(output: str) -> str:
    """What a process said last, which of an error is the reason."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
