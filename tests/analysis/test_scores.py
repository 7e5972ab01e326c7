"""Which arrays of a run are read, and what is kept in memory."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import Net, make_run

from bench import reports
from bench.reports.sections import sections
from bench.storage import arrays, records
from bench.storage.records import TEST_ARRAYS


def test_reports_read_the_arrays_of_a_trial_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run(tmp_path / "r", [Net("a", 3.0), Net("b", 2.0), Net("c", 1.0)], seeds=(0, 1))
    read, whole, some = arrays.read_arrays, Counter[str](), Counter[str]()

    def counting(folder: Path, record: Any, classes: int, only: Any = ()) -> Any:
        (some if only else whole)[record.trial.key] += 1
        assert not only or only == TEST_ARRAYS
        return read(folder, record, classes, only)

    monkeypatch.setattr(records, "read_arrays", counting)
    findings = reports.read(folder)
    reports.write(findings, sections(findings))
    keys = [record.trial.key for record in findings.run.records]
    assert whole == dict.fromkeys(keys, 1)
    assert set(some) <= set(keys)  # the members of ensembles, whose probabilities are averaged
    assert set(some.values()) == {1}


def test_trials_share_the_true_labels_and_keep_a_byte_for_each_prediction(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r", [Net("a", 3.0), Net("b", 2.0)])
    (one,), (other,) = reports.read(folder).predictions.values()
    assert one.labels is other.labels
    assert one.predicted.dtype == np.uint8
    assert (one.correct == (one.labels == one.predicted)).all()


def test_more_classes_need_more_bytes(tmp_path: Path) -> None:
    classes = [f"class {number}" for number in range(300)]
    folder = make_run(tmp_path / "r", [Net("a", 9.0)], classes=classes, images=300)
    ((one,),) = reports.read(folder).predictions.values()
    assert one.predicted.max() > 255
    assert one.correct.mean() > 0.9
