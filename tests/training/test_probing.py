"""The trial of a probe, run as in a worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import workbench

from bench.storage.cache import Store
from bench.training import trial

pytestmark = pytest.mark.slow  # it loads a framework


def test_a_probe_predicts_the_sampled_training_images(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def fitted(features: Any, labels: Any, classes: int, groups: Any) -> Any:
        asked.append((features.shape, list(labels), classes, list(groups)))
        return np.eye(classes)[labels ^ (groups == 8)]  # wrong for one

    monkeypatch.setattr(trial, "cross_validate", fitted)
    dataset = workbench.make_dataset(tmp_path / "data", store)
    labels, whole, few = list(dataset.splits["train"].labels), tuple(range(40)), (1, 2, 5, 8)
    for sample in (whole, few):
        folder = tmp_path / str(len(sample))
        ((one,), log) = workbench.run(
            dataset, store, folder, task="probe", sample=sample, groups=sample
        )
        judged = [labels[place] for place in sample]
        assert asked.pop() == ((len(sample), 8), judged, 2, list(sample))
        assert set(one.arrays) == {"validation_labels", "validation_probabilities"}
        wrong = one.arrays["validation_probabilities"].argmax(axis=1) != judged
        assert [sample[place] for place in np.flatnonzero(wrong)] == [8]
        assert one.record.train_images == len(sample)
        assert "logistic regression" in log.stages
    # The features of all images are kept: a sample of them needed no forward pass.
    assert one.record.seconds["reused"] >= one.record.seconds["features"] > 0
