"""The test images that two runs share, whatever their order and their names."""

from __future__ import annotations

from dataclasses import dataclass

from bench.types import Dataset, Split


@dataclass(frozen=True)
class InCommon:
    """The places of the shared images in either test split; `reason` where there can be none."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    same: bool  # the test images of the two are the same, none left over
    reason: str = ""


def in_common(before: Dataset, after: Dataset) -> InCommon:
    """Matched by content where both know it, else by name; an image of another class is another."""
    if before.classes != after.classes:
        return InCommon((), (), False, f"classes differ: {_classes(before)} | {_classes(after)}")
    first, second = before.splits["test"], after.splits["test"]
    by_content = bool(first.digests and second.digests)
    there = _places(second, by_content)
    pairs = [(i, there[key]) for key, i in _places(first, by_content).items() if key in there]
    if not pairs:
        what = "test images differ: none is in both"
        return InCommon((), (), False, what)
    same = len(pairs) == len(first) == len(second)
    return InCommon(tuple(i for i, _ in pairs), tuple(j for _, j in pairs), same)


def _places(split: Split, by_content: bool) -> dict[tuple[str, int, int], int]:
    """Place of each image by its key, its label, and which of its equals it is."""
    seen: dict[tuple[str, int], int] = {}
    found = {}
    for place, (key, label) in enumerate(
        zip(split.digests if by_content else split.ids, split.labels, strict=True)
    ):
        count = seen.get((key, label), 0)
        seen[key, label] = count + 1
        found[key, label, count] = place
    return found


def _classes(dataset: Dataset) -> str:
    names = ", ".join(dataset.classes[:4])
    return names + (", …" if len(dataset.classes) > 4 else "")
