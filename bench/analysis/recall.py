"""The recall of each class across backbones: what one knows and another does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.analysis.metrics.classification import Counts, Floats

MAX_CLASSES = 30
MAX_BACKBONES = 30


@dataclass(frozen=True, eq=False)
class ClassRecall:
    """Classes x backbones, the hardest class first; NaN where a class has no images."""

    classes: tuple[int, ...]
    labels: tuple[str, ...]
    recall: Floats


def class_recall(confusions: Mapping[str, Counts]) -> ClassRecall | None:
    """Return the classes on which the backbones differ most, up to `MAX_CLASSES`; nothing for a
    single backbone."""
    labels = tuple(confusions)[:MAX_BACKBONES]
    if len(labels) < 2:
        return None
    counts = np.stack([confusions[label] for label in labels], axis=2)
    images = counts.sum(axis=1)
    right = np.einsum("iij->ij", counts)
    recall = np.divide(right, images, out=np.full(images.shape, np.nan), where=images > 0)
    known = np.flatnonzero((images > 0).any(axis=1))
    spread = np.nanmax(recall[known], axis=1) - np.nanmin(recall[known], axis=1)
    kept = known[np.argsort(-spread, kind="stable")[:MAX_CLASSES]]
    hardest = kept[np.argsort(np.nanmean(recall[kept], axis=1), kind="stable")]
    return ClassRecall(tuple(hardest.tolist()), labels, recall[hardest])
