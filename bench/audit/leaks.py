"""What the pairs mean for a benchmark: which test images were seen before, and what to drop.

A split may learn from those before it only: validation images choose epochs and rates, so a copy
of a test image does harm there, too. Whole clusters count, not pairs: of a burst of photographs,
the first and the last may differ, and yet both show the same moment.
"""

from __future__ import annotations

from collections.abc import Iterable

from bench.audit.clusters import clusters
from bench.audit.findings import Audit
from bench.types import SplitName


def leaked_test_ids(audit: Audit) -> tuple[str, ...]:
    """Test images of which there is an exact or near copy in train or validation."""
    return _shared(audit, "test", with_any_of=("train", "validation"))


def train_ids_to_drop(audit: Audit) -> tuple[str, ...]:
    """Training images to leave out, so that none is a copy of a validation or test image."""
    return _shared(audit, "train", with_any_of=("validation", "test"))


def validation_ids_to_drop(audit: Audit) -> tuple[str, ...]:
    """Validation images to leave out, so that none is a copy of a test image."""
    return _shared(audit, "validation", with_any_of=("test",))


def _shared(audit: Audit, split: SplitName, *, with_any_of: Iterable[SplitName]) -> tuple[str, ...]:
    others = set(with_any_of)
    return tuple(
        sorted(
            image.id
            for cluster in clusters(audit.pairs)
            if any(image.split in others for image in cluster)
            for image in cluster
            if image.split == split
        )
    )
