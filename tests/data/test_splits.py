"""Carving and subsets: counts that can be checked by hand, and what they do not depend on."""

from __future__ import annotations

import pytest

from bench.data.listing import ListedImage, Listing
from bench.data.splits import (
    CarvedSplits,
    Splits,
    balance_counts,
    complete_splits,
    draw_subset,
    limit_images,
)
from bench.errors import DatasetError, UsageError
from bench.types import SPLITS, SplitName

CLASSES = ("cats", "dogs")


def never(id: str) -> bytes:
    raise AssertionError(f"{id} was read")


def some(split: str, *counts: int) -> list[ListedImage]:
    """`counts[label]` images of each class."""
    return [ListedImage(f"{split}/{c}/{k:03d}", c) for c, n in enumerate(counts) for k in range(n)]


def counted(splits: Splits) -> dict[str, list[int]]:
    """Images of each class in each split."""
    return {
        split: [sum(image.label == c for image in splits[split]) for c in range(2)]
        for split in SPLITS
    }


def listing(splits: Splits) -> Listing:
    return Listing("x", "x", CLASSES, splits, never, "x")


def whole(train: int, validation: int, test: int) -> Listing:
    """Half of each split in each class."""
    counts = {"train": train, "validation": validation, "test": test}
    return listing({s: tuple(some(s, counts[s] // 2, counts[s] // 2)) for s in SPLITS})


def test_one_set_is_carved_twice_by_class() -> None:
    # 15 % of 100 is 15; of 30, 4.5, rounded up.
    splits = complete_splits({"train": some("all", 100, 30)}, classes=CLASSES, seed=0)
    assert counted(splits) == {"train": [70, 20], "validation": [15, 5], "test": [15, 5]}
    assert sorted(image.id for s in SPLITS for image in splits[s]) == sorted(
        image.id for image in some("all", 100, 30)
    )


@pytest.mark.parametrize("name", ["validation", "test"])
def test_of_two_sets_the_second_is_the_test_set(name: SplitName) -> None:
    given: CarvedSplits = {"train": some("train", 20, 40), name: some("second", 4, 6)}
    splits = complete_splits(given, classes=CLASSES, seed=0)
    assert counted(splits) == {"train": [17, 34], "validation": [3, 6], "test": [4, 6]}
    assert {image.id.split("/")[0] for image in splits["test"]} == {"second"}
    assert {image.id.split("/")[0] for image in splits["validation"]} == {"train"}


def test_three_sets_stay_as_given() -> None:
    given = [some("a", 5, 6), some("b", 1, 2), some("c", 3, 4)]
    splits = complete_splits(dict(zip(SPLITS, given, strict=True)), classes=CLASSES, seed=0)
    assert [list(splits[s]) for s in SPLITS] == given


def test_every_class_gives_at_least_one_image_and_keeps_one() -> None:
    splits = complete_splits({"train": some("all", 3, 4)}, classes=CLASSES, seed=0)
    assert counted(splits) == {"train": [1, 2], "validation": [1, 1], "test": [1, 1]}
    with pytest.raises(DatasetError, match=r"'dogs' has 2 image.*at least 3"):
        complete_splits({"train": some("all", 9, 2)}, classes=CLASSES, seed=0)


def test_splits_depend_on_the_seed_and_not_on_the_order_of_listing() -> None:
    images = some("all", 40, 40)
    first = complete_splits({"train": images}, classes=CLASSES, seed=0)
    assert complete_splits({"train": images[::-1]}, classes=CLASSES, seed=0) == first
    assert complete_splits({"train": images}, classes=CLASSES, seed=1)["test"] != first["test"]


def test_one_more_image_moves_few_others() -> None:
    before = complete_splits({"train": some("all", 100, 100)}, classes=CLASSES, seed=0)
    after = complete_splits({"train": some("all", 101, 100)}, classes=CLASSES, seed=0)
    assert len(set(before["test"]) - set(after["test"])) <= 1


@pytest.mark.parametrize(
    ("available", "total", "shares"),
    [
        ([10, 10, 10], 9, [3, 3, 3]),
        ([10, 10, 10], 11, [4, 4, 3]),
        ([10, 2, 10], 12, [5, 2, 5]),  # what the second cannot give, the others do
        ([1, 1], 5, [1, 1]),
    ],
)
def test_balanced_shares(available: list[int], total: int, shares: list[int]) -> None:
    assert balance_counts(available, total) == shares


def test_limit_scales_all_splits_alike() -> None:
    # A quarter of the training images, so a quarter of the others.
    limited = limit_images(whole(80, 24, 40), 20, seed=0)
    assert counted(limited.splits) == {"train": [10, 10], "validation": [3, 3], "test": [5, 5]}
    assert "20 / 6 / 10 of 80 / 24 / 40" in limited.notes[-1]


def test_limit_keeps_every_class_in_every_split() -> None:
    limited = limit_images(whole(80, 24, 40), 2, seed=0)
    assert counted(limited.splits) == {"train": [1, 1], "validation": [1, 1], "test": [1, 1]}
    with pytest.raises(UsageError, match="Use 2 or more"):
        limit_images(whole(80, 24, 40), 1, seed=0)


def test_a_limit_above_the_number_of_images_changes_nothing() -> None:
    full = whole(80, 24, 40)
    assert limit_images(full, 80, seed=0) is full


def test_a_larger_limit_keeps_the_images_of_a_smaller_one() -> None:
    small, large = (limit_images(whole(80, 24, 40), n, seed=0) for n in (20, 40))
    other = limit_images(whole(80, 24, 40), 20, seed=1)
    for split in SPLITS:
        assert set(small.splits[split]) < set(large.splits[split])
    assert small.splits["train"] != other.splits["train"]


def test_subset_by_counts_is_balanced_even_where_the_whole_is_not() -> None:
    splits = {s: tuple(some(s, 30, 10)) for s in SPLITS}
    subset = draw_subset(listing(splits), {"train": 16, "validation": 8, "test": 40}, seed=0)
    assert counted(subset.splits) == {"train": [8, 8], "validation": [4, 4], "test": [30, 10]}
