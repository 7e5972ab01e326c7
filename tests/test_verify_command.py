"""`verify` as a user gives it: exit codes, and data that are gone or no longer the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from workbench import write_images

from bench.storage.arrays import read_arrays, write_arrays
from bench.storage.records import load_run

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = Path(__file__).parent / "plugins" / "tiny_backbone.py"


def command(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "run_bench.py"), *words],
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where somebody has made a run, tuned, deterministic, and on a tenth of the images too."""
    home = tmp_path_factory.mktemp("home")
    write_images(home / "data", {"train": 48, "validation": 8, "test": 16})
    result = command(
        home,
        *("--backbones", "tiny", "--plugin", str(PLUGIN), "--dataset", "data", "--run", "r"),
        *("--batch-size", "8", "--latency-seconds", "0.05", "--cache", "cache"),
        *("--tune", "2", "--fractions", "0.1,1", "--deterministic"),
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return home


def test_the_same_machine_gives_the_same_probabilities(home: Path) -> None:
    result = command(home, "verify", "r")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "16 images: largest difference of a probability 0, 0 predicted" in result.stdout
    assert result.stdout.endswith("the same probabilities, bit for bit\n")
    run = load_run(home / "results" / "r")
    for record in (*run.records, *run.smaller):
        assert record.command[:2] == ("run_bench.py", "run")
        assert record.split_seed == 0
        assert record.environment["variables"]["XLA_FLAGS"] == "--xla_gpu_deterministic_ops=true"


def test_other_probabilities_are_told_and_exit_with_1(home: Path) -> None:
    run = load_run(home / "results" / "r")
    for record in (*run.records, *run.smaller):
        arrays = read_arrays(run.folder, record, len(run.dataset.classes))
        arrays["test_probabilities"] = arrays["test_probabilities"][:, ::-1]
        write_arrays(run.folder, record.trial.key, arrays, replaces=record.arrays_sha256)
    result = command(home, "verify", "r")
    assert result.returncode == 1
    assert "16 predicted classes changed" in result.stdout
    assert "not the same probabilities" in result.stdout


def test_data_that_changed_or_went_are_an_error(home: Path) -> None:
    (first, *_) = sorted((home / "data" / "train" / "cat").iterdir())
    kept = first.read_bytes()
    Image.new("RGB", (32, 32), "red").save(first)
    changed = command(home, "verify", "r")
    first.write_bytes(kept)
    assert changed.returncode == 1
    assert "data is not what the trial was trained on: its fingerprint is" in changed.stderr
    (home / "data").rename(home / "elsewhere")
    gone = command(home, "verify", "r")
    (home / "elsewhere").rename(home / "data")
    assert gone.returncode == 1
    assert "no data set 'data'" in gone.stderr
    assert command(home, "verify", "nothing").returncode == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tune", "1"], "must be a whole number from 2 to 9; got '1'"),
        (["--fractions", "0,1"], "with commas (0.1,0.3,1); got '0,1'"),
        (
            ["--fractions", "10,1"],
            "must be different shares above 0, up to 1, with commas (0.1,0.3,1); got '10,1'",
        ),
    ],
)
def test_what_cannot_be_asked(home: Path, words: list[str], message: str) -> None:
    result = command(home, *words)
    assert result.returncode == 2
    assert message in result.stderr
