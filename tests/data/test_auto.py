"""The data set that `auto` chooses, and its reason. A tiny data set replaces the photographs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data.listing import Listing
from bench.data.sources import ListingOptions, auto
from bench.errors import DatasetError
from bench.storage.cache import Store
from bench.types import SPLITS

tfds = pytest.importorskip("tensorflow_datasets")


class FewPhotographs(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc, name-defined]
    """40 images of 2 classes; if `away` is set, they are not available."""

    VERSION = tfds.core.Version("1.0.0")
    url_infos: dict[str, None] = {}  # noqa: RUF012

    def _info(self) -> Any:
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=["cat", "dog"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
        for k in range(40):
            yield k, {"image": np.full((4, 4, 3), k, np.uint8), "label": k % 2}


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(auto, "PHOTOGRAPHS", "few_photographs")
    monkeypatch.setattr(auto, "COUNTS_WITHOUT_GPU", {"train": 10, "validation": 4, "test": 2})
    monkeypatch.setattr(auto, "has_gpu", lambda: False)
    return tmp_path / "prepared"


def chosen(store: Store, folder: Path) -> Listing:
    return auto.list_auto(ListingOptions(store, 0, lambda _: None), folder)


def sizes(listing: Listing) -> list[int]:
    return [len(listing.splits[split]) for split in SPLITS]


def test_prepared_photographs_give_a_balanced_subset(store: Store, prepared: Path) -> None:
    first = chosen(store, prepared)
    assert "auto: it could be downloaded; no GPU, so 10 / 4 / 2 images of it" in first.description
    listing = chosen(store, prepared)
    assert listing.name == "tfds-few_photographs"
    assert "auto: it is prepared here; no GPU, so 10 / 4 / 2 images of it" in listing.description
    assert sizes(listing) == [10, 4, 2]
    assert [image.label for image in listing.splits["train"]].count(0) == 5


def test_with_a_gpu_all_photographs_are_used(
    store: Store, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto, "has_gpu", lambda: True)
    listing = chosen(store, prepared)
    assert sizes(listing) == [28, 6, 6]
    assert listing.description.endswith("(auto: it could be downloaded)")


def test_a_dry_run_prepares_nothing(store: Store, prepared: Path) -> None:
    reader = Store(store.root, read_only=True)
    with pytest.raises(DatasetError, match=r"not prepared in .*a dry run prepares nothing"):
        chosen(reader, prepared)
    assert not prepared.exists()
    assert not store.root.exists()


def test_the_demo_is_used_if_no_host_responds(
    store: Store, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FewPhotographs, "url_infos", {"http://nowhere.invalid/a.zip": None})
    listing = chosen(store, prepared)
    assert listing.name == "demo"
    assert "tfds:few_photographs is not prepared here and its host" in listing.description


def test_the_demo_is_used_if_the_download_fails(
    store: Store, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object) -> Iterator[Any]:
        raise OSError("connection reset")

    monkeypatch.setattr(FewPhotographs, "_generate_examples", fail)
    listing = chosen(store, prepared)
    assert listing.name == "demo"
    assert "connection reset" in listing.description
