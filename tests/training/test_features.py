"""Activations of the frozen part: the same rows, kept or not, and whatever becomes of the cache."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tiny

from bench.models.backends.base import Array, current
from bench.models.network import Network
from bench.storage.cache import Store
from bench.training.augment import PLAIN
from bench.training.features import Frozen
from bench.training.prepared import ForwardPassCache
from bench.training.rows import Rows, Subset

pytestmark = pytest.mark.slow  # it loads a framework

COUNT = 5


@pytest.fixture(scope="module")
def passes() -> ForwardPassCache:
    return ForwardPassCache(Network(tiny.TINY, tiny.SIZE), current())


def _frozen(passes: ForwardPassCache, store: Store, keep: Store) -> Frozen:
    """Images in one store, activations in another."""
    pixels, _ = tiny.images(COUNT, seed=1)
    entries = dict.fromkeys(("train", "validation", "test"), tiny.store_images(store, "x", pixels))
    return Frozen(passes, "weights", entries, keep)


def _take(frozen: Frozen, cut: str) -> Array:
    rows = frozen.rows("train", PLAIN, [cut], lambda done, total: None)[cut]
    return rows.take(np.arange(COUNT))


def test_what_cannot_be_kept_is_computed_each_time(passes: ForwardPassCache, store: Store) -> None:
    kept = _frozen(passes, store, store)
    expected = _take(kept, "one_add")
    assert kept.notes == []
    for keep, why in (
        (Store(store.root.parent / "small", limit_bytes=1), "may hold 1"),
        (Store(store.root, read_only=True), "is only read"),
    ):
        frozen = _frozen(passes, store, keep)
        np.testing.assert_allclose(_take(frozen, "one_add"), expected, rtol=1e-5)
        shape = (COUNT, *passes.network.shape("two_add"))
        assert _take(frozen, "two_add").shape == shape
        assert frozen.notes[-1].startswith("train activations were computed without the cache: ")
        assert why in frozen.notes[-1]
        # What is there is found also where nothing can be written.
        assert len(frozen.notes) == (1 if keep.root == store.root else 2)


def test_what_is_in_use_is_not_deleted_for_more_room(
    passes: ForwardPassCache, store: Store
) -> None:
    """A bound that fits the images and one cut's activations: the other's are not kept."""
    sizes = {c: 4 * COUNT * int(np.prod(passes.network.shape(c))) for c in ("one_add", "two_add")}
    images = COUNT * tiny.SIZE * tiny.SIZE * 3
    bound = images + sizes["one_add"] + sizes["two_add"] // 2 + 2 * 128
    frozen = _frozen(passes, store, tight := Store(store.root, bound))
    first = frozen.rows("train", PLAIN, ["one_add"], lambda done, total: None)["one_add"]
    _take(frozen, "two_add")
    assert "are in use" in frozen.notes[0]
    assert {entry.kind for entry in tight.entries()} == {"images", "features"}
    assert first.take(np.arange(COUNT)).shape == (COUNT, *passes.network.shape("one_add"))


def test_a_cache_that_is_deleted_meanwhile(passes: ForwardPassCache, store: Store) -> None:
    frozen = _frozen(passes, store, store)
    rows = frozen.rows("train", PLAIN, ["one_add"], lambda done, total: None)["one_add"]
    expected = rows.take(np.arange(COUNT))
    shutil.rmtree(store.root)
    np.testing.assert_array_equal(rows.take(np.arange(COUNT)), expected)
    np.testing.assert_array_equal(_take(frozen, "one_add"), expected)
    assert _take(frozen, "two_add").shape == (COUNT, *passes.network.shape("two_add"))
    assert frozen.notes == []


def test_pooled_features_are_one_a_channel_however_the_head_pools(
    passes: ForwardPassCache, store: Store
) -> None:
    averaged = _frozen(passes, store, store)
    flat = ForwardPassCache(Network(tiny.TINY, tiny.SIZE, "flatten"), current())
    flat.network.base.set_weights(passes.network.base.get_weights())
    found = averaged.pooled("train", lambda done, total: None)
    assert found.shape == (COUNT, 8)
    positions = _take(averaged, "four_add")
    np.testing.assert_allclose(found, positions.mean(axis=(1, 2)), rtol=1e-5)
    of_flat = _frozen(flat, store, Store(store.root.parent / "flat")).pooled("train", print)
    np.testing.assert_allclose(of_flat, found, rtol=1e-5)


def test_pooled_features_of_some_images(passes: ForwardPassCache, store: Store) -> None:
    some, progress = np.array([0, 3]), lambda done, total: None

    def part(rows: Rows) -> Rows:
        return Subset(rows, some)

    alone = _frozen(passes, store, store)
    found = alone.pooled("train", progress, part)
    assert not alone.ledger.reused
    assert len(alone.ledger.spent) == 1
    whole = _frozen(passes, store, store).pooled("train", progress)
    np.testing.assert_allclose(found, whole[some], rtol=1e-5)
    after = _frozen(passes, store, store)  # what is kept of all is used
    np.testing.assert_array_equal(after.pooled("train", progress, part), whole[some])
    assert not after.ledger.spent
