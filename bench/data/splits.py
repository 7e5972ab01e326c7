"""Assignment of images to splits, by class and seed: carving splits from train, drawing subsets.

Images are ordered by a hash of seed and name. So the result does not depend on the version of a
random number generator, an added image leaves nearly all others in their split, and an image that
is found to be unreadable affects only its own split.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bench.data.listing import ListedImage, Listing
from bench.errors import DatasetError, UsageError
from bench.types import SPLITS, SplitName

CARVED_PERCENT = 15
NO_GROUPS: Mapping[str, str] = {}

Splits = Mapping[SplitName, tuple[ListedImage, ...]]
CarvedSplits = dict[SplitName, list[ListedImage]]
# A group (True) or a single image (False), and its name: a group and an image may have one name.
Group = tuple[bool, str]
Members = Mapping[Group, Sequence[ListedImage]]


def complete_splits(
    given: Mapping[SplitName, Sequence[ListedImage]],
    *,
    classes: Sequence[str],
    seed: int,
    groups: Mapping[str, str] = NO_GROUPS,
) -> Splits:
    """Return train, validation and test; splits that are not given are carved from train.

    Results must come from a held-out test set. So if two splits are given, the second one is the
    test set, whatever its name, and validation is carved; with train alone, both are carved.
    Carving takes 15 % of each class, rounded, and at least one image. Images of the same group, in
    `groups` by image id, stay together.
    """
    found = dict(given)
    if "validation" in found and "test" not in found:
        found["test"] = found.pop("validation")
    others: tuple[SplitName, ...] = ("test", "validation")
    carve = [split for split in others if split not in found]
    if carve and groups:
        found |= carve_groups(given["train"], groups, carve, classes=classes, seed=seed)
    elif carve:
        found |= _carve_images(given["train"], carve, classes, seed)
    return {split: sort_by_name(found[split]) for split in SPLITS}


def limit_images(listing: Listing, limit: int, seed: int) -> Listing:
    """Return a subset with at most `limit` training images, and the other splits in proportion.

    Classes are balanced as far as they have images, and every class keeps at least one image in
    every split. With the same seed, a larger limit includes the images of a smaller one.
    """
    classes = len(listing.classes)
    if limit < classes:
        raise UsageError(
            f"limit {limit} is too small: {listing.name} has {classes} classes, and each needs at "
            f"least one training image. Use {classes} or more."
        )
    whole = len(listing.splits["train"])
    if limit >= whole:
        return listing
    counts = {s: max(classes, round(len(listing.splits[s]) * limit / whole)) for s in SPLITS}
    return draw_subset(listing, counts, seed)


def draw_subset(listing: Listing, counts: Mapping[SplitName, int], seed: int) -> Listing:
    """Return a class-balanced subset with at most `counts[split]` images in each split."""
    splits: dict[SplitName, tuple[ListedImage, ...]] = {}
    for split in SPLITS:
        per_class = _by_label(listing.splits[split], len(listing.classes))
        class_counts = balance_counts([len(images) for images in per_class], counts[split])
        kept: list[ListedImage] = []
        for images, count in zip(per_class, class_counts, strict=True):
            kept += _sort_by_rank(images, seed, "subset")[:count]
        splits[split] = sort_by_name(kept)
    sizes = " / ".join(f"{len(splits[s]):,}" for s in SPLITS)
    before = " / ".join(f"{len(listing.splits[s]):,}" for s in SPLITS)
    note = f"a class-balanced subset drawn with seed {seed}: {sizes} of {before} images"
    return replace(listing, splits=splits, notes=(*listing.notes, note))


def balance_counts(available: Sequence[int], total: int) -> list[int]:
    """Return how many of each class to take to get `total`, as equally as possible.

    If a class has too few, more are taken from the others; earlier classes get the remainder.
    """
    counts = [0] * len(available)
    left = min(total, sum(available))
    while left:
        open_classes = [c for c, n in enumerate(available) if counts[c] < n]
        step = max(1, left // len(open_classes))
        for c in open_classes[:left]:
            taken = min(step, available[c] - counts[c], left)
            counts[c] += taken
            left -= taken
    return counts


def sort_by_name(images: Iterable[ListedImage]) -> tuple[ListedImage, ...]:
    """Return the images sorted by id: a split's order must not depend on the file system."""
    return tuple(sorted(images, key=lambda image: image.id))


def _carve_images(
    train: Sequence[ListedImage], carve: Sequence[SplitName], classes: Sequence[str], seed: int
) -> CarvedSplits:
    found: CarvedSplits = {"train": [], **{split: [] for split in carve}}
    for label, images in enumerate(_by_label(train, len(classes))):
        if len(images) <= len(carve):
            raise DatasetError(
                f"class {classes[label]!r} has {len(images)} image(s), but it needs at least "
                f"{len(carve) + 1}, because {' and '.join(carve)} must be carved from train."
            )
        ordered = _sort_by_rank(images, seed, "carve")
        count = _carved_count(len(images))
        for number, split in enumerate(carve):
            found[split] += ordered[number * count : (number + 1) * count]
        found["train"] += ordered[len(carve) * count :]
    return found


def _carved_count(images: int) -> int:
    """Return how many of a class's `images` each carved split takes."""
    return max(1, (images * CARVED_PERCENT + 50) // 100)


def carve_groups(
    train: Sequence[ListedImage],
    groups: Mapping[str, str],
    carve: Sequence[SplitName],
    *,
    classes: Sequence[str],
    seed: int,
) -> CarvedSplits:
    """Carve splits from train with each group whole; without groups, as `_carve_images` does.

    Groups are visited in an order that `seed` determines. A split takes a group if that brings the
    counts of its classes nearer to their targets; groups that no split takes remain in train.
    """
    members: dict[Group, list[ListedImage]] = defaultdict(list)
    for image in train:
        grouped = image.id in groups
        members[grouped, groups[image.id] if grouped else image.id].append(image)
    waiting = sorted(members, key=lambda group: _rank(group[1], seed, "carve"))
    targets = {
        label: _carved_count(n) for label, n in Counter(image.label for image in train).items()
    }
    found: CarvedSplits = {}
    for split in carve:
        taken = _choose_groups(waiting, members, targets)
        found[split] = [image for group in taken for image in members[group]]
        waiting = [group for group in waiting if group not in taken]
    found["train"] = [image for group in waiting for image in members[group]]
    for split in ("train", *carve):
        there = {image.label for image in found[split]}
        for label, title in enumerate(classes):
            if label not in there:
                raise DatasetError(
                    f"{split} cannot have an image of class {title!r} without breaking up a "
                    f"group: too few groups of that class. Give smaller groups, another "
                    "--split-seed, or splits of your own."
                )
    return found


def _choose_groups(
    waiting: Sequence[Group], members: Members, targets: Mapping[int, int]
) -> set[Group]:
    """Return the groups that a split takes to get near `targets`, the images of each class."""
    missing = dict(targets)
    taken: set[Group] = set()
    for group in waiting:
        counts = Counter(image.label for image in members[group])
        # How much nearer the split gets to its targets, summed over the classes.
        gain = sum(abs(missing[c]) - abs(missing[c] - n) for c, n in counts.items())
        if gain > 0:
            taken.add(group)
            for label, count in counts.items():
                missing[label] -= count
    there = {image.label for group in taken for image in members[group]}
    for label in targets.keys() - there:
        # All groups of the class are more than twice its target: take the smallest.
        holding = [g for g in waiting if any(image.label == label for image in members[g])]
        taken |= set(sorted(holding, key=lambda group: len(members[group]))[:1])
    return taken


def _by_label(images: Iterable[ListedImage], classes: int) -> list[list[ListedImage]]:
    found: list[list[ListedImage]] = [[] for _ in range(classes)]
    for image in images:
        found[image.label].append(image)
    return found


def _sort_by_rank(images: Iterable[ListedImage], seed: int, purpose: str) -> list[ListedImage]:
    return sorted(images, key=lambda image: _rank(image.id, seed, purpose))


def _rank(name: str, seed: int, purpose: str) -> bytes:
    # The purpose makes choices independent: a subset of train must not consist of the images that
    # carving almost took.
    return hashlib.sha256(f"{purpose}\n{seed}\n{name}".encode()).digest()
