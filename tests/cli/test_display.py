"""The display of trials that train at the same time, and of losses as blocks."""

from __future__ import annotations

import sys
from dataclasses import replace
from io import StringIO
from math import inf, nan
from pathlib import Path
from unittest.mock import Mock

import pytest
from plans import backbone, plan, plan_of
from rich.console import Console

from bench.analysis.format import estimate
from bench.cli.api import NotebookDisplay
from bench.cli.display import Display, sparkline
from bench.cli.run_display import _backbone_table
from bench.execution.plan import Plan
from bench.execution.progress import ProgressTracker, make_schedule
from bench.protocol import Phase
from bench.storage.records import SCHEMA
from bench.training.events import EpochEnded, RecordMade, RunProgress, StageProgress, TrialEnded
from bench.types import Epoch, Record, WeightsUsed

EPOCH = Epoch(loss=0.5, accuracy=0.75, val_loss=0.4, val_accuracy=0.8, seconds=1.0)


def _progress(p: Plan, folder: Path, display: Display) -> ProgressTracker:
    return ProgressTracker(p, folder, make_schedule(p, p.trials), display)


def _seen(display: Display) -> list[str]:
    seen = Console(file=StringIO(), width=200)
    seen.print(display._render())
    return seen.file.getvalue().splitlines()  # type: ignore[attr-defined, no-any-return]


def test_simultaneous_trials_are_shown_separately(tmp_path: Path) -> None:
    shown = StringIO()
    both = plan("one", "two")
    first, second = both.trials
    with Display(Console(file=shown, width=200)) as display:
        tell = _progress(both, tmp_path, display)
        for done in range(3):
            tell(StageProgress(first, "frozen part, train", done, 3))
            tell(StageProgress(second, "frozen part, test", done, 3))
        tell(EpochEnded(first, "head", 1, 1, EPOCH))
        tell(RecordMade(Record(SCHEMA, first, "failed", "it broke")))
    lines = shown.getvalue().splitlines()
    assert lines == [
        "one: frozen part, train",
        "two: frozen part, test",
        "one: head 1/1  loss 0.5000  accuracy 0.750  validation 0.4000 0.800",
        "one failed: it broke",
    ]


def test_the_time_left_counts_the_measuring_and_the_reports(tmp_path: Path) -> None:
    both = plan("one", "two")
    console = Console(file=StringIO(), width=200, force_terminal=True)

    def left(display: Display) -> str:
        line = next(row for row in reversed(_seen(display)) if "whole run" in row)
        return line.partition("about ")[2].partition(" left")[0]

    schedule = make_schedule(both, both.trials)
    # 60 s each, as they declare no cost. To measure a backbone: 4 s to make it again, 4 to
    # prepare it, 0.1 for the two test images; 3.2 for 64 single images, twice 0.5 for larger
    # batches, 1.5 to warm up. 10 s for the reports.
    assert schedule.total == pytest.approx(2 * 60 + 2 * (4 + 4 + 0.1 + 3.2 + 1 + 1.5) + 10)
    with Display(console) as display:
        tell = _progress(both, tmp_path, display)
        assert left(display) == estimate(schedule.total)
        for trial in both.trials:
            tell(RecordMade(Record(SCHEMA, trial, "failed", "it broke")))
        assert left(display) == estimate(schedule.measuring + 10)
        text = "timing keras, all in turns"
        tell(StageProgress(both.trials[0], text, 999, 1000, "measuring"))
        assert left(display) == "10 s"


def test_each_trial_has_a_bar_until_it_ends(tmp_path: Path) -> None:
    both = plan("one", "two")
    first, second = both.trials
    console = Console(file=StringIO(), width=200, force_terminal=True)

    def rows(display: Display) -> list[str]:
        return [line.split("  ")[0].strip() for line in _seen(display) if ":" in line]

    with Display(console) as display:
        tell = _progress(both, tmp_path, display)
        tell(StageProgress(first, "head", 1, 2, "phase"))
        tell(StageProgress(second, "building"))
        bars = " ".join(rows(display))
        assert "one: head" in bars
        assert "two: building" in bars
        tell(RecordMade(Record(SCHEMA, first, "failed", "it broke")))
        bars = " ".join(rows(display))
        assert "one: head" not in bars
        assert "two: building" in bars


def test_a_phase_that_stops_early_counts_as_finished_once_the_next_begins(tmp_path: Path) -> None:
    one = plan("one")
    (trial,) = one.trials
    phases = (Phase("head", 100, 1e-3), Phase("fine-tune", 10, 1e-5))
    one = replace(one, protocol=replace(one.protocol, phases=phases))
    tell = ProgressTracker(one, tmp_path, make_schedule(one, one.trials), lambda event: None)
    tell(EpochEnded(trial, "head", 100, 1, EPOCH))
    tell(StageProgress(trial, "head", 1, 2, "phase"))
    # Half is the frozen part's, a quarter each phase's.
    assert tell._time._running[trial.key] == pytest.approx(0.5 + 0.25 * 1.5 / 100)
    tell(StageProgress(trial, "fine-tune", 1, 2, "phase"))
    assert tell._time._running[trial.key] == pytest.approx(0.75 + 0.25 * 0.5 / 10)


def test_random_weights_have_times_and_no_accuracy() -> None:
    (trial,) = plan("one").trials
    weights = WeightsUsed("random init", "", "")
    shown = StringIO()
    with Display(Console(file=shown, width=200)) as display:
        display(EpochEnded(trial, "head", 1, 1, EPOCH, random=True))
        display(TrialEnded(Record(SCHEMA, trial, "ok", weights=weights), 0.5, seconds=12.0))
    assert shown.getvalue() == (
        "one: head 1/1  loss 0.5000  validation 0.4000\none: done, 12 s  random init\n"
    )


def test_figures_are_written_as_in_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    (trial,) = plan("one").trials
    handle = Mock()
    display = Mock(HTML=str, display=Mock(return_value=handle))
    monkeypatch.setitem(sys.modules, "IPython", Mock(display=display))
    shown, record = StringIO(), Record(SCHEMA, trial, "ok", weights=WeightsUsed("auto", "", ""))
    with NotebookDisplay() as notebook, Display(Console(file=shown, width=200)) as terminal:
        for event in (TrialEnded(record, 0.5, seconds=83.0), RunProgress(0.25, 7500.0)):
            notebook(event)
            terminal(event)
        notebook._show()
        (progress,) = handle.update.call_args.args
    assert "25%, about 2 h 5 min left" in progress
    assert "<td>50.00%</td><td>1 min 23 s</td>" in progress
    assert shown.getvalue() == "one: done, accuracy 50.00%  1 min 23 s\n"


def test_a_live_table_fits_the_screen_and_is_whole_at_the_end(tmp_path: Path) -> None:
    p, shown = plan("one", seeds=range(50)), StringIO()
    with Display(Console(file=shown, width=200, height=12, force_terminal=True)) as display:
        for trial in p.trials:
            display(TrialEnded(Record(SCHEMA, trial, "failed", ""), None, 0.0))
        rows = [line for line in _seen(display) if line.startswith("one")]
        assert len(rows) == 12 - 1 - 1  # without the titles and the bar of the whole run
        assert rows[-1].split()[:2] == ["one", "49"]
    assert len([line for line in _seen(display) if line.startswith("one")]) == 50


def test_a_figure_keeps_its_unit_where_the_terminal_is_narrow() -> None:
    name = "a_backbone_whose_name_is_longer_than_half_a_line"
    p = plan_of([backbone(name, gmacs=1.0)])
    display = Display(Console(file=StringIO(), width=60, force_terminal=True))
    display(TrialEnded(Record(SCHEMA, p.trials[0], "ok"), 0.5, seconds=83.0))
    planned = Mock(plan=p, untrained=p.trials)
    for table in (
        display._table(display._results),
        _backbone_table(planned, {p.trials[0].key: 83.0}),
    ):
        shown = Console(file=StringIO(), width=46)
        shown.print(table)
        assert "1 min 23 s" in shown.file.getvalue()  # type: ignore[attr-defined]


def test_a_block_is_as_high_as_its_fraction_of_the_range() -> None:
    assert sparkline([7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]) == "█▇▆▅▄▃▂▁"
    assert sparkline([4.0, 2.0, 0.0]) == "█▅▁"


def test_a_flat_line_has_the_lowest_block_and_no_values_give_no_blocks() -> None:
    assert sparkline([0.2, 0.2]) == "▁▁"
    assert sparkline([]) == ""


def test_a_diverged_value_is_marked_and_does_not_affect_the_others() -> None:
    assert sparkline([1.0, nan, 0.0, inf]) == "█×▁×"
    assert sparkline([nan]) == "×"


def test_both_ends_of_too_many_values_are_kept() -> None:
    drawn = sparkline([100.0 - i for i in range(101)], most=8)
    assert drawn == "█▇▆▅▄▃▂▁"
