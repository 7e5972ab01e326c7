"""Next steps: the commands, and how much faster the recommended backbone is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic import Net, answers, judged, make_run, write_records

from bench.analysis import format as fmt
from bench.analysis.findings import Findings, analyse_run
from bench.cli.main import main
from bench.reports.blocks import Commands
from bench.reports.sections import next_steps, reproduction
from bench.storage.arrays import weights_path, write_arrays
from bench.storage.records import read_records, read_run
from bench.types import Session

SESSION = Session("1", ("a", "b"), 2, 4, 1e11, (0.01, 0.01), 2.0)


def made(
    folder: Path,
    wrong: dict[str, int],
    milliseconds: dict[str, float],
    sessions: dict[str, Session],
    command: tuple[str, ...] = ("run_bench.py", "--backbones", "a,b", "--seed", "4"),
    busy: Mapping[str, Sequence[float]] | None = None,
) -> Findings:
    """Return a run of 1,000 images in which each backbone gets the first so many wrong; `busy` says
    by how much the machine slowed each of the four rounds."""
    make_run(folder, [Net(name) for name in wrong], images=1000, command=list(command))
    records = []
    for record in read_records(folder):
        name = record.trial.backbone
        rounds = np.repeat((busy or {}).get(name, (1.0, 1.5, 1.0, 1.5)), 16)
        taken = milliseconds[name] / 1000 * rounds
        arrays = judged(answers(range(wrong[name]), 1000), latency_keras_b1=taken)
        write_arrays(folder, record.trial.key, arrays)
        records.append(replace(record, session=sessions[name]))
    write_records(folder, records)
    return analyse_run(read_run(folder))


def commands(findings: Findings) -> dict[str, str]:
    section = next_steps.section(findings)
    assert section is not None
    (block,) = section.blocks
    assert isinstance(block, Commands)
    return dict(block.items)


def test_the_recommended_is_so_many_times_faster_than_the_best(tmp_path: Path) -> None:
    findings = made(
        tmp_path, {"a": 0, "b": 2}, {"a": 18.0, "b": 10.0}, dict.fromkeys("ab", SESSION)
    )
    assert (findings.verdict.best, findings.verdict.recommended) == ("a", "b")
    assert findings.faster is not None
    assert findings.faster.times == pytest.approx(1.8)
    assert findings.faster.text == "b is 1.80 ± 0.01 times faster than a, within 1 point."
    section = next_steps.section(findings)
    assert section is not None
    assert section.about == findings.faster.text


@pytest.mark.slow
def test_it_is_the_last_line_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    speeds = {"a": 18.0, "b": 10.0}
    made(tmp_path / "r", {"a": 0, "b": 2}, speeds, dict.fromkeys("ab", SESSION))
    assert main(["report", "r", "--results", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "b is 1.80 ± 0.01 times faster than a, within 1 point."
    )


def test_a_lead_that_changes_between_rounds_is_not_shown_to_be_faster(tmp_path: Path) -> None:
    # By round 1.2 and 2.7 times faster in turn. All queries together are alike, 1.8 times apart.
    busy = {"a": (1.0, 1.5, 1.0, 1.5), "b": (1.5, 1.0, 1.5, 1.0)}
    speeds, sessions = {"a": 18.0, "b": 10.0}, dict.fromkeys("ab", SESSION)
    assert made(tmp_path, {"a": 0, "b": 2}, speeds, sessions, busy=busy).faster is None


@pytest.mark.parametrize(
    ("wrong", "milliseconds", "other"),
    [
        ({"a": 0, "b": 2}, {"a": 18.0, "b": 10.0}, replace(SESSION, started="2")),
        ({"a": 0, "b": 100}, {"a": 18.0, "b": 10.0}, SESSION),
        ({"a": 0, "b": 2}, {"a": 10.0, "b": 18.0}, SESSION),
    ],
    ids=["timed apart", "worse", "slower"],
)
def test_without_a_valid_speed_ratio_there_is_no_sentence(
    tmp_path: Path, wrong: dict[str, int], milliseconds: dict[str, float], other: Session
) -> None:
    findings = made(tmp_path, wrong, milliseconds, {"a": SESSION, "b": other})
    assert findings.faster is None


def test_the_commands_use_the_recommended_backbone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results" / "r"
    findings = made(folder, {"a": 0, "b": 2}, {"a": 18.0, "b": 10.0}, dict.fromkeys("ab", SESSION))
    assert "Classify new images with b" not in commands(findings)
    key = findings.records["b"][0].trial.key
    weights_path(folder, key).parent.mkdir(exist_ok=True)
    weights_path(folder, key).touch()
    assert commands(findings) == {
        "Classify new images with b": "python run_bench.py predict r b photos/",
        "Export b": "python run_bench.py export r b --format onnx",
        "Train 3 seeds, to compare backbones, not single trainings": (
            "python run_bench.py --backbones a,b --seeds 3"
        ),
        "Choose a backbone under your own limits": "python run_bench.py choose r --max-latency-ms "
        "13",
    }


def test_requested_seeds_that_were_not_trained_are_suggested(tmp_path: Path) -> None:
    command = ("run_bench.py", "--backbones", "a,b", "--seeds", "3", "--results", str(tmp_path))
    speeds, sessions = {"a": 18.0, "b": 10.0}, dict.fromkeys("ab", SESSION)
    findings = made(tmp_path / "r", {"a": 0, "b": 2}, speeds, sessions, command)
    meta = replace(findings.run.meta, request={"seeds": [0, 1, 2]})
    interrupted = commands(replace(findings, run=replace(findings.run, meta=meta)))
    assert interrupted["Train the remaining seeds"] == "python " + " ".join(command)
    assert not [what for what in interrupted if what.startswith("Train 3 seeds")]


@pytest.mark.parametrize("named", ["my runs", "the old place", ""])
def test_commands_name_a_results_folder_that_is_not_the_default(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ("run_bench.py", *(["--results", named] if named else ()), "--backbones", "a,b")
    speeds, sessions = {"a": 18.0, "b": 10.0}, dict.fromkeys("ab", SESSION)
    folder = tmp_path / "my runs"
    findings = made(folder / "r", {"a": 0, "b": 2}, speeds, sessions, command)
    where = f" --results '{named if named == folder.name else folder}'"
    choose = commands(findings)["Choose a backbone under your own limits"]
    assert choose == f"python run_bench.py choose r --max-latency-ms 13{where}"
    section = reproduction.section(findings)
    assert section is not None
    assert isinstance(section.blocks[0], Commands)
    assert f"python run_bench.py verify r{where}" in dict(section.blocks[0].items).values()


def test_half_an_interval_is_never_nothing_and_rounded_up() -> None:
    assert fmt.plus_minus(1.834, 0.0) == "1.83 ± 0.01"
    assert fmt.plus_minus(1.834, 0.051) == "1.8 ± 0.1"
    assert fmt.plus_minus(1.834, 0.12) == "1.8 ± 0.2"
    assert fmt.plus_minus(12.4, 1.2) == "12 ± 2"
