"""Preparation: images are decoded once, unusable ones excluded, and changes detected."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from trees import Tree

from bench.data.listing import Listing, ReadImage
from bench.data.pixels import drop_images, get_entry
from bench.data.preparation import prepare, restore_pixels
from bench.data.sources import list_dataset
from bench.errors import DatasetError
from bench.storage.cache import Store
from bench.system.files import bytes_on_disk, from_json
from bench.types import SPLITS, Dataset, SplitName


class Counting:
    """Reads like another reader, and counts the calls."""

    def __init__(self, inner: ReadImage) -> None:
        self.inner = inner
        self.reads: list[str] = []

    def __call__(self, id: str) -> bytes:
        self.reads.append(id)
        return self.inner(id)


@pytest.fixture
def root(tmp_path: Path, tree: Tree) -> Path:
    """8 images a class: 6 to train, 1 to validate, 1 to test."""
    return tree(tmp_path / "pets", {"cats": 8, "dogs": 8})


def counting(root: Path, store: Store) -> tuple[Listing, Counting]:
    listing = list_dataset(str(root), store=store)
    reader = Counting(listing.read)
    return replace(listing, read=reader), reader


def test_pixels_are_stored_in_the_order_of_the_ids(root: Path, store: Store) -> None:
    dataset = prepare(list_dataset(str(root), store=store), [4, 6], store=store)
    assert [len(dataset.splits[s]) for s in SPLITS] == [12, 2, 2]
    for split in SPLITS:
        for size in (4, 6):
            array = get_entry(dataset, split, size, store).array()
            assert array.shape == (len(dataset.splits[split]), size, size, 3)
            assert array.dtype == np.uint8
            for row, id in zip(array, dataset.splits[split].ids, strict=True):
                with Image.open(root / id) as image:
                    assert tuple(row[0, 0].tolist()) == image.getpixel((0, 0))
                assert (row == row[0, 0]).all()


def test_a_second_run_reads_no_file(root: Path, store: Store) -> None:
    listing, reader = counting(root, store)
    steps: list[tuple[int, int]] = []
    first = prepare(listing, [4], store=store, progress=lambda *step: steps.append(step))
    assert sorted(reader.reads) == sorted(i.id for s in SPLITS for i in listing.splits[s])
    assert steps == [(n, 16) for n in range(1, 17)]

    again, reader = counting(root, Store(store.root))
    assert prepare(again, [4, 4], store=Store(store.root)) == first
    assert reader.reads == []
    assert prepare(again, [4, 5], store=store) == first  # a new size is one more pass
    assert len(reader.reads) == 16


def test_a_process_that_has_only_the_data_set_finds_the_pixels(root: Path, store: Store) -> None:
    dataset = prepare(list_dataset(str(root), store=store), [4], store=store)
    read_back = from_json(json.dumps(asdict(dataset)), Dataset)
    assert read_back == dataset
    assert get_entry(read_back, "test", 4, Store(store.root)).array().shape == (2, 4, 4, 3)
    with pytest.raises(
        DatasetError, match="test images of pets at 5 px are no longer in the cache"
    ):
        get_entry(dataset, "test", 5, store)


def test_a_changed_file_is_noticed(root: Path, store: Store) -> None:
    before = prepare(list_dataset(str(root), store=store), [4], store=store)
    id = before.splits["train"].ids[0]
    Image.new("RGB", (5, 5), "white").save(root / id)
    after = prepare(list_dataset(str(root), store=store), [4], store=store)
    assert after.fingerprint != before.fingerprint
    assert after.splits["test"] == before.splits["test"]
    assert (get_entry(after, "train", 4, store).array()[0] == 255).all()
    assert not (get_entry(before, "train", 4, store).array()[0] == 255).all()


def test_a_change_without_a_new_date_is_noticed_by_the_next_pass(root: Path, store: Store) -> None:
    before = prepare(list_dataset(str(root), store=store), [4], store=store)
    path = root / before.splits["train"].ids[0]
    status, size = path.stat(), path.stat().st_size
    Image.new("RGB", (12, 8), (9, 9, 9)).save(path)
    assert path.stat().st_size <= size
    path.write_bytes(path.read_bytes().ljust(size, b"\0"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = prepare(list_dataset(str(root), store=store), [4, 5], store=store)
    assert after.fingerprint != before.fingerprint
    for size in (4, 5):
        assert (get_entry(after, "train", size, store).array()[0] == 9).all()


def test_bad_images_are_left_out_and_change_nothing_else(root: Path, store: Store) -> None:
    good = prepare(list_dataset(str(root), store=store), [4], store=store)
    ids = good.splits["train"].ids
    (root / ids[1]).write_bytes(b"")
    (root / ids[4]).write_bytes(b"<html>404</html>" * 9)
    (root / ids[7]).unlink()
    (root / ids[7]).symlink_to(root / "nowhere.png")
    dataset = prepare(list_dataset(str(root), store=store), [4], store=store)
    kept = [k for k in range(12) if k not in (1, 4, 7)]
    assert dataset.splits["train"].ids == tuple(ids[k] for k in kept)
    assert [(bad.id, bad.reason) for bad in dataset.excluded] == [
        (ids[1], "the file is empty"),
        (ids[4], "not an image"),
        (ids[7], "cannot be read: No such file or directory"),
    ]
    assert dataset.splits["test"] == good.splits["test"]
    assert dataset.splits["validation"] == good.splits["validation"]
    before, after = (get_entry(d, "train", 4, store).array() for d in (good, dataset))
    assert np.array_equal(before[kept], after)
    again, reader = counting(root, store)
    assert prepare(again, [4], store=store) == dataset
    assert reader.reads == [ids[7]]  # what decoding says is remembered, what the system says not


def test_a_class_without_a_usable_image_is_an_error(root: Path, store: Store) -> None:
    listing, reader = counting(root, store)
    (lost,) = (image.id for image in listing.splits["test"] if image.label == 1)
    (root / lost).write_bytes(b"")
    for _ in range(2):  # the second time, from what was remembered
        listing = list_dataset(str(root), store=store)
        with pytest.raises(
            DatasetError, match=r"'dogs' has no usable image in test: all 1 .*empty"
        ):
            prepare(listing, [4], store=store)
    assert [entry.kind for entry in store.entries()] == ["manifest"]
    assert not list(store.root.glob("drafts/*"))
    assert reader.reads == []


def test_a_class_missing_from_a_split_is_an_error(root: Path, store: Store) -> None:
    listing, reader = counting(root, store)
    cats = tuple(image for image in listing.splits["validation"] if image.label == 0)
    broken = replace(listing, splits={**listing.splits, "validation": cats})
    with pytest.raises(DatasetError, match="no image of class 'dogs' in validation"):
        prepare(broken, [4], store=store)
    with pytest.raises(DatasetError, match="at least 2 are needed"):
        prepare(replace(listing, classes=("cats",)), [4], store=store)
    assert reader.reads == []


def test_fingerprint_is_of_content_not_of_names(root: Path, store: Store, tmp_path: Path) -> None:
    first = prepare(list_dataset(str(root), store=store), [4], store=store)
    root.rename(tmp_path / "renamed")
    second = prepare(list_dataset(str(tmp_path / "renamed"), store=store), [4], store=store)
    assert second.name == "renamed"
    assert second.fingerprint == first.fingerprint


def test_the_error_about_a_full_cache_says_what_to_do(root: Path, tmp_path: Path) -> None:
    small = Store(tmp_path / "small", limit_bytes=16 * 8 * 8 * 3 - 1)
    with pytest.raises(DatasetError, match=r"do not fit into the cache .* fewer or smaller images"):
        prepare(list_dataset(str(root), store=small), [8], store=small)
    assert not list(small.root.glob("drafts/*"))


def test_sizes_that_fit_one_by_one_but_not_together(root: Path, tmp_path: Path) -> None:
    """16 images of 8 px take 3,072 bytes, of 9 px 3,888, with three headers of 128 and a
    manifest of 640, 512 of it promised to the next."""
    small = Store(tmp_path / "small", limit_bytes=6000)
    listing = list_dataset(str(root), store=small)
    for size in (8, 9):
        prepare(listing, [size], store=small)
        small.release()
    with pytest.raises(
        DatasetError, match=r"needs 3,072 bytes.*may hold 6,000, of which 5,424 are"
    ):
        prepare(listing, [8, 9], store=small)


def test_warnings_count_the_images_that_can_be_used(root: Path, store: Store) -> None:
    listing = list_dataset(str(root), store=store)
    (root / listing.splits["train"][0].id).write_bytes(b"")
    said = prepare(listing, [4], store=store).notes
    assert said[0].startswith("only 2 test images")
    assert said[1] == "only 5 training images of class 'cats'"


def test_room_is_reserved_once(root: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """16 images of 64 px take 196,608 bytes. The disk has a quarter more, and half of that again
    is left once the training images, three quarters, are written."""

    def disk(path: Path) -> SimpleNamespace:
        return SimpleNamespace(free=245_760 - bytes_on_disk(store.root))

    monkeypatch.setattr(shutil, "disk_usage", disk)
    dataset = prepare(list_dataset(str(root), store=store), [64], store=store)
    assert [len(dataset.splits[split]) for split in SPLITS] == [12, 2, 2]


@pytest.mark.parametrize("splits", [("test",), ("train", "validation"), SPLITS])
def test_damaged_images_are_decoded_again(
    root: Path, store: Store, splits: tuple[SplitName, ...]
) -> None:
    dataset = prepare(list_dataset(str(root), store=store), [4], store=store)
    before = {split: get_entry(dataset, split, 4, store).array().copy() for split in SPLITS}
    for split in splits:
        path = get_entry(dataset, split, 4, store).path / "data.npy"
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        os.utime(path, (1, 1))
    # Also by the process that has looked at them before.
    assert prepare(list_dataset(str(root), store=store), [4], store=store) == dataset
    for reader in (store, Store(store.root)):
        for split in SPLITS:
            array = get_entry(dataset, split, 4, reader).array()
            np.testing.assert_array_equal(array, before[split])


def test_deleted_arrays_are_decoded_again(root: Path, store: Store) -> None:
    listing, reader = counting(root, store)
    whole = prepare(listing, [4, 5], store=store)
    before = get_entry(whole, "train", 4, store).array().copy()
    less = drop_images(whole, whole.splits["train"].ids[2:4], [4, 5], store=store, note="copies")
    del reader.reads[:]
    restore_pixels(listing, less, [4, 5], store=store)
    assert reader.reads == []
    for dataset, kept in ((less, [0, 1, *range(4, 12)]), (whole, range(12))):
        shutil.rmtree(store.root)
        restore_pixels(listing, dataset, [4, 5], store=store)
        np.testing.assert_array_equal(
            get_entry(dataset, "train", 4, store).array(), before[list(kept)]
        )
    shutil.rmtree(store.root)
    (root / less.splits["train"].ids[0]).write_bytes(b"")
    with pytest.raises(DatasetError, match="files have changed since the run began"):
        restore_pixels(listing, less, [4, 5], store=store)


class Flaky(Counting):
    """Cannot read some files for a while."""

    def __init__(self, inner: ReadImage, failing: set[str]) -> None:
        super().__init__(inner)
        self.failing = failing

    def __call__(self, id: str) -> bytes:
        data = super().__call__(id)
        if id in self.failing:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return data


def test_files_that_could_not_be_read_are_read_by_the_next_run(root: Path, store: Store) -> None:
    listing = list_dataset(str(root), store=store)
    lost = listing.splits["train"][3].id
    (root / listing.splits["train"][5].id).write_bytes(b"")
    # A pass over all 16 tries what it could not read once more before it ends.
    for failing, count in (({lost}, 16 + 1), ({lost}, 1), (set(), 1 + 16), (set(), 0)):
        reader = Flaky(listing.read, failing)
        dataset = prepare(replace(listing, read=reader), [4], store=store)
        assert len(reader.reads) == count
        reasons = {bad.id: bad.reason for bad in dataset.excluded}
        assert reasons.pop(listing.splits["train"][5].id) == "the file is empty"
        assert reasons == dict.fromkeys(failing, "cannot be read: Permission denied")
        assert len(get_entry(dataset, "train", 4, store).array()) == 11 - len(failing)


def test_an_interruption_leaves_nothing_half_done(root: Path, store: Store) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(list_dataset(str(root), store=store), [4], store=store, progress=interrupt)
    assert not list(store.entries())
    assert not list(store.root.glob("drafts/*"))
    dataset = prepare(list_dataset(str(root), store=store), [4], store=store)
    assert get_entry(dataset, "train", 4, store).array().shape == (12, 4, 4, 3)
