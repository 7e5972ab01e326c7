"""What a user sees of trials that train at the same time."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from rich.console import Console
from test_run import plan

from bench.display import Display
from bench.records import SCHEMA
from bench.types import Epoch, Record

EPOCH = Epoch(loss=0.5, accuracy=0.75, val_loss=0.4, val_accuracy=0.8, seconds=1.0)


def test_trials_side_by_side_are_not_mixed_up(tmp_path: Path) -> None:
    shown = StringIO()
    both = plan("one", "two")
    first, second = both.trials
    console = Console(file=shown, width=200)
    with Display(console, both, both.trials, tmp_path, quiet=False) as display:
        for done in range(3):
            display.stage(first, "frozen part, train", done, 3)
            display.stage(second, "frozen part, test", done, 3)
        display.epoch(first, "head", 1, 1, EPOCH)
        display.record(Record(SCHEMA, first, "failed", "it broke"))
    lines = shown.getvalue().splitlines()
    assert lines == [
        "one: frozen part, train",
        "two: frozen part, test",
        "one: head 1/1  loss 0.5000  accuracy 0.750  validation 0.4000 0.800",
        "one failed: it broke",
    ]


def test_each_has_a_bar_until_it_ends(tmp_path: Path) -> None:
    both = plan("one", "two")
    first, second = both.trials
    console = Console(file=StringIO(), width=200, force_terminal=True)

    def rows(display: Display) -> list[str]:
        seen = Console(file=StringIO(), width=200)
        seen.print(display._render())
        written = seen.file.getvalue()  # type: ignore[attr-defined]
        return [line.split("  ")[0].strip() for line in written.splitlines() if ":" in line]

    with Display(console, both, both.trials, tmp_path, quiet=False) as display:
        display.stage(first, "head", 1, 2)
        display.stage(second, "building")
        bars = " ".join(rows(display))
        assert "one: head" in bars
        assert "two: building" in bars
        display.record(Record(SCHEMA, first, "failed", "it broke"))
        bars = " ".join(rows(display))
        assert "one: head" not in bars
        assert "two: building" in bars
