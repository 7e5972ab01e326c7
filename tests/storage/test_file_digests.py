"""Cached digests of files: each file is read once, and changes are detected."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from bench.storage import cache
from bench.storage.cache import FileDigests


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat files as settled, although the tests write and read them within a moment."""
    monkeypatch.setattr(cache, "SETTLED_SECONDS", -1.0)


def test_a_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w.h5").write_bytes(b"first")
    memory = tmp_path / "cache" / "digests.json"
    assert FileDigests(memory).sha256(tmp_path / "w.h5") == digest(b"first")
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", lambda *args: pytest.fail("read again"))
        assert FileDigests(memory).sha256(tmp_path / "w.h5") == digest(b"first")


def test_a_change_with_equal_size_and_date_is_detected(tmp_path: Path) -> None:
    path, memory = tmp_path / "w.h5", tmp_path / "digests.json"
    path.write_bytes(b"first")
    FileDigests(memory).sha256(path)
    times = path.stat()
    path.write_bytes(b"other")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as `cp -p` does
    assert FileDigests(memory).sha256(path) == digest(b"other")


def test_recently_written_files_are_not_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "SETTLED_SECONDS", 60.0)
    (tmp_path / "w.h5").write_bytes(b"first")
    FileDigests(tmp_path / "digests.json").sha256(tmp_path / "w.h5")
    assert not (tmp_path / "digests.json").exists()


@pytest.mark.parametrize("content", ["", "[]", "null", '{"%s": 1}', '{"%s": [1, 2, 3, 4]}'])
def test_a_damaged_digest_file_is_ignored(tmp_path: Path, content: str) -> None:
    path, memory = tmp_path / "w.h5", tmp_path / "digests.json"
    path.write_bytes(b"first")
    memory.write_text(content.replace("%s", str(path)))
    assert FileDigests(memory).sha256(path) == digest(b"first")


def test_an_unwritable_digest_file_is_not_an_error(tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(b"first")
    (tmp_path / "file").write_text("not a folder")
    found = FileDigests(tmp_path / "file" / "digests.json").sha256(tmp_path / "w.h5")
    assert found == digest(b"first")
