"""What is half written: a living process keeps it, a dead one's is removed, a user's never is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.files import write_atomic
from bench.unfinished import beside, sweep

DAY = 24 * 3600


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def _left_by(pid: int, folder: Path) -> Path:
    path = folder / f".records.jsonl.{pid}-0123456789abcdef"
    path.write_text("half a li")
    return path


def test_what_a_dead_process_left_is_removed_wherever_it_is(tmp_path: Path, dead: int) -> None:
    (tmp_path / "arrays").mkdir()
    folder = tmp_path / f".export.{dead}-0123456789abcdef"
    (folder / "inside").mkdir(parents=True)
    link = tmp_path / f".latest.{dead}-0123456789abcdef"
    link.symlink_to("nowhere")
    left = [_left_by(dead, tmp_path), _left_by(dead, tmp_path / "arrays"), folder]
    sweep(tmp_path)
    assert not any(path.exists() for path in left)
    assert not link.is_symlink()


def test_only_the_folder_itself_where_that_is_asked_for(tmp_path: Path, dead: int) -> None:
    (tmp_path / "run").mkdir()
    here, below = _left_by(dead, tmp_path), _left_by(dead, tmp_path / "run")
    sweep(tmp_path, below=False)
    assert (here.exists(), below.exists()) == (False, True)


def test_what_is_being_written_stays(tmp_path: Path) -> None:
    path = beside(tmp_path / "records.jsonl")
    path.write_text("half a li")
    sweep(tmp_path)
    assert path.exists()


def test_a_number_that_another_process_has_now_is_no_excuse(tmp_path: Path) -> None:
    path = _left_by(os.getpid(), tmp_path)
    os.utime(path, (path.stat().st_mtime - DAY,) * 2)  # older than this process
    sweep(tmp_path)
    assert not path.exists()


@pytest.mark.parametrize(
    "name",
    [".hidden", ".2024-20241122", "99999999-0123456789abcdef", "a.99999999-0123456789abcdef"],
)
def test_files_of_others_are_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    sweep(tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_nothing_is_left_beside_a_file_that_was_written(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a.json", "{}")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_write_that_was_killed_is_swept(tmp_path: Path) -> None:
    """As `kill -9` does it: between the file's last byte and its new name."""
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "import bench.files\n"
        "bench.files.os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)\n"
        "bench.files.write_atomic(Path(sys.argv[1]), '{}')\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.json")], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".a.json.")
    sweep(tmp_path)
    assert not left.exists()
