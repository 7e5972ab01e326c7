"""`run` from its arguments to its exit code, with an executor that trains nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
from fileserver import serving
from scripted_executor import DIES, Arrays, Outcome, ScriptedExecutor
from synthetic import Net
from user import User

from bench import reports as report
from bench.analysis.findings import Findings
from bench.cli.main import main
from bench.errors import Exit, OutOfMemoryError, StoppedError
from bench.models import download
from bench.registry import BACKBONES
from bench.reports.blocks import Section
from bench.reports.sections import leaderboard
from bench.storage.run_folder import lock_run
from bench.training.job import Job
from bench.types import Trial, WeightsFile

pytestmark = pytest.mark.usefixtures("tiny_backbone")

REPORTS = ("r/report.md", "r/report.html", "r/summary.csv", "index.html", "latest")


def failing() -> ScriptedExecutor:
    """Return an executor whose trials all fail."""
    return ScriptedExecutor(lambda job, trial: "failed")


def ending(error: BaseException) -> ScriptedExecutor:
    """Return an executor that raises `error` in the first trial."""
    return ScriptedExecutor(lambda job, trial: error)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., int]:
    """Return a function that runs the command with an executor and more arguments."""
    tiny.write_images(tmp_path / "data", {"train": 8, "validation": 4, "test": 4})

    def run(executor: ScriptedExecutor, *more: str) -> int:
        places = ("--results", tmp_path / "results", "--cache", tmp_path / "cache")
        words = ("--backbones", "tiny", "--dataset", tmp_path / "data", *places, "--run", "r")
        return main([*map(str, words), *more], executor=executor)

    return run


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def _reports(results: Path) -> list[str]:
    return [path for path in REPORTS if (results / path).exists()]


def _other_labels(trial: Trial, arrays: Arrays) -> Arrays:
    """Change the test labels by seed, as if each seed had other test images."""
    return arrays | {"test_labels": arrays["test_labels"] ^ trial.seed}


def _lose_reports(results: Path) -> None:
    for path in REPORTS:
        (results / path).unlink()


@pytest.mark.slow
def test_repeating_a_killed_command_writes_the_missing_reports(
    run: Callable[..., int], results: Path
) -> None:
    run(ScriptedExecutor())
    _lose_reports(results)
    again = ScriptedExecutor()
    run(again)
    assert again.ran == []
    assert _reports(results) == list(REPORTS)


@pytest.mark.slow
def test_sections_are_built_once_for_files_and_terminal(
    run: Callable[..., int], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []

    def counted(findings: Findings) -> Section:
        built.append(findings.run.name)
        return section(findings)

    section = leaderboard.section
    monkeypatch.setattr(leaderboard, "section", counted)
    run(ScriptedExecutor())
    main(["report", "r", "--results", str(results)])
    assert built == ["r", "r"]  # once by each command


def test_a_refused_run_writes_no_reports(
    run: Callable[..., int], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(failing()) == 3
    _lose_reports(results)
    capsys.readouterr()
    assert run(failing(), "--batch-size", "16") == 2
    assert "was made with --batch-size 32, now it is 16" in capsys.readouterr().err
    with lock_run(results / "r"):
        assert run(failing()) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: another process is writing run r")
    assert _reports(results) == []


@pytest.mark.slow
def test_the_margin_belongs_to_the_run_and_not_to_its_trials(
    run: Callable[..., int], results: Path
) -> None:
    """It is kept until another is given, and a new margin trains nothing again."""

    def margin() -> object:
        return json.loads((results / "r" / "run.json").read_text(encoding="utf-8"))["margin"]

    executor = ScriptedExecutor()
    run(executor)
    assert margin() == 1.0
    run(executor, "--margin", "2")
    run(executor)
    assert margin() == 2.0
    assert executor.ran == [("tiny", 0)]


@pytest.mark.slow
def test_a_run_that_cannot_be_ranked_has_the_exit_code_of_its_report(
    run: Callable[..., int], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(ScriptedExecutor(), "--seeds", "2") == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"report    {results / 'r' / 'report.html'}"
    assert (
        run(
            ScriptedExecutor(edit=_other_labels, nets={"tiny": Net("tiny")}),
            "--seeds",
            "2",
            "--fresh",
        )
        == 3
    )
    assert "Nothing is ranked: the trials differ in test_labels" in capsys.readouterr().out
    assert main(["report", "r", "--results", str(results)]) == 3


@pytest.mark.slow
def test_a_temporary_download_failure_gives_exit_code_3(
    run: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(report, "write", lambda *arguments, **options: None)
    with serving(b"weights") as server:
        here = server.url("")
        for url, code in (
            (f"{here}busy", Exit.INCOMPLETE),
            ("http://nowhere.invalid/tiny.h5", Exit.DONE),  # as without a network
            (f"{here}missing", Exit.DONE),
            (f"{here}tiny.h5", Exit.DONE),
        ):
            BACKBONES.remove("tiny")
            BACKBONES.add(replace(tiny.TINY, weights=(WeightsFile(url),)))
            assert run(ScriptedExecutor(), "--fresh") == code, url
            told = capsys.readouterr().out
            assert ("tiny runs with random weights" in told) == (url != f"{here}tiny.h5")
    assert server.asked == ["busy from 0"] * 3 + ["missing from 0", "tiny.h5 from 0"]


@pytest.mark.slow
def test_a_dry_run_without_usable_backbones_has_the_exit_code_of_the_run(
    run: Callable[..., int], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in ((), ("--dry-run",)):
        assert run(failing(), "--input-size", "7", *words) == 2
        assert "none of the requested backbones can be run" in capsys.readouterr().err
    assert run(failing(), "--dry-run") == 0
    assert not results.exists()


@pytest.mark.slow
def test_a_batch_size_above_the_training_images_is_reported(
    run: Callable[..., int], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "A batch of 9 is larger than the training set of 8 images"
    run(ScriptedExecutor(), "--batch-size", "9")
    assert said in capsys.readouterr().out
    assert said in (results / "r" / "report.md").read_text(encoding="utf-8")
    run(ScriptedExecutor(), "--batch-size", "8", "--dry-run")
    assert "training images, so" not in capsys.readouterr().out


def test_an_interrupted_run_writes_its_reports(run: Callable[..., int], results: Path) -> None:
    assert run(ending(KeyboardInterrupt())) == 130
    assert _reports(results) == list(REPORTS)


@pytest.mark.slow
def test_repeating_an_interrupted_command_continues_it(
    run: Callable[..., int], results: Path
) -> None:
    first = ScriptedExecutor(lambda job, trial: KeyboardInterrupt() if trial.seed else "ok")
    assert run(first, "--seeds", "3") == 130
    assert first.ran == [("tiny", 0), ("tiny", 1)]
    again = ScriptedExecutor()
    assert run(again, "--seeds", "3") == 0
    assert again.ran == [("tiny", 1), ("tiny", 2)]
    table = (results / "r" / "summary.csv").read_text(encoding="utf-8").splitlines()
    assert len(table) == 1 + 3


@pytest.mark.slow
def test_a_smaller_fraction_needs_no_new_measurement(
    run: Callable[..., int],
) -> None:
    assert run(ScriptedExecutor()) == 0
    assert run(ScriptedExecutor(), "--fractions", "0.5") == 0  # models are measured on all images


@pytest.mark.slow
def test_a_lack_of_memory_makes_steps_smaller_except_with_no_retry(
    run: Callable[..., int], results: Path
) -> None:
    def script(job: Job, trial: Trial) -> Outcome:
        return "ok" if job.step_images <= 8 else OutOfMemoryError("out of memory: as it was told.")

    assert run(ScriptedExecutor(script)) == 0
    text = (results / "r" / "report.md").read_text(encoding="utf-8")
    assert "Trained as 4 x 8 images with accumulated gradients" in text
    assert run(ScriptedExecutor(script), "--no-retry", "--fresh") == 3
    text = (results / "r" / "report.md").read_text(encoding="utf-8")
    assert "out of memory: as it was told." in text


@pytest.mark.parametrize(
    ("error", "code", "last"),
    [
        (KeyboardInterrupt(), 130, "interrupted; the same command continues from here."),
        (StoppedError("stopped, as it was told to"), 1, "error: stopped, as it was told to"),
    ],
)
def test_an_error_in_reporting_hides_neither_the_first_error_nor_its_exit_code(
    run: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    last: str,
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "write", full)
    assert run(ending(error)) == code
    *_, first, line = filter(None, capsys.readouterr().err.splitlines())
    assert first == (
        "warning: the reports could not be written: no space left on the disk; free some "
        "(`cache clear` frees the cache)."
    )
    assert line == last


def _snapshot(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("packed", [False, True])
def test_a_dry_run_decodes_and_writes_nothing(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str], packed: bool
) -> None:
    words: list[str] = []
    if packed:
        archive = shutil.make_archive(str(tmp_path / "images"), "zip", tmp_path / "data")
        words = ["--dataset", archive]
    before = _snapshot(tmp_path)
    assert run(failing(), "--dry-run", *words) == 0
    assert _snapshot(tmp_path) == before
    text = capsys.readouterr().out
    assert "images    8 train / 4 validation / 4 test, 2 classes" in text
    assert "results/r, 1 trial to do" in text
    assert "audit     not known before the images are decoded" in text


@pytest.mark.slow
def test_a_dry_run_with_decoded_images_knows_the_finished_trials(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data" / "train" / "cat" / "broken.png").write_bytes(b"broken")
    executor = ScriptedExecutor()
    assert run(executor) == Exit.DONE  # without the image, which the report names
    capsys.readouterr()
    before = _snapshot(tmp_path)
    assert run(executor, "--dry-run", "--seeds", "3") == 0
    assert _snapshot(tmp_path) == before
    text = capsys.readouterr().out
    assert "images    8 train / 4 validation / 4 test, 2 classes" in text
    assert "left out  1 unusable image" in text
    assert "results/r, 2 trials to do" in text
    assert "audit     not known" not in text


@pytest.mark.slow
def test_no_audit_skips_the_search_for_copies_and_is_reported(
    run: Callable[..., int], tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = next((tmp_path / "data" / "test" / "cat").iterdir())
    shutil.copy(first, tmp_path / "data" / "train" / "cat" / "copy.png")
    run(ScriptedExecutor())
    assert "test images (25.0%) has a copy" in capsys.readouterr().out
    assert (results / "r" / "audit.json").exists()
    run(ScriptedExecutor(), "--fresh", "--no-audit")
    assert "a copy in train" not in capsys.readouterr().out
    assert not (results / "r" / "audit.json").exists()
    assert "the images were not audited" in (results / "r" / "report.md").read_text()
    run(ScriptedExecutor(), "--no-audit", "--dry-run")
    assert "audit " not in capsys.readouterr().out


def test_on_leak_drop_needs_the_audit(run: Callable[..., int]) -> None:
    assert run(failing(), "--no-audit", "--on-leak", "drop") == 2


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> User:
    """Return a user who has made a run."""
    user = User(tmp_path_factory.mktemp("home"))
    BACKBONES.add(tiny.TINY)
    assert user.main().returncode == 0
    BACKBONES.remove("tiny")
    return user


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--backbones", "tinny"], 2, "unknown backbone 'tinny'. Did you mean 'tiny'? `list zoo`"),
        (["--protocol", "defalt"], 2, "unknown protocol 'defalt'. Did you mean 'default'?"),
        (["--dataset", "nowhere"], 2, "no data set 'nowhere'"),
        (["--weights", "imagenet"], 1, "tiny has no ImageNet weights here"),
        (["--batch-size", "0"], 2, "must be a whole number, 1 or more; got '0'"),
        (["--run", "../r"], 2, "--run '../r': it must be a plain folder name"),
        (["--batch-size", "16"], 2, "run r was made with --batch-size 8, now it is 16"),
        (["--tune", "1"], 2, "must be a whole number from 2 to 9; got '1'"),
        (["--fractions", "0,1"], 2, "separated by commas (0.1,0.3,1); got '0,1'"),
        (["--fractions", "10,1"], 2, "must be different fractions above 0, up to 1, separated"),
    ],
)
def test_errors_are_short_and_say_what_to_do(
    words: list[str], code: int, message: str, finished: User
) -> None:
    result = finished.main(*words)
    assert result.returncode == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 2


def test_validation_images_are_carved_from_train_and_a_dry_run_trains_nothing(
    tmp_path: Path,
) -> None:
    user = User(tmp_path)
    result = user.main("--dry-run", "--run", "dry")
    assert result.returncode == 0
    assert "40 train / 8 validation / 24 test" in result.stdout
    assert not (user.results / "dry").exists()


def test_images_deleted_during_the_run_are_decoded_again(
    run: Callable[..., int], tmp_path: Path
) -> None:
    def delete(job: Job, trial: Trial) -> Outcome:
        there.append(len(list((tmp_path / "cache").glob("entries/images/*"))))
        shutil.rmtree(tmp_path / "cache")
        return DIES

    there: list[int] = []
    run(ScriptedExecutor(delete), "--seeds", "2")
    assert there == [3, 3]  # a job each, as the first one's death left the second trial
