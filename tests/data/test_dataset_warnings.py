"""Warnings about data sets that are too small or too uneven."""

from __future__ import annotations

from dataclasses import replace

from bench.data.listing import ListedImage, Listing, undecoded_dataset
from bench.data.sources.demo import list_demo
from bench.data.splits import Splits


def make_listing(train: tuple[int, int], test: int) -> Listing:
    def some(*counts: int) -> tuple[ListedImage, ...]:
        return tuple(ListedImage(f"{c}/{k}", c) for c, n in enumerate(counts) for k in range(n))

    splits: Splits = {"train": some(*train), "validation": some(1, 1), "test": some(test, 0)}
    return Listing("x", "x", ("cats", "dogs"), splits, list_demo().read, "x")


def cautions(listing: Listing) -> tuple[str, ...]:
    return undecoded_dataset(listing).notes


def test_enough_images_give_no_warning() -> None:
    assert cautions(replace(list_demo(), notes=())) == ()
    assert cautions(make_listing((99, 10), 100)) == ()


def test_few_test_images() -> None:
    (said,) = cautions(make_listing((10, 10), 40))
    assert said == "only 40 test images: each is 2.5 points of accuracy"


def test_few_training_images() -> None:
    assert cautions(make_listing((900, 9), 100)) == ("only 9 training images of class 'dogs'",)
    assert cautions(make_listing((9, 1), 100)) == ("only 1 training image of class 'dogs'",)


def test_uneven_classes() -> None:
    (said,) = cautions(make_listing((10, 1000), 100))
    assert said.startswith("classes are uneven: 1,000 training images of 'dogs', 10 of 'cats'")
