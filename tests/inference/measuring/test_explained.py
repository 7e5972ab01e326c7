"""Explanations of a really trained model's mistakes, compared with the whole model's output."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trained_run as made
from tiny import SIZE, TINY

from bench.analysis.explanations import MAP_SHARES
from bench.analysis.findings import analyse_run
from bench.data import pixels
from bench.models.backends.base import current_backend
from bench.models.cuts import FEATURES, PIXELS
from bench.storage.arrays import arrays_path, weights_path
from bench.storage.cache import Store
from bench.storage.records import Evidence, StoredRun, read_run
from bench.training.job import Job
from bench.types import Record, WeightsUsed

pytestmark = pytest.mark.slow  # it loads a framework


@pytest.fixture
def home(trained_run: Path, tmp_path: Path, tiny_backbone: None) -> Path:
    return shutil.copytree(trained_run.parent.parent, tmp_path / "home")


def pretrained(run: StoredRun) -> StoredRun:
    """Return the run as if its weights were pretrained."""
    weights = WeightsUsed("file", "tiny", "")
    return replace(run, all_records=tuple(replace(r, weights=weights) for r in run.all_records))


@pytest.mark.parametrize("tuned", [True, False], ids=["last stage trained", "head alone"])
def test_mistakes_are_explained_by_the_model_that_made_them(home: Path, tuned: bool) -> None:
    from bench.inference.measuring import explained as explaining
    from bench.models.network import Network
    from bench.models.rebuild import rebuild

    store, made_so = Store(home / "cache"), read_run(home / "results" / "r")
    run = pretrained(made_so)
    phases = made.PROTOCOL.phases if tuned else made.PROTOCOL.phases[:1]
    job = Job(
        trials=tuple(record.trial for record in run.all_records),
        protocol=replace(made.PROTOCOL, phases=phases),
        dataset=run.dataset,
        weights=None,
        folder=str(run.folder),
        store=str(store.root),
        store_limit_bytes=store.limit_bytes,
    )
    ((record, asked),) = explaining.pending_explanations(run, job)
    assert weights_path(run.folder, record.trial.key).is_file()
    assert 0 < len(asked) <= 24
    (trained,) = (r for r in made_so.all_records if r.trial.key == record.trial.key)
    model = rebuild(made_so, trained)
    if not tuned:
        model = replace(model, network=Network(TINY, SIZE))
    timed = {record.trial.key: model}
    (explained,) = explaining.explain(
        asked, timed, run, [record], job, store, lambda done, total: None
    )
    assert not timed  # it was used, and its memory is free

    images = [mistake.image for mistake in asked]
    answers = [mistake.predicted for mistake in asked]
    train, test = (
        np.asarray(pixels.get_entry(run.dataset, split, SIZE, store).array())
        for split in ("train", "test")
    )
    backend = current_backend()
    logits = backend.forward(model.logits(fold=False))(test[images])[0]
    relative = (logits - logits.mean(axis=1, keepdims=True))[range(len(images)), answers]
    bias = model.head.layers[-1].get_weights()[1]
    arrays = Evidence(explained, run.dataset.classes, run.folder).arrays
    total = arrays["explained_heatmaps"].sum(axis=(1, 2)) + (bias - bias.mean())[answers]
    np.testing.assert_allclose(total, relative, atol=1e-4)

    forward = backend.forward(model.network.submodel(PIXELS, [FEATURES]))
    unit = [
        f / np.linalg.norm(f, axis=1, keepdims=True)
        for f in (forward(test[images])[0], forward(train)[0])
    ]
    cosines = unit[0] @ unit[1].T
    np.testing.assert_allclose(
        arrays["explained_similarity"], np.sort(cosines)[:, :-4:-1], atol=1e-4
    )
    np.testing.assert_allclose(
        np.take_along_axis(cosines, arrays["explained_nearest"], axis=1),
        arrays["explained_similarity"],
        atol=1e-4,
    )
    assert (arrays["map_images"] == np.arange(len(test))).all()
    assert 0 < arrays[MAP_SHARES][1] <= arrays[MAP_SHARES][0] < 1
    checked(run, record, explained, job)


def checked(run: StoredRun, before: Record, explained: Record, job: Job) -> None:
    """Check that the report has it, the seconds add up, and nothing is computed again."""
    from bench.inference.measuring.explained import pending_explanations

    spent = {k: explained.seconds[k] for k in ("heatmaps", "neighbours")}
    total = before.seconds["total"] + sum(spent.values())
    assert explained.seconds["total"] == pytest.approx(total)
    every = (explained, *(r for r in run.all_records if r.trial.key != explained.trial.key))
    again = replace(run, all_records=every)
    assert pending_explanations(again, job) == []
    findings = analyse_run(again)
    (found,) = findings.explanations.values()
    for mistake in findings.mistakes["tiny"]:
        heatmap = found.heatmap(mistake.image, mistake.predicted)
        assert heatmap is not None
        assert heatmap.min() >= 0
        assert heatmap.max() in (0, 1)
        assert len(found.images[mistake.image].nearest) == 3
    assert found.heatmap(asked_right(findings.mistakes["tiny"], 24), 0) is None


def asked_right(wrong: object, images: int) -> int:
    """Return an image that is not explained."""
    seen = {mistake.image for mistake in wrong}  # type: ignore[attr-defined]
    return next(image for image in range(images) if image not in seen)


def test_damaged_arrays_of_another_trial_are_ignored(home: Path) -> None:
    from bench.inference.measuring.explained import pending_explanations

    run = pretrained(read_run(home / "results" / "r"))
    kept, other = sorted(
        run.all_records, key=lambda r: not weights_path(run.folder, r.trial.key).is_file()
    )
    arrays_path(run.folder, other.trial.key).write_bytes(b"nothing")
    job = Job((kept.trial,), made.PROTOCOL, run.dataset, None, str(run.folder), "", 0)
    assert [record for record, _ in pending_explanations(run, job)] == [kept]
