"""Activations of the frozen part: the same rows with or without the cache."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import numpy as np
import pytest
import tiny

from bench.models.backends.base import Array, Forward, current_backend
from bench.models.network import Network
from bench.storage.cache import Store
from bench.training import features
from bench.training.augment import PLAIN
from bench.training.features import FrozenFeatures
from bench.training.prepared import ForwardPassCache
from bench.training.rows import Rows, iterate_outputs
from bench.types import SPLITS

pytestmark = pytest.mark.slow  # it loads a framework

COUNT = 5


@pytest.fixture(scope="module")
def passes() -> ForwardPassCache:
    return ForwardPassCache(Network(tiny.TINY, tiny.SIZE), current_backend())


def _frozen(
    passes: ForwardPassCache, store: Store, keep: Store | None, sample: tuple[int, ...] = ()
) -> FrozenFeatures:
    """Return frozen features with the images in one store and the activations in another."""
    pixels, _ = tiny.images(COUNT, seed=1)
    entries = dict.fromkeys(SPLITS, tiny.store_images(store, "x", pixels))
    return FrozenFeatures(passes, "weights", entries, keep, sample)


def _take(frozen: FrozenFeatures, cut: str) -> Array:
    rows = frozen.rows("train", PLAIN, [cut], lambda done, total: None)[cut]
    return rows.take(np.arange(COUNT))


def test_activations_that_do_not_fit_the_cache_are_computed_each_time(
    passes: ForwardPassCache, store: Store
) -> None:
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


def test_entries_in_use_are_not_evicted(passes: ForwardPassCache, store: Store) -> None:
    """The bound fits the images and the activations of one cut; the other cut is not cached."""
    sizes = {c: 4 * COUNT * int(np.prod(passes.network.shape(c))) for c in ("one_add", "two_add")}
    images = COUNT * tiny.SIZE * tiny.SIZE * 3
    bound = images + sizes["one_add"] + sizes["two_add"] // 2 + 2 * 128
    frozen = _frozen(passes, store, tight := Store(store.root, bound))
    first = frozen.rows("train", PLAIN, ["one_add"], lambda done, total: None)["one_add"]
    _take(frozen, "two_add")
    assert "are in use" in frozen.notes[0]
    assert {entry.kind for entry in tight.entries()} == {"images", "features"}
    assert first.take(np.arange(COUNT)).shape == (COUNT, *passes.network.shape("one_add"))


def test_a_cache_deleted_during_training_does_no_harm(
    passes: ForwardPassCache, store: Store
) -> None:
    frozen = _frozen(passes, store, store)
    rows = frozen.rows("train", PLAIN, ["one_add"], lambda done, total: None)["one_add"]
    expected = rows.take(np.arange(COUNT))
    shutil.rmtree(store.root)
    np.testing.assert_array_equal(rows.take(np.arange(COUNT)), expected)
    np.testing.assert_array_equal(_take(frozen, "one_add"), expected)
    assert _take(frozen, "two_add").shape == (COUNT, *passes.network.shape("two_add"))
    assert frozen.notes == []


def test_pooled_features_have_one_value_per_channel_with_any_head_pooling(
    passes: ForwardPassCache, store: Store
) -> None:
    averaged = _frozen(passes, store, store)
    flat = ForwardPassCache(Network(tiny.TINY, tiny.SIZE, "flatten"), current_backend())
    flat.network.base.set_weights(passes.network.base.get_weights())
    found = averaged.pooled("train", lambda done, total: None)
    assert found.shape == (COUNT, 8)
    positions = _take(averaged, "four_add")
    np.testing.assert_allclose(found, positions.mean(axis=(1, 2)), rtol=1e-5)
    of_flat = _frozen(flat, store, Store(store.root.parent / "flat")).pooled("train", print)
    np.testing.assert_allclose(of_flat, found, rtol=1e-5)


@pytest.mark.parametrize("sample", [(0, 3), (2,), (0, 1, 2, 3), (3, 4)])
def test_features_of_a_sample_are_cached_and_reused_for_all_images(
    passes: ForwardPassCache, store: Store, sample: tuple[int, ...]
) -> None:
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        told.append((done, total))

    expected = _frozen(passes, store, Store(store.root.parent / "apart")).pooled("train", progress)
    probe = _frozen(passes, store, store, sample)
    found = probe.pooled_sample(progress)
    np.testing.assert_allclose(found, expected[list(sample)], rtol=1e-5)
    assert not probe.pass_times.reused
    assert len(probe.pass_times.spent) == 1
    assert told.count((len(sample), len(sample))) == 1  # stored rows are only read
    del told[:]
    head = _frozen(passes, store, store, sample)
    whole = head.pooled("train", progress)
    assert told[-1] == (COUNT, COUNT)
    np.testing.assert_allclose(whole, expected, rtol=1e-5)
    np.testing.assert_array_equal(whole[list(sample)], found)  # not computed again
    assert head.pass_times.reused == probe.pass_times.spent
    after = _frozen(passes, store, store, sample)  # what is kept of all is used
    np.testing.assert_array_equal(after.pooled_sample(progress), found)
    assert after.pass_times.reused == probe.pass_times.spent | head.pass_times.spent
    assert not after.pass_times.spent


def test_only_images_outside_the_sample_are_computed(
    passes: ForwardPassCache, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _frozen(passes, store, store, (1, 2)).pooled_sample(lambda done, total: None)
    computed: list[int] = []

    def counted(forward: Forward, rows: Rows) -> Iterator[list[Array]]:
        computed.append(len(rows))
        return iterate_outputs(forward, rows)

    monkeypatch.setattr(features, "iterate_outputs", counted)
    _frozen(passes, store, store, (1, 2)).pooled("train", lambda done, total: None)
    _frozen(passes, store, store, (1, 2)).pooled("test", lambda done, total: None)
    assert computed == [COUNT - 2]  # the same images: those of the test split are found


def test_a_sample_of_all_images_is_cached_as_the_whole_split(
    passes: ForwardPassCache, store: Store
) -> None:
    probe = _frozen(passes, store, store, tuple(range(COUNT)))
    found = probe.pooled_sample(lambda done, total: None)
    head = _frozen(passes, store, store)
    np.testing.assert_array_equal(head.pooled("train", lambda done, total: None), found)
    assert not head.pass_times.spent


def test_features_that_are_not_cached_are_timed_too(passes: ForwardPassCache, store: Store) -> None:
    told: list[tuple[int, int]] = []
    without = _frozen(passes, store, None, (1, 2))
    found = without.pooled_sample(lambda done, total: told.append((done, total)))
    assert found.shape == (2, 8)
    assert told == [(2, 2)]
    assert len(without.pass_times.spent) == 1
