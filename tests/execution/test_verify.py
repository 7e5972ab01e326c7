"""Training a stored trial again: its choice, its data, and the comparison."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import tiny
from synthetic import write_records
from workbench import PROTOCOL, SETTINGS, EventLog, make_dataset, run

from bench.analysis.environments import ChangedFact, changes
from bench.errors import BenchError, DatasetError
from bench.execution.executors.inline import Inline
from bench.execution.verify import (
    check_dataset,
    compare_probabilities,
    fastest_trial,
    stored_protocol,
    train_again,
)
from bench.models.backends.base import start_backend
from bench.registry import BACKBONES
from bench.reports.manifest import manifest_entry
from bench.storage.arrays import write_arrays
from bench.storage.cache import Store
from bench.storage.records import Evidence, StoredRun, read_run
from bench.system.files import to_json
from bench.types import Dataset

pytestmark = pytest.mark.slow  # it loads a framework


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, store: Store) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("data"), store)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, store: Store, dataset: Dataset) -> StoredRun:
    """A run of two seeds, as the harness leaves it."""
    start_backend()  # sets variables that records hold, as in the second training
    folder = tmp_path_factory.mktemp("run")
    found, _ = run(dataset, store, folder, seeds=(0, 1))
    write_records(folder, [evidence.record for evidence in found])
    meta = {"protocol": asdict(PROTOCOL) | {"digest": PROTOCOL.digest}}
    (folder / "run.json").write_text(to_json(meta))
    (folder / "dataset.json").write_text(to_json(dataset))
    return read_run(folder)


def test_training_again_gives_the_same_probabilities(
    stored: StoredRun, dataset: Dataset, store: Store, tmp_path: Path
) -> None:
    record = fastest_trial(stored)
    # Either seed: the total time does not count what an earlier trial had compiled.
    assert record.seconds["total"] == min(r.seconds["total"] for r in stored.records)
    log = EventLog()
    BACKBONES.add(tiny.TINY)
    try:
        train_again(stored, record, dataset, None, tmp_path / "again", store, Inline(), log)
    finally:
        BACKBONES.remove("tiny")
    (again,) = log.records
    assert again.trial.key == record.trial.key
    before = Evidence(record, dataset.classes, stored.folder)
    after = Evidence(again, dataset.classes, tmp_path / "again")
    found = compare_probabilities(before, after)
    assert {split: d.images for split, d in found.items()} == {"test": 16, "validation": 12}
    assert all(difference.same for difference in found.values())
    assert changes(record, again) == []


def test_differences_within_the_tolerance_count_as_the_same(
    stored: StoredRun, dataset: Dataset, tmp_path: Path
) -> None:
    record = stored.records[0]
    before = Evidence(record, dataset.classes, stored.folder)
    for moved, changed, same in ((0.0, 0, True), (5e-7, 0, True), (2e-6, 0, False)):
        arrays = {name: np.array(array) for name, array in before.arrays.items()}
        arrays["test_probabilities"][3] += [moved, -moved]
        write_arrays(tmp_path, record.trial.key, arrays, replaces=record.arrays_sha256)
        found = compare_probabilities(before, Evidence(record, dataset.classes, tmp_path))["test"]
        assert found.largest == pytest.approx(moved, rel=1e-6)
        assert (found.changed, found.same) == (changed, same)
    arrays["test_probabilities"][:5] = arrays["test_probabilities"][:5, ::-1]
    write_arrays(tmp_path, record.trial.key, arrays, replaces=record.arrays_sha256)
    found = compare_probabilities(before, Evidence(record, dataset.classes, tmp_path))["test"]
    assert (found.changed, found.same) == (5, False)


def test_the_fastest_finished_trial_is_verified(stored: StoredRun) -> None:
    half = replace(stored.records[1].trial, fraction=0.5)
    quick = replace(stored.records[1], trial=half, seconds={"total": 0.5})
    slow = replace(stored.records[0], seconds={"total": 9.0})
    assert fastest_trial(replace(stored, all_records=(slow, quick))) == quick
    failed = replace(quick, status="failed")
    assert fastest_trial(replace(stored, all_records=(slow, failed))) == slow
    with pytest.raises(BenchError, match="no finished trial"):
        fastest_trial(replace(stored, all_records=(failed,)))


def test_changed_images_or_protocols_are_refused(stored: StoredRun, dataset: Dataset) -> None:
    record = stored.records[0]
    check_dataset(dataset, record)
    with pytest.raises(DatasetError, match="its fingerprint is eeee"):
        check_dataset(replace(dataset, fingerprint="e" * 64), record)
    assert stored_protocol(stored, record) == PROTOCOL
    meta = replace(stored.meta, protocol=replace(stored.meta.protocol, batch_size=7))
    with pytest.raises(BenchError, match="was changed since"):
        stored_protocol(replace(stored, meta=meta), record)


def test_the_manifest_holds_what_a_figure_depends_on(stored: StoredRun, dataset: Dataset) -> None:
    record = stored.records[0]
    found = manifest_entry(record)
    assert found["command"].endswith("python run_bench.py run")  # after another Keras backend
    assert found["dataset"]["fingerprint"] == dataset.fingerprint
    assert found["dataset"]["split_seed"] == 0
    assert found["dataset"]["train_images"] == 40
    assert found["protocol"]["digest"] == PROTOCOL.digest
    assert found["settings"] == asdict(SETTINGS)
    assert found["weights"]["source"] == "random init"
    about = found["environment"]
    assert about["versions"]["numpy"] == np.__version__
    assert about["device"]["kind"] == "cpu"
    assert "variables" in about


def test_changes_list_the_facts_that_differ(stored: StoredRun) -> None:
    record = stored.records[0]
    older = dict(record.environment) | {"commit": "one", "versions": {"numpy": "1.0"}}
    found = changes(replace(record, environment=older), record)
    told = {change.fact: change for change in found}
    assert told["versions numpy"] == ChangedFact("versions numpy", "1.0", np.__version__)
    assert told["versions keras"].before == "not recorded"
    assert "commit" in told
    assert "processor" not in told
