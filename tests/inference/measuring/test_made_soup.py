"""Averaged weights of several seeds, compared with the same arithmetic on whole models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tiny
from plans import execute, plan_of, silent

from bench.data import pixels, preparation
from bench.data.sources import list_dataset
from bench.execution.executors.inline import Inline
from bench.execution.request import RunRequest
from bench.execution.run_meta import RemainingWork, RunInputs
from bench.inference.exporting import export
from bench.models.rebuild import find_members, rebuild
from bench.models.weights import LocatedWeights
from bench.protocol import Head, Phase, TrainingProtocol, Unfreeze
from bench.storage.arrays import Array, weights_path
from bench.storage.cache import Store
from bench.storage.records import Evidence, StoredRun, read_run
from bench.types import KeepModels, Settings

pytestmark = pytest.mark.slow  # it loads a framework

PHASES = (
    Phase("head", 30, 3e-2),
    Phase("fine-tune", 2, 1e-3, unfreeze=Unfreeze("stages", 1)),
)
PROTOCOL = TrainingProtocol("p", "a head, then the last stage", Head(), PHASES)
Make = Callable[..., StoredRun]


@pytest.fixture
def make(tmp_path: Path, store: Store, tiny_backbone: None) -> Make:
    """Execute a run, or the rest of one, until nothing is left to measure."""
    tiny.write_images(tmp_path / "data", {"train": 24, "validation": 20, "test": 10}, "abc")
    keras.utils.set_random_seed(2)  # whatever else this process drew
    tiny.build((tiny.SIZE, tiny.SIZE, 3)).save_weights(tmp_path / "tiny.weights.h5")
    listing = list_dataset(str(tmp_path / "data"), store=store)
    dataset = preparation.prepare(listing, [tiny.SIZE], store=store)

    def run(seeds: Sequence[int], keep: KeepModels = "all") -> StoredRun:
        request = RunRequest(command=(), keep_models=keep)
        measuring = replace(request.measuring, latency_seconds=0.02, heatmaps=False)
        located = LocatedWeights("file", str(tmp_path / "tiny.weights.h5"), "tiny.weights.h5")
        settings = Settings(weights=str(tmp_path))
        plan = plan_of(
            [tiny.TINY], dataset, PROTOCOL, settings, seeds, weights=located, measuring=measuring
        )
        execute(RunInputs(plan, tmp_path / "r", request, store), Inline(), silent)
        found = read_run(tmp_path / "r")
        assert [record.reason for record in found.records] == [""] * len(found.records)
        assert RemainingWork.read(plan, found.folder).unmeasured() == []
        return found

    return run


def answers(run: StoredRun, keys: Sequence[str], home: Path, images: Array) -> Array:
    """Return the probabilities of the mean of these trials' weights, through Keras alone."""
    base = tiny.build((tiny.SIZE, tiny.SIZE, 3))
    base.load_weights(home / "tiny.weights.h5")
    files = [dict(np.load(weights_path(run.folder, key))) for key in keys]
    for place, variable in enumerate(base.weights):
        own = keras.ops.convert_to_numpy(variable)
        variable.assign(np.mean([f.get(f"backbone_{place}", own) for f in files], axis=0))
    kernel, bias = (np.mean([f[f"head_{n}"] for f in files], axis=0) for n in (0, 1))
    scaled = tiny.preprocess(images.astype("float32"))
    features = keras.ops.convert_to_numpy(base(scaled, training=False))
    logits = features.mean(axis=(1, 2)) @ kernel + bias
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def test_the_soup_is_the_mean_of_the_weights_that_do_not_lower_the_validation_accuracy(
    make: Make, tmp_path: Path, store: Store
) -> None:
    run = make((0, 1, 2))
    (holder,) = (record for record in run.records if record.soup is not None)
    assert holder.soup is not None
    assert holder.seconds["soup"] > 0
    keys = {record.trial.seed: record.trial.key for record in run.records}
    splits = {
        split: pixels.get_entry(run.dataset, split, tiny.SIZE, store).array()
        for split in ("validation", "test")
    }
    labels = pixels.labels(run.dataset, "validation")
    taken: list[str] = []
    best = 0.0
    for one in holder.soup.tried:
        both = [*taken, keys[one.seed]]
        found = answers(run, both, tmp_path, splits["validation"]).argmax(axis=1) == labels
        assert one.val_accuracy == pytest.approx(found.mean())
        assert one.taken == (found.mean() >= best)
        if one.taken:
            taken, best = both, found.mean()
    assert len(taken) > 1
    alone = [
        (Evidence(r, run.dataset.classes, run.folder).arrays["validation_probabilities"], r)
        for r in run.records
    ]
    highest = max((found.argmax(axis=1) == labels).mean() for found, _ in alone)
    assert holder.soup.tried[0].val_accuracy == pytest.approx(highest)

    (soup,) = find_members(run, "tiny@soup")
    arrays = Evidence(soup, run.dataset.classes, run.folder).arrays
    for split, images in splits.items():
        expected = answers(run, taken, tmp_path, images)
        np.testing.assert_allclose(arrays[f"{split}_probabilities"], expected, atol=1e-5)
    model = rebuild(run, soup)
    found = np.asarray(keras.ops.convert_to_numpy(model.class_probabilities()(splits["test"])))
    np.testing.assert_allclose(found, arrays["test_probabilities"], atol=1e-5)

    done = export(run, [model], "keras", tmp_path / "out", store)
    assert done.path.name == "tiny-soup.keras"
    assert "the predicted class is the recorded one for 10 of 10" in done.checked
    card = done.card.read_text()
    seeds = ", ".join(map(str, sorted(holder.soup.seeds)))
    assert f"the mean of the weights of seeds {seeds}" in card
    assert f"- seed {holder.soup.seeds[0]}, fine-tune: 2 epochs" in card


def test_a_soup_is_made_again_for_a_new_seed_and_only_of_kept_weights(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(record.soup is None for record in make((0, 1), keep="best").records)
    make((2,))  # its weights and those of the better of the others are kept
    (holder,) = (record for record in make((0, 1, 2)).records if record.soup is not None)
    assert holder.soup is not None
    assert len(holder.soup.tried) == 2
    with monkeypatch.context() as patch:
        again = "bench.inference.measuring.evaluation.make_soup"
        patch.setattr(again, lambda *args: pytest.fail("made again"))
        make((0, 1, 2))
        make((2,))
    (holder,) = (record for record in make((0, 1, 2, 3)).records if record.soup is not None)
    assert holder.soup is not None
    assert {one.seed for one in holder.soup.tried} >= {2, 3}
    assert len(holder.soup.tried) == 3
