"""Two runs against each other: what may be compared, how sure a change is, and the rules of CI."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import Net, make_run

from bench.cli import main
from bench.errors import UnknownNameError, UsageError
from bench.files import to_json
from bench.records import load_run, read_records, write_arrays, write_records
from bench.report.comparison import Change, Comparison, compare
from bench.report.comparison_text import lines
from bench.report.findings import find
from bench.report.rules import parse_rule
from bench.types import WeightsUsed

LABELS = np.arange(100) % 2


def made(folder: Path, wrong: int, latency: float = 0.010, **meta: Any) -> Path:
    """One backbone, `wrong` of 100 test images wrong, each answer with certainty 0.9."""
    make_run(folder, [Net("net")], images=100, **meta)
    (record,) = read_records(folder)
    guesses = np.where(np.arange(100) < wrong, 1 - LABELS, LABELS)
    probabilities = np.where(np.eye(2)[guesses] == 1, 0.9, 0.1)
    arrays = {
        "test_labels": LABELS,
        "test_probabilities": probabilities,
        "validation_labels": LABELS,
        "validation_probabilities": probabilities,
        "latency_keras_b1": np.full(64, latency),
        "latency_keras_b8": np.full(3, 0.04),
    }
    write_arrays(folder, record.trial.key, arrays)
    return folder


def compared(before: Path, after: Path) -> Comparison:
    return compare(find(load_run(before)), find(load_run(after)))


def change(found: Comparison, figure: str) -> Change:
    (one,) = (c for c in found.changes if c.figure == figure)
    return one


def edit_dataset(folder: Path, **splits: Any) -> None:
    path = folder / "dataset.json"
    raw = json.loads(path.read_text())
    raw["splits"]["test"] |= splits
    path.write_text(to_json(raw))


def test_a_change_on_the_same_images(tmp_path: Path) -> None:
    found = compared(made(tmp_path / "a", wrong=4), made(tmp_path / "b", wrong=14, latency=0.012))
    accuracy = change(found, "accuracy")
    assert (accuracy.before, accuracy.after) == (pytest.approx(0.96), pytest.approx(0.86))
    # Ten images lost and none won; with half a one made up for each side 10.5 and 0.5 of 102: a
    # mean of -10/102 and a variance of (11/102 - (10/102)^2) / 102.
    mean, variance = -10 / 102, (11 / 102 - (10 / 102) ** 2) / 102
    assert accuracy.low == pytest.approx(mean - 1.959964 * variance**0.5, abs=1e-6)
    assert accuracy.high == pytest.approx(mean + 1.959964 * variance**0.5, abs=1e-6)
    assert accuracy.certain
    loss = change(found, "loss")
    assert loss.difference == pytest.approx(0.1 * (np.log(0.9) - np.log(0.1)))
    latency = change(found, "latency_p50_ms")
    assert (latency.before, latency.after) == (pytest.approx(10), pytest.approx(12))
    assert (latency.low, latency.high) == (pytest.approx(2), pytest.approx(2))
    assert (found.images, found.refused, found.differing) == (100, (), ())


def test_two_images_more_may_be_chance(tmp_path: Path) -> None:
    found = compared(made(tmp_path / "a", wrong=4), made(tmp_path / "b", wrong=6))
    assert not change(found, "accuracy").certain
    text = "\n".join(lines(found))
    assert "accuracy" in text
    assert "may be chance" in text


def test_images_are_matched_by_content_whatever_their_order_and_names(tmp_path: Path) -> None:
    before, after = made(tmp_path / "a", wrong=4), made(tmp_path / "b", wrong=4)
    digests = [f"{i:064x}" for i in range(100)]
    edit_dataset(before, digests=digests)
    # The same photographs, from the last to the first, under other names; two of them replaced.
    other = ["f" * 64, "e" * 64, *digests[2:]][::-1]
    names = [f"renamed/{i}.png" for i in range(100)]
    edit_dataset(after, digests=other, ids=names, labels=LABELS[::-1].tolist())
    (record,) = read_records(after)
    (evidence,) = load_run(after).evidence
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
    assert (refused.figures, refused.reason) == ("accuracy and loss", reason)
    assert {c.figure for c in found.changes}.isdisjoint({"accuracy", "loss"})
    assert change(found, "latency_p50_ms").difference == 0


def test_times_of_other_machines_are_not_compared(tmp_path: Path) -> None:
    before = made(tmp_path / "a", wrong=4)
    after = made(tmp_path / "b", wrong=4, environment={"processor": "Another CPU", "cores": 64})
    found = compared(before, after)
    (refused,) = found.refused
    assert refused.figures == "times"
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
        ("net (random init)", "in a it is not there"),
    ]


def test_what_differs_besides_is_told(tmp_path: Path) -> None:
    before = made(tmp_path / "a", wrong=4)
    protocol = {"name": "other", "digest": "1" * 16, "phases": []}
    after = made(tmp_path / "b", wrong=4, protocol=protocol, settings={"batch_size": 64})
    fields = {c.field: (c.before, c.after) for c in compared(before, after).differing}
    assert fields["protocol"][1] == "other (11111111)"
    assert fields["batch_size"] == ("32", "64")


def test_the_command_and_its_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path / "a", wrong=4)
    made(tmp_path / "b", wrong=14, latency=0.012)
    words = ["compare", "a", "b", "--results", str(tmp_path)]
    assert main(words) == 0
    assert main([*words, "--fail-if", "accuracy drops 0.2"]) == 0
    capsys.readouterr()
    assert main([*words, "--fail-if", "accuracy drops 0.05"]) == 4
    error = capsys.readouterr().err
    assert error.startswith(
        "failed: 'accuracy drops 0.05': net: accuracy 96.00% → 86.00%, -10.00 points"
    )
    assert main([*words, "--fail-if", "latency_p50_ms rises 19%"]) == 4
    assert main([*words, "--fail-if", "latency_p50_ms rises 21%"]) == 0
    # Ten points were lost, and surely three, but not surely nine.
    assert main([*words, "--fail-if", "accuracy surely drops by 0.03"]) == 4
    assert main([*words, "--fail-if", "accuracy surely drops by 0.09"]) == 0
    capsys.readouterr()
    assert main([*words, "--json", "--fail-if", "accuracy drops 0.05"]) == 4
    assert len(json.loads(capsys.readouterr().out)["broken_rules"]) == 1


def test_what_finished_before_and_fails_now_breaks_any_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(tmp_path / "a", wrong=4)
    make_run(tmp_path / "b", [Net("net", fails="out of memory")])
    words = ["compare", "a", "b", "--results", str(tmp_path)]
    assert main(words) == 0
    assert "net, everything: in b it failed: out of memory" in capsys.readouterr().out
    assert main([*words, "--fail-if", "accuracy drops 0.5"]) == 4
    assert (
        "failed: net cannot be judged any more: in b it failed: out of memory"
        in capsys.readouterr().err
    )


def test_a_rule_that_nothing_can_be_held_against_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(tmp_path / "a", wrong=4)
    made(tmp_path / "b", wrong=4, environment={"processor": "Another CPU"})
    words = ["compare", "a", "b", "--results", str(tmp_path)]
    assert main([*words, "--fail-if", "latency_p50_ms rises 10%"]) == 1
    error = capsys.readouterr().err
    assert "could be held against no backbone (net: processor differs" in error


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("accuracy", UsageError, r"not of the form 'FIGURE \[surely\] drops\|rises AMOUNT\[%\]'"),
        ("accuracy drops -1", UsageError, "not of the form"),
        ("accuracy drops 0", UsageError, "amount of 0"),
        ("acuracy drops 0.1", UnknownNameError, "Did you mean 'accuracy'"),
    ],
)
def test_rules_that_cannot_be_read(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_rule(text, ["accuracy", "loss"])


def test_a_rule_is_met_exactly_at_its_amount() -> None:
    rule = parse_rule("accuracy drops 0.01", ["accuracy"])
    assert rule.broken_by(Change("net", "accuracy", 0.95, 0.94))
    assert not rule.broken_by(Change("net", "accuracy", 0.95, 0.9401))
    assert not rule.broken_by(Change("net", "accuracy", 0.94, 0.95))
    tenth = parse_rule("loss rises by 10%", ["loss"])
    assert tenth.broken_by(Change("net", "loss", 0.2, 0.22))
    assert not tenth.broken_by(Change("net", "loss", 0.2, 0.219))
