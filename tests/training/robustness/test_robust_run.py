"""Runs with robustness or probes requested, from the plan to the record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from plans import execute, plan_of, silent

from bench.analysis.explanations import ARRAYS
from bench.data import pixels, preparation
from bench.data.sources import list_dataset
from bench.execution.executors.inline import Inline
from bench.execution.plan import Plan
from bench.execution.request import RunRequest
from bench.execution.run_meta import RunInputs
from bench.inference.measuring.evaluation import fit_probes
from bench.models.weights import LocatedWeights
from bench.protocol import Head, Phase, TrainingProtocol
from bench.storage.arrays import read_arrays
from bench.storage.cache import Store
from bench.storage.records import Evidence, StoredRun, read_run
from bench.training.events import Event, Listener
from bench.training.job import Job
from bench.training.probes import fit_and_predict
from bench.training.robustness import CORRUPTIONS, KINDS, STRENGTHS
from bench.types import SPLITS, Measuring, Settings

pytestmark = pytest.mark.slow  # it loads a framework

PROTOCOL = TrainingProtocol("p", "a head", Head(), (Phase("head", 2, 1e-2),))


@pytest.fixture
def planned(tmp_path: Path, store: Store, tiny_backbone: None) -> Callable[..., Plan]:
    """Return a function from `Measuring` to a plan over a few images, with pretrained weights."""
    tiny.write_images(tmp_path / "data", {"train": 24, "validation": 8, "test": 10})
    weights = tmp_path / "tiny.weights.h5"
    tiny.build((tiny.SIZE, tiny.SIZE, 3)).save_weights(weights)
    listing = list_dataset(str(tmp_path / "data"), store=store)
    dataset = preparation.prepare(listing, [tiny.SIZE], store=store)

    def plan(measuring: Measuring, *, tune: int = 0, **more: Any) -> Plan:
        settings = Settings(weights=str(tmp_path), tune=tune)
        located = LocatedWeights("file", str(weights), weights.name)
        more = {"fractions": (0.5, 1.0), "measuring": measuring, **more}
        return plan_of([tiny.TINY], dataset, PROTOCOL, settings, weights=located, **more)

    return plan


def check_answers(evidence: Evidence) -> None:
    """Check a record whose blur did nothing: its predictions equal those of the clean images."""
    assert evidence.record.reason == ""
    answers = evidence.arrays["robust_probabilities"]
    assert answers.shape == (len(KINDS), len(STRENGTHS), 10, 2)
    clean = evidence.arrays["test_probabilities"][evidence.arrays["robust_images"]]
    for untouched in answers[KINDS.index("blur")]:
        np.testing.assert_allclose(untouched, clean, atol=1e-5)
    assert np.abs(answers[KINDS.index("brightness")] - clean).max() > 1e-3
    seconds = evidence.record.seconds
    assert seconds["robustness"] > 0
    parts = sum(spent for part, spent in seconds.items() if part not in ("total", "reused"))
    assert parts == pytest.approx(seconds["total"])


class Divided(Inline):
    """Run each trial as a job of its own, as a cluster with idle machines does."""

    capacity = 2


class Lagging(Inline):
    """Deliver events only after all is measured, as another process may."""

    def run(self, job: Job, listener: Listener) -> None:
        events: list[Event] = []
        super().run(job, events.append if job.task == "measure" else listener)
        for event in events:
            listener(event)


def test_a_later_request_keeps_recent_timings(
    tmp_path: Path, store: Store, planned: Callable[[Measuring], Plan]
) -> None:
    folder, request = tmp_path / "r", RunRequest(command=(), keep_models="best")
    plain = Measuring(0.02, heatmaps=False)
    execute(RunInputs(planned(plain), folder, request, store), Inline(), silent)
    assert "heatmaps" not in read_run(folder).records[0].seconds
    asked = Measuring(0.03, robustness=True)
    execute(RunInputs(planned(asked), folder, request, store), Lagging(), silent)
    (evidence,) = read_run(folder).evidence
    session, seconds = evidence.record.session, evidence.record.seconds
    assert session is not None
    assert session.latency_seconds == 0.03
    assert seconds.keys() >= {"robustness", "heatmaps", "neighbours"}
    assert evidence.arrays.keys() >= {*ARRAYS, "robust_probabilities"}


@pytest.mark.parametrize(("later", "tune"), [(False, 2), (True, 0)])
def test_the_trained_model_predicts_corrupted_images(
    tmp_path: Path,
    store: Store,
    planned: Callable[..., Plan],
    monkeypatch: pytest.MonkeyPatch,
    later: bool,
    tune: int,
) -> None:
    """Directly after training (at the better of two learning rates), or in a later command, which
    does not train."""
    monkeypatch.setitem(CORRUPTIONS, "blur", lambda image, strength, number: image)
    request = RunRequest(command=(), keep_models="best")
    asked = Measuring(latency_seconds=0.02, robustness=True, heatmaps=False)

    def run(measuring: Measuring) -> StoredRun:
        plan = planned(measuring, tune=tune)
        execute(RunInputs(plan, tmp_path / "r", request, store), Divided(), silent)
        return read_run(tmp_path / "r")

    if later:
        (before,) = run(replace(asked, robustness=False)).evidence
        assert "robust_probabilities" not in before.arrays
        with monkeypatch.context() as patch:
            patch.setattr(
                "bench.training.trial.run_trials", lambda *args: pytest.fail("trained again")
            )
            found = run(asked)
        np.testing.assert_array_equal(
            found.evidence[0].arrays["test_probabilities"], before.arrays["test_probabilities"]
        )
        assert found.records[0].runtimes == before.record.runtimes
    else:
        found = run(asked)
    check_answers(found.evidence[0])
    (smaller,) = found.subset_records  # for the learning curve alone
    assert "robustness" not in smaller.seconds
    assert found.meta.notes == ()


def test_probes_are_fitted_to_the_features_of_the_pretrained_network(
    tmp_path: Path,
    store: Store,
    planned: Callable[..., Plan],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a later command, which does not train, needs no trained weights and computes no features;
    once for both seeds, and not for the smaller fraction of the training set."""
    folder, request = tmp_path / "r", RunRequest(command=(), keep_models="none")

    def run(probes: bool, **more: Any) -> StoredRun:
        plan = planned(Measuring(0.02, probes=probes, heatmaps=False), seeds=(0, 1), **more)
        execute(RunInputs(plan, folder, request, store), Inline(), silent)
        return read_run(folder)

    before = run(probes=False)
    assert "probes" not in before.records[0].seconds
    with monkeypatch.context() as patch:
        unwanted = (
            "bench.training.trial.run_trials",
            "bench.training.features.FrozenFeatures._compute",
        )
        for name in unwanted:
            patch.setattr(name, lambda *args: pytest.fail("computed again"))
        found = run(probes=True)
    assert found.meta.notes == ()
    assert all(record.probes is None for record in found.subset_records)
    one, other = found.evidence
    assert one.record.probes == other.record.probes
    assert one.record.runtimes == before.records[0].runtimes
    for name, kept in before.evidence[0].arrays.items():
        np.testing.assert_array_equal(one.arrays[name], kept)
    # From the network as Keras has it.
    base = tiny.build((tiny.SIZE, tiny.SIZE, 3))
    base.load_weights(tmp_path / "tiny.weights.h5")
    features, labels = {}, {}
    for split in SPLITS:
        images = pixels.get_entry(found.dataset, split, tiny.SIZE, store).array()
        features[split] = np.asarray(base(tiny.preprocess(images.astype("float32")))).mean((1, 2))
        labels[split] = pixels.labels(found.dataset, split)
    expected, arrays = fit_and_predict(features, labels, 2)
    assert one.record.probes == expected
    for name, shares in arrays.items():
        np.testing.assert_allclose(one.arrays[name], shares, atol=1e-3)
        np.testing.assert_array_equal(one.arrays[name], other.arrays[name])
    first, second = (evidence.record.seconds for evidence in (one, other))
    assert first["probes"] == second["probes"] > 0
    added = second["reused"] - before.records[1].seconds["reused"]
    assert added == pytest.approx(second["probes"])
    for seconds in (first, second):
        parts = sum(spent for part, spent in seconds.items() if part not in ("total", "reused"))
        assert parts == pytest.approx(seconds["total"])
    # Each seed of the smaller share was trained on images of its own.
    job = RunInputs(planned(Measuring()), folder, request, store).job(
        [record.trial for record in found.subset_records], task="measure"
    )
    probed = list(fit_probes(found, found.subset_records, job, store, lambda done, total: None))
    assert [record.probes and record.probes.neighbours for record in probed] == [12, 12]
    of_own = [read_arrays(folder, record, 2)["knn_test_probabilities"] for record in probed]
    assert not np.array_equal(of_own[0], of_own[1])
