"""`verify` on the command line: exit codes, and missing or changed data."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from user import User, in_process, process

from bench.storage.arrays import read_arrays, write_arrays

SHARES = ("--seeds", "2", "--fractions", "0.1,1")


@pytest.mark.slow
def test_the_same_machine_gives_the_same_probabilities(tmp_path: Path) -> None:
    """The run is tuned, deterministic, and includes a tenth of the images."""
    user = User(tmp_path)
    made = user.run("--tune", "2", "--fractions", "0.1,1", "--deterministic")
    assert made.returncode == 0, made.stdout + made.stderr
    result = process(user.home, *user.program, "verify", "r")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "24 images: largest difference of a probability 0, 0 predicted" in result.stdout
    assert result.stdout.endswith("The same probabilities, bit for bit\n")
    run = user.load()
    for record in (*run.records, *run.subset_records):
        assert record.command[:2] == ("run_bench.py", "run")
        assert record.split_seed == 0
        assert record.environment["variables"]["XLA_FLAGS"] == "--xla_gpu_deterministic_ops=true"


@pytest.fixture
def user(tmp_path: Path, tiny_backbone: None) -> User:
    """Return a user who has made a run."""
    user = User(tmp_path)
    assert user.main(*SHARES).returncode == 0
    return user


@pytest.mark.slow
def test_the_same_probabilities_give_exit_code_0(user: User) -> None:
    result = in_process(user.home, "verify", "r")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "24 images: largest difference of a probability 0, 0 predicted" in result.stdout
    assert result.stdout.endswith("The same probabilities, bit for bit\n")


@pytest.mark.slow
def test_other_probabilities_give_exit_code_1(user: User) -> None:
    run = user.load()
    for record in (*run.records, *run.subset_records):
        arrays = read_arrays(run.folder, record, len(run.dataset.classes))
        arrays["test_probabilities"] = arrays["test_probabilities"][:, ::-1]
        write_arrays(run.folder, record.trial.key, arrays, replaces=record.arrays_sha256)
    result = in_process(user.home, "verify", "r")
    assert result.returncode == 1
    assert "24 predicted classes changed" in result.stdout
    assert "Not the same probabilities" in result.stdout


@pytest.mark.slow
def test_changed_or_missing_data_are_an_error(user: User) -> None:
    data = user.home / "data"
    (first, *_) = sorted((data / "train" / "cat").iterdir())
    kept = first.read_bytes()
    Image.new("RGB", (32, 32), "red").save(first)
    changed = in_process(user.home, "verify", "r")
    first.write_bytes(kept)
    assert changed.returncode == 1
    assert "data has changed since the trial was trained: its fingerprint is" in changed.stderr
    data.rename(user.home / "elsewhere")
    gone = in_process(user.home, "verify", "r")
    assert gone.returncode == 1
    assert f"no data set {str(data)!r}" in gone.stderr
    assert in_process(user.home, "verify", "nothing").returncode == 2
