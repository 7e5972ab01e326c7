"""A leak in the command `run`: an error before training, or its copies left out."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image
from user import User, in_process

from bench.data.audit.result import load_audit
from bench.storage.records import read_run

pytestmark = pytest.mark.usefixtures("tiny_backbone")


@pytest.fixture
def user(tmp_path: Path) -> User:
    """Two test images stand in train as well, one of them as a JPEG."""
    user = User(tmp_path)
    cats, dogs = (sorted((tmp_path / "data/test" / name).iterdir()) for name in ("cat", "dog"))
    shutil.copy(cats[0], tmp_path / "data/train/cat/copy.png")
    with Image.open(dogs[0]) as image:
        image.save(tmp_path / "data/train/dog/copy.jpg", quality=95)
    return user


@pytest.mark.slow
def test_fail_stops_before_training(user: User) -> None:
    result = user.main("--on-leak", "fail")
    assert result.returncode == 1
    assert "of 24 test images" in result.stderr
    assert "Traceback" not in result.stderr
    assert not user.results.exists()


@pytest.mark.slow
def test_drop_trains_without_the_copies_leaves_the_files_and_can_be_verified(user: User) -> None:
    files = sorted((user.home / "data").rglob("*"))
    result = user.main("--on-leak", "drop")
    assert result.returncode == 0, result.stdout + result.stderr
    assert sorted((user.home / "data").rglob("*")) == files
    folder = user.results / "r"
    kept = load_audit(folder)
    assert kept is not None
    assert "train/cat/copy.png" in kept.dropped
    splits = read_run(folder).dataset.splits
    assert not set(kept.dropped) & {*splits["train"].ids, *splits["validation"].ids}
    assert all((folder / path).is_file() for path in kept.pictures)
    assert "left out of train and validation" in (folder / "report.md").read_text()
    again = in_process(user.home, "verify", str(folder))
    assert again.returncode == 0, again.stdout + again.stderr
    assert "The same probabilities" in again.stdout
