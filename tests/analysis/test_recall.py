"""The recall of each class across backbones."""

from __future__ import annotations

import numpy as np
import pytest

from bench.analysis import mistakes
from bench.analysis.mistakes import class_recall


def test_the_classes_that_differ_most_are_kept_and_the_hardest_comes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mistakes, "MAX_CLASSES", 2)
    # Of ten images of each class the backbones get so many right; class 3 has no image.
    a, b = np.diag([10, 4, 9, 0]), np.diag([10, 6, 6, 0])
    a[1, 0], b[1, 0], a[2, 0], b[2, 0] = 6, 4, 1, 4
    found = class_recall({"a": a, "b": b})
    assert found is not None
    assert found.labels == ("a", "b")
    assert found.classes == (1, 2)  # means of 0.5 and 0.75
    assert found.recall.tolist() == [[0.4, 0.6], [0.9, 0.6]]


def test_one_backbone_is_compared_with_none() -> None:
    assert class_recall({"a": np.eye(2, dtype=np.int64)}) is None
