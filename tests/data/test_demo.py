"""The demo's pictures: the same on every machine, all different, drawn from their ids alone."""

from __future__ import annotations

import hashlib
import io
from random import Random

import numpy as np
import pytest
from PIL import Image

from bench.data.demo import SIDE, draw_scene
from bench.data.preparation import prepare
from bench.data.sources import list_dataset
from bench.data.sources.demo import CLASSES, COUNTS, draw, list_demo
from bench.storage.cache import Store
from bench.types import SPLITS


def test_listing_is_balanced_and_names_are_unique() -> None:
    listing = list_demo()
    for split in SPLITS:
        labels = [image.label for image in listing.splits[split]]
        assert len(labels) == COUNTS[split]
        assert labels.count(0) == labels.count(1)
        assert all(i.id.split("/")[1] == CLASSES[i.label] for i in listing.splits[split])
    ids = [image.id for split in SPLITS for image in listing.splits[split]]
    assert len(set(ids)) == len(ids)


def test_a_picture_depends_on_its_name_alone() -> None:
    names = ["train/cats/0003", "test/dogs/0000", "validation/cats/0001"]
    forwards = [draw(name) for name in names]
    assert [draw(name) for name in reversed(names)] == forwards[::-1]
    with Image.open(io.BytesIO(forwards[0])) as image:
        assert (image.mode, image.size) == ("RGB", (SIDE, SIDE))


@pytest.mark.slow
def test_no_two_pictures_are_alike() -> None:
    names = [f"{s}/{c}/{k:04d}" for s in SPLITS for c in CLASSES for k in range(6)]
    small = [
        np.asarray(Image.open(io.BytesIO(draw(name))).resize((16, 16)), dtype=float)
        for name in names
    ]
    for k, one in enumerate(small):
        for other in small[:k]:
            assert np.abs(one - other).mean() > 4  # of 255; a re-encoded copy differs by less


@pytest.mark.parametrize("species", CLASSES)
def test_species_changes_the_animal_and_nothing_else_decides_it(species: str) -> None:
    one, same = (draw_scene(species, Random(5)) for _ in range(2))
    other = draw_scene(next(c for c in CLASSES if c != species), Random(5))
    assert one.tobytes() == same.tobytes()
    assert one.tobytes() != other.tobytes()


def test_pictures_use_the_whole_range_of_light_but_are_not_washed_out() -> None:
    spreads = [
        np.asarray(draw_scene(CLASSES[k % 2], Random(k)).convert("L"), dtype=float).std()
        for k in range(12)
    ]
    assert min(spreads) > 8


def test_a_small_demo_is_prepared_and_the_seed_of_the_split_chooses_it(store: Store) -> None:
    one, same, other = (
        list_dataset("demo", store=store, limit=4, split_seed=seed) for seed in (0, 0, 1)
    )
    assert one == same
    assert one.splits != other.splits
    dataset = prepare(one, [16], store=store)
    assert dataset.classes == CLASSES
    assert [len(dataset.splits[s]) for s in SPLITS] == [4, 2, 19]
    id = dataset.splits["test"].ids[0]
    digest = hashlib.sha256(draw(id)).hexdigest()
    assert dataset.splits["test"].digests[0] == digest
