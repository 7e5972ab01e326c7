"""The cache: an entry is whole or absent, damage is detected, the size limit holds."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import pytest
from abandoned import left_beside

from bench.storage.cache import ClearResult, Draft, NoRoomError, NotKeptError, Store, content_key
from bench.system.files import temporary_sibling, to_json

PARTS = {"what": "numbers"}
OTHER = {"what": "letters"}
OTHER_KEY = content_key(OTHER)


def _fill(value: int, shape: tuple[int, ...] = (4, 3)) -> Any:
    def fill(draft: Draft) -> dict[str, Any]:
        draft.append(np.full(shape, value, "float32"))
        return {"note": value}

    return fill


def test_an_entry_is_created_once_and_found_again(store: Store) -> None:
    made = store.get_or_create("k", PARTS, "numbers", 48, _fill(7))
    again = Store(store.root).get_or_create("k", PARTS, "numbers", 48, _fill(8))
    assert again.extra == {"note": 7}
    assert again.cost_seconds == made.cost_seconds
    np.testing.assert_array_equal(again.array(), np.full((4, 3), 7, "float32"))
    assert not again.array().flags.writeable


def test_other_parts_are_another_entry(store: Store) -> None:
    store.get_or_create("k", PARTS, "numbers", 48, _fill(1))
    assert store.find("k", {"what": "letters"}) is None
    assert store.find("other", PARTS) is None


def _truncate(path: Path) -> None:
    (path / "data.npy").write_bytes((path / "data.npy").read_bytes()[:-4])


def _alter_notes(path: Path) -> None:
    meta = path / "meta.json"
    meta.write_text(meta.read_text().replace('"note": 1', '"note": 2'))


def _as_an_earlier_version(path: Path) -> None:
    """Write the entry as an earlier version did, whose checksum did not include the header."""
    meta = json.loads((path / "meta.json").read_text())
    for name in ("header_bytes", "header_crc32", "meta_crc32"):
        del meta[name]
    meta["crc32"] = meta.pop("data_crc32")
    meta["meta_crc32"] = zlib.crc32(to_json(meta).encode())
    (path / "meta.json").write_text(to_json(meta))


def _replace(path: Path, make: Callable[[Path], object]) -> None:
    shutil.rmtree(path)
    make(path)


def _meta(text: str) -> Callable[[Path], object]:
    return lambda path: (path / "meta.json").write_text(text)


def _pipe_for(name: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        (path / name).unlink()
        os.mkfifo(path / name)

    return damage


def _header(before: bytes, after: bytes) -> Callable[[Path], object]:
    def damage(path: Path) -> None:
        data = (path / "data.npy").read_bytes()
        assert data.count(before) == 1
        (path / "data.npy").write_bytes(data.replace(before, after))

    return damage


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut short": _truncate,
    "other byte order": _header(b"<f4", b">f4"),
    "other shape": _header(b"(4, 3)", b"(3, 4)"),
    "other notes": _alter_notes,
    "no metadata": lambda path: (path / "meta.json").unlink(),
    "no data": lambda path: (path / "data.npy").unlink(),
    "null": _meta("null"),
    "a number": _meta("3"),
    "a list": _meta("[]"),
    "no JSON": _meta("{"),
    "no text": lambda path: (path / "meta.json").write_bytes(b"\xff"),
    "deep JSON": _meta("[" * 100_000),
    "deep JSON, closed": _meta('{"meta_crc32": 1, "extra": ' + "[" * 900 + "]" * 900 + "}"),
    "a pipe for metadata": _pipe_for("meta.json"),
    "a pipe for data": _pipe_for("data.npy"),
    "an earlier version": _as_an_earlier_version,
    "an empty folder": lambda path: _replace(path, Path.mkdir),
    "a file": lambda path: _replace(path, Path.touch),
    "a link to nothing": lambda path: _replace(path, lambda p: p.symlink_to("nowhere")),
    "a link to another": lambda path: _replace(path, lambda p: p.symlink_to(p.parent / OTHER_KEY)),
    "another's folder": lambda path: _replace(
        path, lambda p: shutil.copytree(p.parent / OTHER_KEY, p)
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_counts_as_missing_and_is_replaced(store: Store, damage: str) -> None:
    store.get_or_create("k", OTHER, "letters", 48, _fill(2))
    entry = store.get_or_create("k", PARTS, "numbers", 48, _fill(1))
    DAMAGES[damage](entry.path)
    fresh = Store(store.root)
    assert fresh.find("k", PARTS) is None
    assert len(list(fresh.entries())) == 2
    assert fresh.get_or_create("k", PARTS, "numbers", 48, _fill(5)).extra == {"note": 5}
    again = Store(store.root).find("k", PARTS)
    assert again is not None
    np.testing.assert_array_equal(again.array(), np.full((4, 3), 5, "float32"))
    assert {e.description for e in fresh.entries()} == {"letters", "numbers"}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_entries_are_cleared_and_make_room(store: Store, damage: str) -> None:
    store.get_or_create("k", OTHER, "letters", 48, _fill(2))
    DAMAGES[damage](store.get_or_create("k", PARTS, "numbers", 48, _fill(1)).path)
    store.release()
    assert Store(store.root).clear().in_use == 0
    assert list(store.root.glob("entries/*/*")) == []


def test_every_byte_of_the_data_is_checked(store: Store) -> None:
    path = store.get_or_create("k", PARTS, "numbers", 48, _fill(1)).path / "data.npy"
    good = path.read_bytes()
    assert len(good) == 128 + 4 * 3 * 4
    for number in range(0, len(good), 4):
        bad = bytearray(good)
        bad[number] ^= 1 << number % 8
        path.write_bytes(bad)
        assert Store(store.root).find("k", PARTS) is None, number


def test_damage_after_the_first_lookup_is_detected(store: Store) -> None:
    path = store.get_or_create("k", PARTS, "numbers", 48, _fill(1)).path / "data.npy"
    assert store.find("k", PARTS) is not None
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    os.utime(path, (1, 1))
    assert store.find("k", PARTS) is None


def test_a_found_entry_stays_readable_after_deletion(store: Store) -> None:
    store.get_or_create("k", PARTS, "numbers", 48, _fill(7))
    found = store.find("k", PARTS)
    assert found is not None
    shutil.rmtree(store.root)
    np.testing.assert_array_equal(found.array(), np.full((4, 3), 7, "float32"))
    assert store.find("k", PARTS) is None
    assert store.get_or_create("k", PARTS, "numbers", 48, _fill(8)).extra == {"note": 8}


@pytest.mark.parametrize("name", ["entries", "entries/k", "drafts", "locks", "pins"])
def test_a_file_in_place_of_a_folder_is_replaced(store: Store, name: str) -> None:
    (store.root / name).parent.mkdir(parents=True)
    (store.root / name).touch()
    store.get_or_create("k", PARTS, "numbers", 48, _fill(1))
    assert Store(store.root).find("k", PARTS) is not None


@pytest.mark.parametrize("there", ["nothing", "a file"])
def test_a_folder_that_several_processes_create_is_created_once(tmp_path: Path, there: str) -> None:
    barrier = threading.Barrier(4)

    def make(store: Store) -> None:
        barrier.wait()
        store.make_folder("locks")
        (store.root / "locks" / str(threading.get_ident())).touch()

    with ThreadPoolExecutor(4) as pool:
        for number in range(100):
            root = tmp_path / str(number)
            root.mkdir()
            if there == "a file":
                (root / "locks").touch()
            list(pool.map(make, [Store(root) for _ in range(4)]))
            assert len(list((root / "locks").iterdir())) == 4


def test_a_failed_fill_leaves_nothing(store: Store) -> None:
    def fill(draft: Draft) -> None:
        draft.append(np.zeros((2,), "float32"))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        store.get_or_create("k", PARTS, "numbers", 8, fill)
    assert store.find("k", PARTS) is None
    assert not list(store.root.glob("drafts/*"))


def test_least_recently_used_goes_first(tmp_path: Path) -> None:
    store = Store(tmp_path, limit_bytes=10_000)
    entries = {
        n: store.get_or_create("k", {"n": n}, str(n), 4000, _fill(n, (1000,))) for n in (1, 2)
    }
    for n, age in ((1, 50), (2, 100)):
        os.utime(entries[n].path / "used", (1000 - age, 1000 - age))
    store.release()
    store.get_or_create("k", {"n": 3}, "3", 4000, _fill(3, (1000,)))
    assert {e.description for e in store.entries()} == {"1", "3"}


def test_a_computed_array_is_cached_and_returned_even_without_room(tmp_path: Path) -> None:
    computed: list[int] = []

    def compute() -> Any:
        computed.append(1)
        return np.arange(1000)

    for limit, times in ((10**6, 1), (10**6, 1), (100, 2), (100, 3)):
        store = Store(tmp_path / str(limit), limit_bytes=limit)
        assert store.get_or_compute("k", PARTS, "numbers", compute).tolist() == list(range(1000))
        assert len(computed) == times
        assert not list(store.root.glob("drafts/*"))


def test_an_entry_above_the_limit_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path, limit_bytes=100)
    with pytest.raises(NoRoomError, match="needs 4,000 bytes, the cache may hold 100"):
        store.get_or_create("k", PARTS, "numbers", 4000, _fill(1, (1000,)))


def test_nothing_is_deleted_if_the_entry_would_still_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two entries of 4,128 bytes, 1,000 bytes free: 9,000 bytes need 9,900, and 9,256 can be."""
    maker = Store(tmp_path)
    for number in (1, 2):
        maker.get_or_create("k", {"n": number}, str(number), 4000, _fill(number, (1000,)))
    maker.release()
    store = Store(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(
        NoRoomError, match="needs 9,900 bytes, including a reserve of 10%; the disk has 1,000 free"
    ):
        store.begin_draft("k", "3", 9000)
    assert [e.description for e in store.entries()] == ["1", "2"]
    store.limit_bytes = 8999
    with pytest.raises(NoRoomError, match="needs 9,000 bytes, the cache may hold 8,999"):
        store.begin_draft("k", "3", 9000)
    assert [e.description for e in store.entries()] == ["1", "2"]


def test_drafts_begun_together_reserve_their_room_once(tmp_path: Path) -> None:
    """Three of 1,000 bytes fit into 3,600 with their headers; a fourth does not."""
    store = Store(tmp_path, limit_bytes=3600)
    drafts = store.begin_drafts("k", [(str(number), 1000) for number in range(3)])
    for number, draft in enumerate(drafts):
        draft.append(np.zeros(1000, "uint8"))
        with pytest.raises(NoRoomError, match="needs 1,000 bytes"):
            store.begin_draft("k", "4", 1000)
        draft.commit({"n": number}, 1.0)
    assert len(list(store.entries())) == 3
    with pytest.raises(NoRoomError, match="may hold 3,600, of which 3,384 are in use"):
        store.begin_drafts("k", [("4", 100), ("5", 200)])
    assert not list(tmp_path.glob("drafts/.k.*"))


def test_entries_pinned_by_another_process_are_not_deleted(tmp_path: Path) -> None:
    user, other = Store(tmp_path, limit_bytes=10_000), Store(tmp_path, limit_bytes=10_000)
    for number in (1, 2):
        other.get_or_create("k", {"n": number}, str(number), 4000, _fill(number, (1000,)))
    other.release()
    assert user.find("k", {"n": 1}) is not None
    other.get_or_create(
        "k", {"n": 3}, "3", 4000, _fill(3, (1000,))
    )  # 2 was used before 1, which is in use
    assert {e.description for e in other.entries()} == {"1", "3"}
    with pytest.raises(NoRoomError, match="of which 8,256 are in use"):
        other.get_or_create("k", {"n": 4}, "4", 4000, _fill(4, (1000,)))
    assert Store(tmp_path).clear() == ClearResult(freed=0, in_use=2, refused=0)
    del user
    assert Store(tmp_path).clear() == ClearResult(freed=4128, in_use=1, refused=0)


def test_an_entry_released_during_clear_counts_as_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, other = Store(tmp_path), Store(tmp_path)
    user.get_or_create("k", PARTS, "numbers", 48, _fill(1))
    remove_stale = other.remove_stale

    def release_first() -> None:
        user.release()
        remove_stale()

    monkeypatch.setattr(other, "remove_stale", release_first)
    assert other.clear() == ClearResult(freed=0, in_use=1, refused=0)


def test_pins_of_dead_processes_are_ignored(store: Store) -> None:
    entry = store.get_or_create("k", PARTS, "numbers", 48, _fill(1))
    store.release()
    lease = left_beside(store.root / "pins" / "in-use")
    lease.mkdir()
    (lease / f"k-{entry.key}").touch()
    assert store.clear() == ClearResult(freed=entry.nbytes, in_use=0, refused=0)
    assert not lease.exists()


def test_clear_keeps_open_drafts(store: Store) -> None:
    draft = store.begin_draft("k", "numbers", 48)
    draft.append(np.ones((4, 3), "float32"))
    Store(store.root).clear()
    assert draft.commit(PARTS, 1.0).array().shape == (4, 3)


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function that makes the file system behave as if mounted read-only."""

    def begin() -> None:
        def refuse(*args: Any, **options: Any) -> NoReturn:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        real = os.open

        def opened(path: Any, flags: int, *args: Any, **options: Any) -> int:
            return refuse() if flags & (os.O_RDWR | os.O_CREAT) else real(path, flags)

        for name in ("mkdir", "touch", "rename", "unlink"):
            monkeypatch.setattr(Path, name, refuse)
        monkeypatch.setattr(os, "open", opened)

    return begin


def test_an_unwritable_cache_is_still_read(store: Store, read_only: Callable[[], None]) -> None:
    store.get_or_create("k", PARTS, "numbers", 48, _fill(7))
    store.release()
    shutil.rmtree(store.root / "locks")
    read_only()
    fresh = Store(store.root)
    assert fresh.get_or_create("k", PARTS, "numbers", 48, _fill(8)).extra == {"note": 7}
    with pytest.raises(NotKeptError, match=r"cache .*/cache cannot be written: Read-only file"):
        fresh.get_or_create("k", OTHER, "letters", 48, _fill(8))
    assert fresh.clear() == ClearResult(freed=0, in_use=0, refused=1)
    assert len(list(fresh.entries())) == 1


def test_an_unreadable_cache_counts_as_empty(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run as root, who can read everything, so the system's error is simulated."""
    store.get_or_create("k", PARTS, "numbers", 48, _fill(7))

    def refuse(path: Path, **options: Any) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    for name in ("stat", "lstat", "mkdir", "touch"):
        monkeypatch.setattr(Path, name, refuse)
    fresh = Store(store.root)
    assert fresh.find("k", PARTS) is None
    with pytest.raises(NotKeptError, match="cannot be written: Permission denied"):
        fresh.get_or_create("k", PARTS, "numbers", 48, _fill(8))


def test_a_full_disk_raises_not_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NotKeptError, match="cannot be written: No space left on device"):
        store.get_or_create("k", PARTS, "numbers", 48, _fill(1))
    assert not list(store.root.glob("drafts/*"))


def test_read_only_by_choice_writes_nothing(store: Store) -> None:
    store.get_or_create("k", PARTS, "numbers", 48, _fill(7))
    store.release()
    before = {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}
    reader = Store(store.root, read_only=True)
    assert reader.get_or_create("k", PARTS, "numbers", 48, _fill(8)).extra == {"note": 7}
    with pytest.raises(NotKeptError, match="is only read"):
        reader.get_or_create("k", OTHER, "letters", 48, _fill(8))
    with reader.temporary_folder() as elsewhere:
        assert store.root not in elsewhere.parents
    assert reader.clear() == ClearResult(freed=0, in_use=0, refused=1)
    assert {path: path.stat().st_mtime_ns for path in store.root.rglob("*")} == before
    assert not elsewhere.exists()


def test_drafts_of_dead_processes_are_removed(store: Store) -> None:
    draft = store.root / "drafts" / "k"
    alive, dead = temporary_sibling(draft), left_beside(draft)
    for folder in (dead, alive):
        folder.mkdir(parents=True)
    store.get_or_create("k", PARTS, "numbers", 48, _fill(1))
    assert (dead.exists(), alive.exists()) == (False, True)


def _make_in_process(root: Path, queue: Any) -> None:
    made: list[Draft] = []

    def fill(draft: Draft) -> Any:
        made.append(draft)
        return _fill(os.getpid())(draft)

    entry = Store(root).get_or_create("k", PARTS, "numbers", 48, fill)
    queue.put((not made, int(entry.array()[0, 0])))


@pytest.mark.slow
def test_two_processes_create_an_entry_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=_make_in_process, args=(tmp_path, queue)) for _ in "ab"]
    for process in processes:
        process.start()
    results = [queue.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert sorted(reused for reused, _ in results) == [False, True]
    assert len({value for _, value in results}) == 1


def test_clear(store: Store) -> None:
    entry = store.get_or_create("k", PARTS, "numbers", 48, _fill(1))
    store.release()
    assert store.clear() == ClearResult(freed=entry.nbytes, in_use=0, refused=0)
    assert list(store.entries()) == []
