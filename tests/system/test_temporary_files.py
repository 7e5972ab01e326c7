"""Temporary files: those of running processes stay, those of dead processes are removed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from abandoned import NO_PROCESS, left_beside

from bench.system.files import remove_stale, temporary_folder, temporary_sibling, write_atomic

DAY = 24 * 3600


def _left_by(pid: int, folder: Path) -> Path:
    path = left_beside(folder / "records.jsonl", pid)
    path.write_text("half a li")
    return path


def _grow_old(path: Path, seconds: float) -> None:
    os.utime(path, (path.stat().st_mtime - seconds,) * 2)


def test_files_of_a_dead_process_are_removed_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "arrays").mkdir()
    folder = left_beside(tmp_path / "export")
    (folder / "inside").mkdir(parents=True)
    link = left_beside(tmp_path / "latest")
    link.symlink_to("nowhere")
    left = [_left_by(NO_PROCESS, tmp_path), _left_by(NO_PROCESS, tmp_path / "arrays"), folder]
    remove_stale(tmp_path)
    assert not any(path.exists() for path in left)
    assert not link.is_symlink()


def test_without_recursive_only_the_folder_itself_is_searched(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    here, below = _left_by(NO_PROCESS, tmp_path), _left_by(NO_PROCESS, tmp_path / "run")
    remove_stale(tmp_path, recursive=False)
    assert (here.exists(), below.exists()) == (False, True)


def test_files_of_a_running_process_stay(tmp_path: Path) -> None:
    path = temporary_sibling(tmp_path / "records.jsonl")
    path.write_text("half a li")
    remove_stale(tmp_path)
    assert path.exists()


def test_a_reused_process_number_does_not_keep_files(tmp_path: Path) -> None:
    path = _left_by(os.getpid(), tmp_path)
    _grow_old(path, DAY)  # older than this process
    remove_stale(tmp_path)
    assert not path.exists()


def test_a_zombie_process_counts_as_dead(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    path = _left_by(process.pid, tmp_path)
    remove_stale(tmp_path)
    assert not path.exists()
    process.wait()


def test_files_of_other_machines_are_kept_for_a_day(tmp_path: Path) -> None:
    path = tmp_path / f".records.jsonl.{NO_PROCESS}-0123456789abcdef"
    path.write_text("half a li")
    _grow_old(path, 0.9 * DAY)
    remove_stale(tmp_path)
    assert path.exists()
    _grow_old(path, 0.2 * DAY)
    remove_stale(tmp_path)
    assert not path.exists()


def test_a_folder_is_as_old_as_its_newest_file(tmp_path: Path) -> None:
    folder = tmp_path / f".export.{NO_PROCESS}-0123456789abcdef"
    folder.mkdir()
    (folder / "growing").touch()
    _grow_old(folder, 2 * DAY)
    remove_stale(tmp_path)
    assert folder.exists()
    _grow_old(folder / "growing", 2 * DAY)
    remove_stale(tmp_path)
    assert not folder.exists()


def test_a_temporary_folder_is_removed_afterwards(tmp_path: Path) -> None:
    with temporary_folder(tmp_path) as folder:
        (folder / "half").touch()
        remove_stale(tmp_path)
        assert (folder / "half").exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [".hidden", ".2024-20241122", "99999999-0123456789abcdef", "a.99999999-0123456789abcdef"],
)
def test_files_with_other_names_are_kept(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    remove_stale(tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_writing_leaves_no_temporary_file(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a.json", "{}")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_the_file_of_a_killed_write_is_removed(tmp_path: Path) -> None:
    """As `kill -9` does it: between the file's last byte and its new name."""
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "import bench.system.files\n"
        "bench.system.files.os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)\n"
        "bench.system.files.write_atomic(Path(sys.argv[1]), '{}')\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.json")], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".a.json.")
    remove_stale(tmp_path)
    assert not left.exists()
