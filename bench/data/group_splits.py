"""Carving splits such that no group lies on two sides.

An image that is named nowhere is a group of its own, and groups are ordered as single images are:
so where there are no groups, the outcome is that of `splits.py`.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from bench.data.listing import Listed
from bench.errors import DatasetError
from bench.types import SplitName

Name = tuple[bool, str]  # of a group, or of an image that stands alone: they may be called alike
Members = dict[Name, list[Listed]]


def split_groups(
    images: Sequence[Listed],
    groups: Mapping[str, str],
    carve: Sequence[SplitName],
    *,
    classes: Sequence[str],
    seed: int,
    percent: int,
) -> dict[SplitName, list[Listed]]:
    """`images` as train and the splits to `carve`, each with about `percent` of every class.

    Groups are gone through in an order drawn by `seed`; one is taken where that brings the classes
    of the split nearer to their share. What no split takes is train.
    """
    members: Members = defaultdict(list)
    for image in images:
        grouped = image.id in groups
        members[grouped, groups[image.id] if grouped else image.id].append(image)
    waiting = sorted(members, key=lambda group: _rank(group, seed))
    totals = Counter(image.label for image in images)
    found: dict[SplitName, list[Listed]] = {"train": []}
    for split in carve:
        share = {label: max(1, (n * percent + 50) // 100) for label, n in totals.items()}
        taken = _taken(waiting, members, share)
        found[split] = [image for group in taken for image in members[group]]
        waiting = [group for group in waiting if group not in taken]
    found["train"] = [image for group in waiting for image in members[group]]
    _check(found, classes)
    return found


def _taken(waiting: Sequence[Name], members: Members, share: Mapping[int, int]) -> set[Name]:
    missing = dict(share)
    taken: set[Name] = set()
    for group in waiting:
        counts = Counter(image.label for image in members[group])
        # How much nearer the split comes to its shares, summed over the classes.
        gain = sum(abs(missing[c]) - abs(missing[c] - n) for c, n in counts.items())
        if gain > 0:
            taken.add(group)
            for label, count in counts.items():
                missing[label] -= count
    there = {image.label for group in taken for image in members[group]}
    for label in share.keys() - there:
        # All its groups are more than twice its share: the smallest of them does least harm.
        holding = [g for g in waiting if any(image.label == label for image in members[g])]
        taken |= set(sorted(holding, key=lambda group: len(members[group]))[:1])
    return taken


def _rank(group: Name, seed: int) -> bytes:
    return hashlib.sha256(f"carve\n{seed}\n{group[1]}".encode()).digest()


def _check(found: Mapping[SplitName, Sequence[Listed]], classes: Sequence[str]) -> None:
    for split, images in found.items():
        there = {image.label for image in images}
        for label, title in enumerate(classes):
            if label not in there:
                raise DatasetError(
                    f"{split} cannot have an image of class {title!r} without breaking up a "
                    f"group: too few groups of that class. Give smaller groups, another "
                    "--split-seed, or splits of your own."
                )
