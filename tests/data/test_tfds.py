"""TensorFlow Datasets, with tiny data sets that are generated here and need no download."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data.listing import Listing
from bench.data.pixels import get_entry
from bench.data.preparation import prepare
from bench.data.sources import ListingOptions
from bench.data.sources.tfds import list_tfds
from bench.errors import DatasetError
from bench.storage.cache import Store
from bench.types import SPLITS

tfds = pytest.importorskip("tensorflow_datasets")


class TinyColours(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc, name-defined]
    """12 images of 2 classes; the red channel is the class, the green one the number."""

    VERSION = tfds.core.Version("1.0.0")
    COUNTS: tuple[tuple[str, int], ...] = (("train", 12),)

    def _info(self) -> Any:
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=["zebra", "ant"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {split: self._generate_examples(count) for split, count in self.COUNTS}

    def _generate_examples(self, count: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for k in range(count):
            image = np.zeros((6, 6, 3), np.uint8)
            image[...] = (200 * (k % 2), k, 0)
            yield k, {"image": image, "label": k % 2}


class TinyTwoSplits(TinyColours):
    """With a test split, and one that is not used."""

    COUNTS = (("train", 12), ("test", 4), ("extra", 2))


class TinyThreeSplits(TinyColours):
    COUNTS = (("train", 12), ("validation", 6), ("test", 4))


class TinyHiddenLabels(TinyTwoSplits):
    """The labels of the test split are kept secret, as in a competition."""

    COUNTS = (("train", 12), ("validation", 6), ("test", 4))

    def _generate_examples(self, count: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for key, example in super()._generate_examples(count):
            yield key, {**example, "label": -1} if count == 4 else example


class TinyWords(TinyColours):
    def _info(self) -> Any:
        features = tfds.features.FeaturesDict({"text": tfds.features.Text()})
        return tfds.core.DatasetInfo(builder=self, features=features)


class TinyAway(TinyColours):
    """Must be downloaded from a place that does not exist."""

    url_infos = {"http://nowhere.invalid/images.zip": None}  # noqa: RUF012


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "prepared"


def listed(name: str, store: Store, folder: Path) -> Listing:
    return list_tfds(name, ListingOptions(store, 0, lambda _: None), folder)


def sizes(listing: Listing) -> list[int]:
    return [len(listing.splits[split]) for split in SPLITS]


@pytest.mark.parametrize("file_format", ["array_record", "tfrecord"])
def test_pixels_and_labels_agree_in_both_formats(
    store: Store, folder: Path, file_format: str
) -> None:
    builder = tfds.builder("tiny_colours", data_dir=folder)
    builder.download_and_prepare(file_format=file_format)
    said: list[str] = []
    listing = list_tfds("tiny_colours", ListingOptions(store, 0, said.append), folder)
    assert said == ["Reading the labels of tiny_colours/1.0.0: 12 images"]
    assert listing.name == "tfds-tiny_colours"
    assert listing.classes == ("zebra", "ant")
    assert sizes(listing) == [8, 2, 2]  # 15 % of 6 is 0.9, so one of each class
    dataset = prepare(listing, [2], store=store)
    seen = []
    for split in SPLITS:
        array = get_entry(dataset, split, 2, store).array()
        for row, label in zip(array, dataset.splits[split].labels, strict=True):
            red, green, _ = row[0, 0].tolist()
            assert (red, green % 2) == (200 * label, label)
            seen.append(green)
    assert sorted(seen) == list(range(12))


def test_it_is_prepared_once_and_its_labels_read_once(store: Store, folder: Path) -> None:
    said: list[str] = []
    for _ in range(2):
        list_tfds("tiny_colours", ListingOptions(store, 0, said.append), folder)
    assert [text.split()[0] for text in said] == ["Preparing", "Reading"]


@pytest.mark.parametrize(
    ("name", "expected", "notes"),
    [
        # Two images of each class of the 12 are carved: 15 % of 6 is 0.9.
        ("tiny_two_splits", [10, 2, 4], ("split 'extra' was ignored",)),
        ("tiny_three_splits", [12, 6, 4], ()),
        # Without the test split, validation is the second of two: it becomes the test set.
        ("tiny_hidden_labels", [10, 2, 6], ("split 'test' has no labels and was ignored",)),
    ],
)
def test_the_data_set_s_own_splits_are_used(
    store: Store, folder: Path, name: str, expected: list[int], notes: tuple[str, ...]
) -> None:
    listing = listed(name, store, folder)
    assert sizes(listing) == expected
    assert listing.notes == notes


@pytest.mark.slow
def test_the_error_about_an_unknown_name_suggests_a_similar_one(store: Store, folder: Path) -> None:
    with pytest.raises(DatasetError, match=r"no data set 'tiny_colour'.*mean .*tiny_colours"):
        listed("tiny_colour", store, folder)
    with pytest.raises(DatasetError, match=r"tiny_colours:7.0.0 cannot be used: .*7.0.0"):
        listed("tiny_colours:7.0.0", store, folder)


def test_a_data_set_of_another_kind_is_refused_before_it_is_prepared(
    store: Store, folder: Path
) -> None:
    with pytest.raises(DatasetError, match=r"not an image-classification data set.*has text"):
        listed("tiny_words", store, folder)
    assert not folder.exists()


def test_without_a_network_it_says_so(store: Store, folder: Path) -> None:
    with pytest.raises(DatasetError, match=r"its host does not respond \(no network\?\)"):
        listed("tiny_away", store, folder)


def test_a_failed_preparation_is_reported_in_one_line(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object, count: int) -> Iterator[Any]:
        yield 0, {"image": "nothing", "label": 0}

    monkeypatch.setattr(TinyColours, "_generate_examples", fail)
    with pytest.raises(DatasetError, match="tfds:tiny_colours could not be prepared") as caught:
        listed("tiny_colours", store, folder)
    assert "\n" not in str(caught.value)
