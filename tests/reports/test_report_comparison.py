"""`compare`: which figures can be compared, the intervals of changes, and the rules for CI."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from synthetic import Net, answers, judged, make_run, write_records
from test_html_report import data_of

from bench.analysis.comparison import ChangedFigure, Comparison, compare
from bench.analysis.findings import analyse_run
from bench.analysis.rules import apply_rule, parse_rule
from bench.cli.main import main
from bench.data import thumbnails
from bench.errors import UnknownNameError, UsageError
from bench.reports import terminal
from bench.reports.blocks import Statement, Table
from bench.reports.comparison import sections
from bench.storage.arrays import write_arrays
from bench.storage.records import read_records, read_run
from bench.system.files import to_json
from bench.types import Session, WeightsUsed

LABELS = np.arange(100) % 2


def made(
    folder: Path,
    wrong: int,
    latency: float = 0.010,
    calibration: tuple[float, ...] = (0.05, 0.05),
    **meta: Any,
) -> Path:
    """A backbone with `wrong` of 100 test images wrong, each prediction with probability 0.9."""
    make_run(folder, [Net("net")], images=100, **meta)
    (record,) = read_records(folder)
    session = Session("2025-03-01T12:00:00+00:00", ("net",), 1, 4, 1e11, calibration)
    write_records(folder, [replace(record, session=session)])
    latencies = {"latency_keras_b1": np.full(64, latency), "latency_keras_b8": np.full(3, 0.04)}
    write_arrays(folder, record.trial.key, judged(answers(range(wrong), 100), **latencies))
    return folder


def compared(before: Path, after: Path) -> Comparison:
    return compare(analyse_run(read_run(before)), analyse_run(read_run(after)))


def change(found: Comparison, figure: str) -> ChangedFigure:
    (one,) = (c for c in found.changes if c.figure == figure)
    return one


def edit_dataset(folder: Path, **splits: Any) -> None:
    path = folder / "dataset.json"
    raw = json.loads(path.read_text())
    raw["splits"]["test"] |= splits
    path.write_text(to_json(raw))


def lines(found: Comparison) -> list[str]:
    """Return what the command prints."""
    out = io.StringIO()
    terminal.show(sections(found), Console(file=out, width=terminal.UNLIMITED))
    return out.getvalue().splitlines()


def test_a_change_on_the_same_images(tmp_path: Path) -> None:
    found = compared(made(tmp_path / "a", wrong=4), made(tmp_path / "b", wrong=14, latency=0.012))
    accuracy = change(found, "accuracy")
    assert (accuracy.before, accuracy.after) == pytest.approx((0.96, 0.86))
    # Ten images lost and none won; with half a one made up for each side 10.5 and 0.5 of 102: a
    # mean of -10/102 and a variance of (11/102 - (10/102)^2) / 102.
    mean, variance = -10 / 102, (11 / 102 - (10 / 102) ** 2) / 102
    assert accuracy.low == pytest.approx(mean - 1.959964 * variance**0.5, abs=1e-6)
    assert accuracy.high == pytest.approx(mean + 1.959964 * variance**0.5, abs=1e-6)
    assert accuracy.is_significant
    loss = change(found, "loss")
    assert loss.difference == pytest.approx(0.1 * (np.log(0.9) - np.log(0.1)))
    latency = change(found, "latency_p50_ms")
    assert (latency.before, latency.after) == pytest.approx((10, 12))
    assert (latency.low, latency.high) == pytest.approx((2, 2))
    assert (found.images, found.refused, found.differing) == (100, (), ())


def test_images_with_changed_predictions_are_listed(tmp_path: Path) -> None:
    # Wrong before are the images 0 to 3, now 2 to 4 and by their order in the arrays.
    before, after = made(tmp_path / "a", 4), made(tmp_path / "b", 0)
    (record,) = read_records(after)
    arrays = judged(answers(range(2, 5), 100), latency_keras_b1=np.full(64, 0.01))
    write_arrays(after, record.trial.key, arrays)
    found = compared(before, after)
    (one,) = found.answers
    assert (one.label, one.now_correct, one.now_wrong, one.still_wrong) == ("net", 2, 1, 0)
    assert [(i.id, i.true, i.before, i.after) for i in one.images] == [
        ("test/00004.png", 0, 0, 1),
        ("test/00000.png", 0, 1, 0),
        ("test/00001.png", 1, 0, 1),
    ]
    head, _, changed = sections(found)
    (statement,) = head.blocks
    assert statement == Statement(
        "a → b, on 100 test images that both runs have", "No figure changed significantly."
    )
    table = changed.blocks[0]
    assert isinstance(table, Table)
    assert table.texts == [["net", "2", "1", "0"]]


def test_the_comparison_as_a_page_and_as_markdown(tmp_path: Path) -> None:
    folders = [made(tmp_path / name, wrong) for name, wrong in (("a", 4), ("b", 14))]
    (folders[0] / thumbnails.FOLDER).mkdir()
    (folders[0] / thumbnails.FOLDER / "00007.jpg").write_bytes(b"a picture")
    page, text = tmp_path / "c.html", tmp_path / "c.md"
    words = ["compare", "a", "b", "--results", str(tmp_path)]
    assert main([*words, "--html", str(page), "--markdown", str(text)]) == 0
    written = text.read_text(encoding="utf-8")
    assert written.startswith("# a → b\n\n**a → b, on 100 test images that both runs have**")
    assert "| net        | test/00007.png |" in written
    content = page.read_text(encoding="utf-8")
    data = data_of(content)
    assert list(data["sections"]) == ["overview", "changes", "answers"]
    row = data["sections"]["changes"]["blocks"][0]["rows"][0]
    assert [cell["text"] for cell in row][1:5] == ["accuracy", "96.00%", "86.00%", "-10.00 points"]
    assert '"7":"data:image/jpeg;base64,' in content
    (chart,) = (b for b in data["sections"]["changes"]["blocks"] if b["kind"] == "chart")
    panel = next(panel for panel in chart["panels"] if panel["title"] == "Test accuracy")
    (mark,) = panel["layers"][1]["marks"]
    assert (panel["layers"][1]["name"], mark["x"]) == ("significant", -10)


def test_two_images_more_may_be_chance(tmp_path: Path) -> None:
    found = compared(made(tmp_path / "a", wrong=4), made(tmp_path / "b", wrong=6))
    assert not change(found, "accuracy").is_significant
    text = "\n".join(lines(found))
    assert "accuracy" in text
    assert "not significant" in text


def test_images_are_matched_by_content_whatever_their_order_and_names(tmp_path: Path) -> None:
    before, after = made(tmp_path / "a", wrong=4), made(tmp_path / "b", wrong=4)
    digests = [f"{i:064x}" for i in range(100)]
    edit_dataset(before, digests=digests)
    # The same photographs, from the last to the first, under other names; two of them replaced.
    other = ["f" * 64, "e" * 64, *digests[2:]][::-1]
    names = [f"renamed/{i}.png" for i in range(100)]
    edit_dataset(after, digests=other, ids=names, labels=LABELS[::-1].tolist())
    (record,) = read_records(after)
    (evidence,) = read_run(after).evidence
    turned = {
        name: array[::-1] if name.startswith("test_") else array
        for name, array in evidence.arrays.items()
    }
    write_arrays(after, record.trial.key, turned)
    found = compared(before, after)
    assert found.images == 98
    accuracy = change(found, "accuracy")
    # Images 0 and 1 are left out, and they were wrong; 2 and 3 stay wrong in both.
    assert accuracy.before == accuracy.after == pytest.approx(96 / 98)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        ({"ids": [f"other/{i}.png" for i in range(100)]}, "test images differ: none is in both"),
        ({"labels": (1 - LABELS).tolist()}, "test images differ: none is in both"),
    ],
)
def test_other_images_are_not_compared(tmp_path: Path, edit: dict[str, Any], reason: str) -> None:
    before, after = made(tmp_path / "a", wrong=4), made(tmp_path / "b", wrong=6)
    edit_dataset(after, **edit)
    found = compared(before, after)
    (refused,) = found.refused
    assert (refused.figures, refused.reason) == (("accuracy", "loss"), reason)
    assert {c.figure for c in found.changes}.isdisjoint({"accuracy", "loss"})
    assert change(found, "latency_p50_ms").difference == 0


def test_times_of_other_machines_are_not_compared(tmp_path: Path) -> None:
    before = made(tmp_path / "a", wrong=4)
    after = made(tmp_path / "b", wrong=4, environment={"processor": "Another CPU", "cores": 64})
    found = compared(before, after)
    (refused,) = found.refused
    assert refused.figures == (
        "latency_p50_ms",
        "throughput_images_per_second",
        "train_seconds",
    )
    assert refused.reason == "processor differs: Imaginary CPU @ 3.00GHz | Another CPU"
    assert [c.figure for c in found.changes] == ["accuracy", "loss", "size_mb"]
    assert {c.field for c in found.differing} >= {"processor", "cores"}


def test_random_init_is_not_compared_in_accuracy(tmp_path: Path) -> None:
    folders = made(tmp_path / "a", wrong=4), made(tmp_path / "b", wrong=4)
    for folder in folders:
        (record,) = read_records(folder)
        write_records(folder, [replace(record, weights=WeightsUsed("random init", "", "0" * 64))])
    found = compared(*folders)
    assert [n.reason for n in found.refused] == ["random init: accuracy means nothing"]
    assert "accuracy" not in {c.figure for c in found.changes}


def test_weights_that_are_gone_are_named(tmp_path: Path) -> None:
    before = make_run(tmp_path / "a", [Net("net")])
    after = make_run(tmp_path / "b", [Net("net", source="random init")])
    found = compared(before, after)
    assert found.lost == ("net",)
    assert [(n.label, n.reason) for n in found.refused] == [
        ("net", "weights differ: imagenet | random init"),
        ("net (random init)", "not in a"),
    ]


def test_other_differences_are_listed(tmp_path: Path) -> None:
    before = made(tmp_path / "a", wrong=4)
    protocol = {"name": "other", "digest": "1" * 16, "phases": []}
    after = made(tmp_path / "b", wrong=4, protocol=protocol, settings={"batch_size": 64})
    fields = {c.field: (c.before, c.after) for c in compared(before, after).differing}
    assert fields["protocol"][1] == "other (11111111)"
    assert fields["batch_size"] == ("32", "64")


def test_runs_of_the_same_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    before, after = tmp_path / "tensorflow" / "run", tmp_path / "jax" / "run"
    found = compared(made(before, wrong=4), made(after, wrong=4))
    assert (found.before, found.after) == (str(before), str(after))


@pytest.mark.slow
def test_the_command_and_its_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path / "a", wrong=4)
    made(tmp_path / "b", wrong=14, latency=0.012)
    words = ["compare", "a", "b", "--results", str(tmp_path)]
    assert main(words) == 0
    assert main([*words, "--fail-if", "accuracy drops 0.2"]) == 0
    out = capsys.readouterr().out
    assert main([*words, "--fail-if", "accuracy drops 0.05"]) == 4
    error = capsys.readouterr().err
    assert error.startswith(
        "failed: 'accuracy drops 0.05': net: accuracy 96.00% → 86.00%, -10.00 points"
    )
    assert main([*words, "--fail-if", "latency_p50_ms rises 19%"]) == 4
    assert main([*words, "--fail-if", "latency_p50_ms rises 21%"]) == 0
    assert out.startswith("a → b, on 100 test images that both runs have")
    # Ten points were lost, and surely three, but not surely nine.
    assert main([*words, "--fail-if", "accuracy surely drops by 0.03"]) == 4
    assert main([*words, "--fail-if", "accuracy surely drops by 0.09"]) == 0
    capsys.readouterr()
    assert main([*words, "--json", "--fail-if", "accuracy drops 0.05"]) == 4
    assert len(json.loads(capsys.readouterr().out)["broken_rules"]) == 1


def test_a_backbone_that_fails_now_breaks_every_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(tmp_path / "a", wrong=4)
    make_run(tmp_path / "b", [Net("net", fails="out of memory")])
    words = ["compare", "a", "b", "--results", str(tmp_path)]
    assert main(words) == 0
    assert "net, all: failed in b: out of memory" in capsys.readouterr().out
    assert main([*words, "--fail-if", "accuracy drops 0.5"]) == 4
    failed = "'accuracy drops 0.5': net cannot be judged: failed in b: out of memory"
    assert f"failed: {failed}" in capsys.readouterr().err


def spoil(folder: Path, backbone: str) -> None:
    """Set the probabilities of one test image to NaN, as a diverged network does."""
    (evidence,) = (e for e in read_run(folder).evidence if e.record.trial.backbone == backbone)
    probabilities = evidence.arrays["test_probabilities"].copy()
    probabilities[0] = np.nan
    arrays = {**evidence.arrays, "test_probabilities": probabilities}
    write_arrays(folder, evidence.record.trial.key, arrays)


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (("good", "bad"), ("good", "bad"), "no usable figure in b"),  # it answers NaN
        (("good", "gone"), ("good",), "not in b"),
        (("good",), ("good", "new"), "not in a"),
    ],
)
def test_figures_that_a_rule_cannot_check_are_named(
    tmp_path: Path, before: tuple[str, ...], after: tuple[str, ...], reason: str
) -> None:
    folders = [
        make_run(tmp_path / name, [Net(net) for net in nets], images=20)
        for name, nets in (("a", before), ("b", after))
    ]
    if "bad" in after:
        spoil(folders[1], "bad")
    result = apply_rule(compared(*folders), parse_rule("accuracy drops 0.01", ["accuracy"]))
    (name,) = {*before, *after} - {"good"}
    assert result.broken == ()
    assert [(n.label, n.reason) for n in result.not_judged] == [(name, reason)]


def test_a_rule_that_cannot_be_checked_is_broken_unless_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "ab":
        make_run(tmp_path / name, [Net("good"), Net("bad")], images=20)
    spoil(tmp_path / "b", "bad")
    words = ["compare", "a", "b", "--results", str(tmp_path), "--fail-if", "accuracy drops 0.01"]
    assert main(words) == 4
    line = "'accuracy drops 0.01': bad cannot be judged: no usable figure in b"
    assert f"failed: {line}\n" in capsys.readouterr().err
    assert main([*words, "--allow-missing", "--json"]) == 0
    out, err = capsys.readouterr()
    assert f"allowed: {line}\n" in err
    assert json.loads(out)["not_judged"] == [line]


def test_skipped_backbones_have_a_reason(tmp_path: Path) -> None:
    before = make_run(tmp_path / "a", [Net("net"), Net("big")], images=20)
    left_out = [{"backbone": "big", "reason": "needs 12 GB"}]
    after = make_run(tmp_path / "b", [Net("net")], images=20, skipped=left_out)
    refused = [(n.label, n.reason) for n in compared(before, after).refused if not n.figures]
    assert refused == [("big", "skipped in b: needs 12 GB")]


def test_a_seed_with_nan_predictions_is_not_averaged_away(tmp_path: Path) -> None:
    for name in "ab":
        make_run(tmp_path / name, [Net("net")], seeds=(0, 1))
    folder = tmp_path / "b"
    evidence = read_run(folder).evidence[1]
    arrays = {**evidence.arrays, "test_probabilities": np.full((60, 2), np.nan)}
    write_arrays(folder, evidence.record.trial.key, arrays)
    before, after = (analyse_run(read_run(tmp_path / name)) for name in "ab")
    found = compare(before, after, ("accuracy", "macro_f1"))
    assert [(n.figures, n.reason) for n in found.refused] == [
        (("accuracy", "macro_f1"), "no usable figure for seed 1 in b")
    ]


def test_an_accuracy_is_the_one_of_the_leaderboard(tmp_path: Path) -> None:
    """Both are over the seeds that all backbones of the run finished."""
    nets = [Net("net", 1.0), Net("other", fails="out of memory", fails_seeds=(2,))]
    runs = [read_run(make_run(tmp_path / n, nets, seeds=(0, 1, 2))) for n in "ab"]
    before, after = map(analyse_run, runs)
    ranked = before.backbones.set_index("label")["accuracy"]["net"]
    every = before.trials.set_index("label")["accuracy"]["net"]
    assert ranked != pytest.approx(every.mean())
    found = compare(before, after)
    (accuracy,) = (c for c in found.changes if (c.label, c.figure) == ("net", "accuracy"))
    assert accuracy.before == accuracy.after == ranked


def test_a_rule_without_any_backbone_does_not_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(tmp_path / "a", wrong=4)
    made(tmp_path / "b", wrong=4, environment={"processor": "Another CPU"})
    words = ["compare", "a", "b", "--results", str(tmp_path)]
    words += ["--fail-if", "latency_p50_ms rises 10%"]
    assert main(words) == 4
    assert main([*words, "--allow-missing"]) == 1
    error = capsys.readouterr().err
    assert "'latency_p50_ms rises 10%' can judge no backbone (net: processor differs" in error


def test_a_run_is_not_compared_with_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(tmp_path / "a", wrong=4)
    (tmp_path / "latest").symlink_to("a")
    for other in ("a", "latest", str(folder)):
        assert main(["compare", "a", other, "--results", str(tmp_path)]) == 2
        assert f"a and {other} are the same run, a; name two runs." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "figures", "reason"),
    [
        (
            {"trial": {"input_size": 64}},
            ("latency_p50_ms", "throughput_images_per_second", "train_seconds"),
            "input size differs: 224 px | 64 px",
        ),
        ({"train_images": 40}, ("train_seconds",), "training images differ: 680 | 40"),
    ],
)
def test_times_of_other_work_are_not_compared(
    tmp_path: Path, change: dict[str, Any], figures: tuple[str, ...], reason: str
) -> None:
    folders = made(tmp_path / "a", wrong=4), made(tmp_path / "b", wrong=4)
    for folder, changes in zip(folders, ({}, change), strict=True):
        (record,) = read_records(folder)
        changed: dict[str, Any] = {"train_images": 680, **changes}
        changed["trial"] = replace(record.trial, **changes.get("trial", {}))
        write_records(folder, [replace(record, **changed)])
    found = compared(*folders)
    assert [(n.figures, n.reason) for n in found.refused] == [(figures, reason)]
    assert {c.figure for c in found.changes}.isdisjoint(figures)


def test_a_slower_machine_may_explain_a_longer_latency(tmp_path: Path) -> None:
    before = made(tmp_path / "a", wrong=4)
    # 12 ms after 10: but the fixed work took a quarter longer, too, which 8.33 * 1.2 may be.
    found = compared(before, made(tmp_path / "b", 4, 0.012, calibration=(0.0625, 0.0625)))
    latency = change(found, "latency_p50_ms")
    assert (latency.low, latency.high) == pytest.approx((-0.4, 2.0))
    assert "not significant" in next(line for line in lines(found) if "latency" in line)
    found = compared(before, made(tmp_path / "c", 4, 0.012))
    assert "likely worse" in "\n".join(lines(found))


def test_without_calibration_a_latency_is_neither_better_nor_worse(tmp_path: Path) -> None:
    found = compared(made(tmp_path / "a", 4), made(tmp_path / "b", 4, 0.012, calibration=()))
    latency = change(found, "latency_p50_ms")
    assert (latency.low, latency.high) == (None, None)
    line = next(line for line in lines(found) if "latency" in line)
    assert "worse" not in line
    assert "better" not in line


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("accuracy", UsageError, r"not of the form 'FIGURE \[surely\] drops\|rises AMOUNT\[%\]'"),
        ("accuracy drops -1", UsageError, "not of the form"),
        ("accuracy drops 0", UsageError, "amount of 0"),
        ("latency_p50_ms surely rises 10%", UsageError, "'surely' needs an interval"),
        ("acuracy drops 0.1", UnknownNameError, "Did you mean 'accuracy'"),
    ],
)
def test_rules_that_cannot_be_read(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_rule(text, ["accuracy", "loss", "latency_p50_ms"])


def test_a_rule_is_met_exactly_at_its_amount() -> None:
    rule = parse_rule("accuracy drops 0.01", ["accuracy"])
    assert rule.is_broken_by(ChangedFigure("net", "accuracy", 0.95, 0.94))
    assert not rule.is_broken_by(ChangedFigure("net", "accuracy", 0.95, 0.9401))
    assert not rule.is_broken_by(ChangedFigure("net", "accuracy", 0.94, 0.95))
    tenth = parse_rule("loss rises by 10%", ["loss"])
    assert tenth.is_broken_by(ChangedFigure("net", "loss", 0.2, 0.22))
    assert not tenth.is_broken_by(ChangedFigure("net", "loss", 0.2, 0.219))
