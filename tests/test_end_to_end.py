"""The command as a user gives it, with processes that really train: what no stand-in can show."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import psutil
import pytest
from processes import has_ended
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss
from user import PLUGINS, User, process

from bench.analysis.metrics.base import METRICS
from bench.execution.executors.devices import has_no_gpu
from bench.storage.records import StoredRun, read_records
from bench.types import Record

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> User:
    return User(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def finished(user: User) -> StoredRun:
    result = user.run("--seeds", "2")
    assert result.returncode == 0, result.stdout + result.stderr
    return user.load()


def test_what_a_run_leaves(user: User, finished: StoredRun) -> None:
    folder = user.results / "latest"
    for name in ("report.md", "summary.csv", "records.jsonl", "run.json", "dataset.json"):
        assert (folder / name).stat().st_size > 0
    assert len(list((folder / "figures").glob("*.png"))) >= 3
    table = pd.read_csv(folder / "summary.csv")
    expected = (
        "backbone status weights input_size seed accuracy loss val_accuracy train_seconds "
        "latency_p50_ms latency_p90_ms throughput_images_per_second params"
    )
    assert " ".join(table.columns[:13]) == expected
    assert table["seed"].tolist() == [0, 1]
    assert table["weights"].tolist() == ["random init"] * 2
    assert table["rank"].isna().all()
    assert "random init" in (folder / "report.md").read_text()


def test_the_framework_s_start_up_lines_are_not_seen(
    user: User, finished: StoredRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    plugin = ("--plugin", str(PLUGINS))
    checked = process(user.home, *user.program, "check", "tiny", *plugin)
    assert (checked.returncode, checked.stderr) == (0, "")
    predicted = process(
        user.home, *user.program, "predict", "r", "tiny", str(user.home / "data" / "test"), *plugin
    )
    assert predicted.returncode == 0
    assert [line.partition(" ")[0] for line in predicted.stderr.splitlines()] == [
        "model",
        "The",  # model was trained from random weights
        "Confidence",  # is not calibrated
        "24",  # of 24 answers are unsure
    ]


def test_memory_is_that_of_processes_that_did_nothing_else(finished: StoredRun) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux tells the peak of a part of a process's life")
    for record in finished.records:
        taken = record.runtimes[0].memory_bytes
        assert taken is not None
        # The tiny model has next to no weights: most is what tracing it takes.
        assert 0.1e6 < taken < 100e6 < record.memory_bytes


def test_figures_agree_with_scikit_learn(finished: StoredRun) -> None:
    for evidence in finished.evidence:
        labels = evidence.arrays["test_labels"]
        probabilities = evidence.arrays["test_probabilities"]
        guesses = probabilities.argmax(axis=1)
        expected = accuracy_score(labels, guesses)
        assert METRICS["accuracy"].compute(evidence) == pytest.approx(expected, abs=1e-6)
        expected = log_loss(labels, probabilities)
        assert METRICS["loss"].compute(evidence) == pytest.approx(expected, abs=1e-6)
        assert confusion_matrix(labels, guesses).sum() == 24
        # The last phase's probabilities are the trial's.
        phases = evidence.arrays["phase_test_probabilities"]
        np.testing.assert_array_equal(phases[-1], probabilities)


def test_test_images_chose_nothing(finished: StoredRun) -> None:
    splits = finished.dataset.splits
    assert (len(splits["train"]), len(splits["validation"]), len(splits["test"])) == (40, 8, 24)
    assert all(name.startswith("test/") for name in splits["test"].ids)
    assert all(name.startswith("train/") for name in splits["validation"].ids)


def test_seconds_add_up(finished: StoredRun) -> None:
    first, second = sorted(finished.records, key=_seed)
    for record in (first, second):
        parts = {k: v for k, v in record.seconds.items() if k not in ("total", "reused")}
        assert sum(parts.values()) == pytest.approx(record.seconds["total"])
        assert 0 < record.seconds["reused"] < record.seconds["total"]
    # The second seed found the images, the activations and the compiled steps done.
    assert second.seconds["features"] == pytest.approx(first.seconds["features"])
    before, again = (
        # One of them was measured, and stands for the other.
        record.seconds["reused"] - (record.seconds["measure"] if record.notes else 0.0)
        for record in (first, second)
    )
    assert again > before + first.seconds["features"]


def test_a_seed_gives_the_same_probabilities_without_the_cache(
    user: User, finished: StoredRun
) -> None:
    """With it they are identical: `test_killed_while_it_trains_it_goes_on` compares them."""
    result = user.run("--seed", "1", "--run", "plain", "--no-cache")
    assert result.returncode == 0, result.stderr

    def probabilities(name: str, seed: int) -> np.ndarray:
        (evidence,) = (e for e in user.load(name).evidence if e.record.trial.seed == seed)
        return evidence.arrays["test_probabilities"]

    np.testing.assert_allclose(probabilities("r", 1), probabilities("plain", 1), rtol=1e-4)
    assert not np.allclose(probabilities("r", 0), probabilities("r", 1), rtol=1e-2)


def test_failures_are_records_and_exit_code_3(user: User) -> None:
    """The first is built ahead, while images are decoded: its death takes no other with it."""
    result = user.run("--run", "faulty", "--no-retry", backbones="dies,raises,tiny")
    assert result.returncode == 3, result.stderr
    records = {r.trial.backbone: r for r in user.load("faulty").records}
    assert records["raises"].reason == "ValueError: this network cannot be built"
    assert "killed by SIGKILL" in records["dies"].reason
    assert records["tiny"].status == "ok"
    if sys.platform == "linux" and has_no_gpu():
        # Loaded once, before the others; theirs to pay for.
        spent = records["tiny"].seconds
        assert 0 < spent["imports"] < spent["reused"]
    report = (user.results / "faulty" / "report.md").read_text()
    assert "this network cannot be built" in report


def test_killed_while_it_trains_it_goes_on(user: User, finished: StoredRun) -> None:
    """Nothing is lost or counted twice; `test_killed_run.py` kills at any other instant."""
    process = _at_work(user, "--seeds", "2", "--run", "killed")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert user.run("--seeds", "2", "--run", "killed").returncode == 0
    records = read_records(user.results / "killed")
    assert sorted(r.trial.seed for r in records) == [0, 1]
    undisturbed = sorted(finished.evidence, key=lambda e: _seed(e.record))
    killed = sorted(user.load("killed").evidence, key=lambda e: _seed(e.record))
    for one, other in zip(undisturbed, killed, strict=True):
        assert one.record.trial.seed == other.record.trial.seed
        np.testing.assert_array_equal(
            one.arrays["test_probabilities"], other.arrays["test_probabilities"]
        )
    assert not list(user.results.rglob(".*.*-*"))


def test_a_worker_ends_with_its_parent(user: User) -> None:
    process = _at_work(user, "--run", "orphan", "--seeds", "20")
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 20
    while not all(has_ended(worker) for worker in workers):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.2)


def test_interrupted_politely(user: User) -> None:
    # A shell's background job ignores the signal, and so would all that it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = _at_work(user, "--run", "polite", "--seeds", "20")
    finally:
        signal.signal(signal.SIGINT, before)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip().endswith("interrupted; the same command continues from here.")


def _at_work(user: User, *words: str) -> subprocess.Popen[str]:
    """Start the command; it has come so far as to train."""
    process = subprocess.Popen(
        user.command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdout is not None
    assert any("tiny: " in line for line in process.stdout)
    return process


def _seed(record: Record) -> int:
    return record.trial.seed
