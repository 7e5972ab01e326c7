"""The terminal report: it fits, tables are not wrapped, and nothing is hidden silently."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from synthetic import SIX, Net, make_run, write_records

from bench import reports as report
from bench.cli.main import main
from bench.reports.sections import sections
from bench.storage.records import read_records
from bench.types import Excluded


def printed(folder: Path, width: int, *, terminal: bool = False) -> str:
    out = io.StringIO()
    report.show(
        sections(report.read(folder)),
        Console(file=out, width=width, force_terminal=terminal, highlight=False),
    )
    return out.getvalue()


def rows(lines: list[str], start: int) -> list[str]:
    """Return the rows of a table, without the line about the hidden columns."""
    block = "\n".join(lines[start : lines.index("", start)])
    return block.split("\nNo room for ")[0].splitlines()


@pytest.mark.parametrize("width", [60, 80, 100, 140, 200])
@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_the_table_fits_with_a_line_for_each_backbone(
    tmp_path: Path, width: int, seeds: tuple[int, ...]
) -> None:
    text = printed(make_run(tmp_path, seeds=seeds), width)
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if "Backbone " in line)
    ranked = lines[start].startswith("#")  # where it has room
    table = rows(lines, start + 1)
    start = lines.index("Times only: no pretrained weights") + 2
    times = rows(lines, start)
    # Below the tables are commands, on one line each: they are copied.
    assert max(map(len, lines[: start + len(times)])) <= width
    ranks, names = ["1", "2", "3", "–"], ["resnet50", "efficientnet_lite0", "mobilenetv2", "vgg16"]
    assert [line.split()[ranked] for line in table] == names
    assert not ranked or [line.split()[0] for line in table] == ranks
    assert [line.split()[0] for line in times] == ["efficientnetb0", "inceptionv3"]
    assert "…" not in "".join(table + times)  # no figure was cut


def test_narrow_terminals_lose_the_least_important_columns(tmp_path: Path) -> None:
    folder = make_run(tmp_path)

    def titles(width: int, folder: Path = folder) -> list[str]:
        lines = printed(folder, width).replace("95% interval", "95%").splitlines()
        return next(line for line in lines if "Backbone" in line).split()

    # What a reader looks for: the accuracy with its interval, and the verdict; then the times.
    least = ["Backbone", "Accuracy", "95%", "Verdict"]
    assert titles(55) == least
    assert titles(80) == ["#", *least, "Training", "p50"]
    assert titles(80, make_run(tmp_path / "seeds", seeds=(0, 1))) == ["#", *least, "p50"]
    assert titles(200)[-1] == "Size"
    named = " ".join(printed(folder, 80).split())
    assert "No room for Ties, P(first), Loss" in named
    assert "No room for" not in printed(folder, 200)


def test_the_facts_and_warnings_are_printed(tmp_path: Path) -> None:
    folder = make_run(
        tmp_path,
        excluded=[Excluded("train/a.jpg", "truncated")],
        skipped=[{"backbone": "vgg19", "reason": "nothing to train"}],
        broken_plugins=["plugin p.py could not be loaded: SyntaxError"],
        notes=["tfds is not prepared, so `auto` became demo"],
    )
    text = " ".join(printed(folder, 400).split())
    for said in (
        "Dataset demo: made-up images; no photographs were found on this machine",
        "Images 120 train / 60 validation / 60 test; 2 classes: cats, dogs",
        "Protocol default",
        "head (6 epochs, adam 0.001, backbone frozen) → fine-tune (4 epochs, adam 1e-05, "
        "last stage unfrozen, flip)",
        "Weights auto → 3 imagenet, 2 random init",
        "Trials 5 finished, 1 failed; seed 0",
        "! Random init, so not ranked: efficientnetb0, inceptionv3.",
        "! vgg16 failed: 'from layer 100' leaves nothing of vgg16 to train",
        "! vgg19 was skipped: nothing to train",
        "! Not loaded: plugin p.py could not be loaded: SyntaxError",
        "! 1 image could not be used",
        "! tfds is not prepared, so `auto` became demo",
        "efficientnetb0 (random init)",
        "vgg16 (failed)",
    ):
        assert said in text


def test_names_are_text_not_markup_or_terminal_codes(tmp_path: Path) -> None:
    folder = make_run(tmp_path, SIX[:1], classes=("[red]cats[/red]", "\x1b[31mdogs"))
    text = printed(folder, 200, terminal=True)
    assert "[red]cats[/red]" in text
    assert "\x1b[31mdogs" not in text


def test_a_run_without_trials_says_so(tmp_path: Path) -> None:
    text = printed(make_run(tmp_path, []), 80)
    assert "Trials    none finished" in text
    assert "#" not in text


def test_backbones_that_failed_in_some_seeds_say_how_many(tmp_path: Path) -> None:
    net = Net("resnet50", fails="out of memory", fails_seeds=(1,))
    text = printed(make_run(tmp_path, [net], seeds=(0, 1, 2)), 200)
    assert "resnet50 (1 of 3 seeds failed)" in text
    assert "! resnet50, seed 1 failed: out of memory" in text


def test_trials_of_different_machines_are_reported(tmp_path: Path) -> None:
    folder = make_run(tmp_path, SIX[:2])
    first, second = read_records(folder)
    here, there = {"processor": "one", "cores": 2}, {"processor": "another", "cores": 2}
    write_records(folder, [replace(first, environment=here), replace(second, environment=there)])
    text = printed(folder, 200)
    assert "one / another, 2 cores" in text
    assert "! Trials differ in processor: compare their times with care." in text


def test_a_phase_whose_best_epoch_is_the_last_allowed_is_reported(tmp_path: Path) -> None:
    folder = make_run(tmp_path, nets=(Net("a"), Net("b", source="random init")), seeds=(0, 1))
    assert "last allowed" not in printed(folder, 200)
    first, *others = read_records(folder)
    head, tune = first.phases
    changed = [replace(first, phases=(head, replace(tune, at_limit=True)))]
    for record in others:
        limit = record.trial.backbone == "b"  # its accuracy means nothing: not worth a warning
        changed.append(
            replace(record, phases=tuple(replace(p, at_limit=limit) for p in record.phases))
        )
    write_records(folder, changed)
    text = printed(folder, 400)
    assert text.count("last allowed") == 1
    assert "phase fine-tune was the last allowed for a (1 of 2 seeds)" in text


def test_one_section_is_printed_whole_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "r", SIX[:2])
    words = ["report", "r", "--results", str(tmp_path), "--section"]
    assert main([*words, "certainty"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Pairwise significance"
    assert any(re.match(r"resnet50 +mobilenetv2 +[+]", line) for line in lines)
    assert not (tmp_path / "r" / "report.md").exists()
    assert main([*words, "certainti"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: unknown section 'certainti'. Did you mean 'certainty'? Known: ")
    assert "leaderboard" in error
