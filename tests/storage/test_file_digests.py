"""A file of weights is its content, whatever its name; the content is read once."""

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
    """Files here are written and looked at in one moment."""
    monkeypatch.setattr(cache, "SETTLED_SECONDS", -1.0)


def test_a_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w.h5").write_bytes(b"first")
    memory = tmp_path / "cache" / "digests.json"
    assert FileDigests(memory).sha256(tmp_path / "w.h5") == digest(b"first")
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", lambda *args: pytest.fail("read again"))
        assert FileDigests(memory).sha256(tmp_path / "w.h5") == digest(b"first")


def test_another_content_of_the_same_size_and_age_is_seen(tmp_path: Path) -> None:
    path, memory = tmp_path / "w.h5", tmp_path / "digests.json"
    path.write_bytes(b"first")
    FileDigests(memory).sha256(path)
    times = path.stat()
    path.write_bytes(b"other")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as `cp -p` does
    assert FileDigests(memory).sha256(path) == digest(b"other")


def test_what_was_written_just_now_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "SETTLED_SECONDS", 60.0)
    (tmp_path / "w.h5").write_bytes(b"first")
    FileDigests(tmp_path / "digests.json").sha256(tmp_path / "w.h5")
    assert not (tmp_path / "digests.json").exists()


@pytest.mark.parametrize("content", ["", "[]", "null", '{"%s": 1}', '{"%s": [1, 2, 3, 4]}'])
def test_a_damaged_memory_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    path, memory = tmp_path / "w.h5", tmp_path / "digests.json"
    path.write_bytes(b"first")
    memory.write_text(content.replace("%s", str(path)))
    assert FileDigests(memory).sha256(path) == digest(b"first")


def test_a_memory_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(b"first")
    (tmp_path / "file").write_text("not a folder")
    found = FileDigests(tmp_path / "file" / "digests.json").sha256(tmp_path / "w.h5")
    assert found == digest(b"first")
