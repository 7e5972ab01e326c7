"""How evenly the classes are filled."""

from __future__ import annotations

from collections import Counter

from bench.audit.findings import Balance
from bench.types import Dataset


def balance(dataset: Dataset) -> tuple[Balance, ...]:
    """The images of each class in each split; every class has at least one, or it were no split."""
    found = []
    for name, split in dataset.splits.items():
        counts = Counter(split.labels)
        found.append(Balance(name, tuple(counts[c] for c in range(len(dataset.classes)))))
    return tuple(found)
