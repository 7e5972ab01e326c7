"""The store: an entry is whole or absent, damage is noticed, the bound holds."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from abandoned import left_beside

from bench.store import Draft, NoRoomError, Store
from bench.unfinished import beside

PARTS = {"what": "numbers"}


def _fill(value: int, shape: tuple[int, ...] = (4, 3)) -> Any:
    def fill(draft: Draft) -> dict[str, Any]:
        draft.append(np.full(shape, value, "float32"))
        return {"note": value}

    return fill


def test_made_once_and_found_again(store: Store) -> None:
    made = store.make("k", PARTS, "numbers", 48, _fill(7))
    again = Store(store.root).make("k", PARTS, "numbers", 48, _fill(8))
    assert (made.reused, again.reused) == (False, True)
    assert again.extra == {"note": 7}
    assert again.cost_seconds == made.cost_seconds
    np.testing.assert_array_equal(again.array(), np.full((4, 3), 7, "float32"))
    assert not again.array().flags.writeable


def test_other_parts_are_another_entry(store: Store) -> None:
    store.make("k", PARTS, "numbers", 48, _fill(1))
    assert store.find("k", {"what": "letters"}) is None
    assert store.find("other", PARTS) is None


@pytest.mark.parametrize("damage", ["flip", "truncate", "meta", "no meta"])
def test_damage_is_rebuilt(store: Store, damage: str) -> None:
    entry = store.make("k", PARTS, "numbers", 48, _fill(1))
    data, meta = entry.path / "data.npy", entry.path / "meta.json"
    raw = bytearray(data.read_bytes())
    if damage == "flip":
        raw[-1] ^= 1
        data.write_bytes(raw)
    elif damage == "truncate":
        data.write_bytes(raw[:-4])
    elif damage == "meta":
        meta.write_text(meta.read_text().replace('"note": 1', '"note": 2'))
    else:
        meta.unlink()
    fresh = Store(store.root)
    assert fresh.find("k", PARTS) is None
    assert fresh.make("k", PARTS, "numbers", 48, _fill(5)).extra == {"note": 5}


def test_failed_maker_leaves_nothing(store: Store) -> None:
    def fill(draft: Draft) -> None:
        draft.append(np.zeros((2,), "float32"))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        store.make("k", PARTS, "numbers", 8, fill)
    assert store.find("k", PARTS) is None
    assert not list(store.root.glob("drafts/*"))


def test_least_recently_used_goes_first(tmp_path: Path) -> None:
    store = Store(tmp_path, limit_bytes=10_000)
    entries = {n: store.make("k", {"n": n}, str(n), 4000, _fill(n, (1000,))) for n in (1, 2)}
    for n, age in ((1, 50), (2, 100)):
        os.utime(entries[n].path / "used", (1000 - age, 1000 - age))
    store.make("k", {"n": 3}, "3", 4000, _fill(3, (1000,)))
    assert {e.description for e in store.entries()} == {"1", "3"}


def test_more_than_the_bound_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path, limit_bytes=100)
    with pytest.raises(NoRoomError, match="needs 4,000 bytes, the cache may hold 100"):
        store.make("k", PARTS, "numbers", 4000, _fill(1, (1000,)))


def test_drafts_of_dead_processes_are_swept(store: Store) -> None:
    draft = store.root / "drafts" / "k"
    alive, dead = beside(draft), left_beside(draft)
    for folder in (dead, alive):
        folder.mkdir(parents=True)
    store.make("k", PARTS, "numbers", 48, _fill(1))
    assert (dead.exists(), alive.exists()) == (False, True)


def _make_in_process(root: Path, queue: Any) -> None:
    entry = Store(root).make("k", PARTS, "numbers", 48, _fill(os.getpid()))
    queue.put((entry.reused, int(entry.array()[0, 0])))


def test_two_processes_make_it_once(tmp_path: Path) -> None:
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
    entry = store.make("k", PARTS, "numbers", 48, _fill(1))
    assert store.clear() == entry.nbytes
    assert list(store.entries()) == []
