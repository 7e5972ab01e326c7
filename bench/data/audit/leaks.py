"""What the pairs mean for a benchmark: which test images were seen before, and what to drop.

A split may learn from those before it only: validation images choose epochs and rates, so a copy
of a test image does harm there, too. Whole clusters count, not pairs: of a burst of photographs,
the first and the last may differ, and yet both show the same moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bench.data.audit.findings import Audit, Located
from bench.types import SplitName


def leaked_test_ids(audit: Audit) -> tuple[str, ...]:
    """Test images of which a copy, or one of the same group, is in train or validation."""
    return _shared(audit, "test", with_any_of=("train", "validation"))


def train_ids_to_drop(audit: Audit) -> tuple[str, ...]:
    """Training images to leave out, so that none is a copy of a validation or test image."""
    return _shared(audit, "train", with_any_of=("validation", "test"))


def validation_ids_to_drop(audit: Audit) -> tuple[str, ...]:
    """Validation images to leave out, so that none is a copy of a test image."""
    return _shared(audit, "validation", with_any_of=("test",))


def clusters(sets: Iterable[Sequence[Located]]) -> list[list[Located]]:
    """Images that hang together through the sets, in the order in which they are first met."""
    parent: dict[Located, Located] = {}

    def root(image: Located) -> Located:
        while parent[image] != image:
            # Halving the path keeps long chains, as of a video's frames, from costing their square.
            parent[image] = parent[parent[image]]
            image = parent[image]
        return image

    for images in sets:
        for image in images:
            parent.setdefault(image, image)
            parent[root(image)] = root(images[0])
    found: dict[Located, list[Located]] = {}
    for image in parent:
        found.setdefault(root(image), []).append(image)
    return list(found.values())


def _together(audit: Audit) -> Iterator[Sequence[Located]]:
    yield from ((pair.first, pair.second) for pair in audit.pairs)
    yield from (group.images for group in audit.broken_groups)


def _shared(audit: Audit, split: SplitName, *, with_any_of: Iterable[SplitName]) -> tuple[str, ...]:
    others = set(with_any_of)
    return tuple(
        sorted(
            image.id
            for cluster in clusters(_together(audit))
            if any(image.split in others for image in cluster)
            for image in cluster
            if image.split == split
        )
    )
