"""Half precision: the same network and predictions up to rounding, in trials of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tiny
import trained_run as made_run
from workbench import PROTOCOL, SETTINGS, make_dataset, run

from bench.analysis.facts import facts
from bench.analysis.findings import analyse_run
from bench.models.backends.base import current_backend
from bench.models.network import Network, build_head, initialise_head, weighted_loss
from bench.models.rebuild import rebuild
from bench.protocol import Head, Phase, Unfreeze
from bench.storage.cache import Store
from bench.storage.records import Evidence, read_run
from bench.training.phase_trainer import PhaseTrainer
from bench.types import PRECISIONS, Precision, Settings

pytestmark = pytest.mark.slow  # it loads a framework

# A rounding to bfloat16 keeps 8 bits, one to float16 11; some dozen layers add their own.
ROUNDING = {"float32": 1e-6, "mixed_float16": 5e-3, "mixed_bfloat16": 4e-2}


@pytest.fixture(autouse=True)
def float32_again() -> Iterator[None]:
    yield
    keras.config.set_dtype_policy("float32")


def network(precision: Precision) -> Network:
    """The tiny network with weights of ordinary size, the same in every precision."""
    keras.config.set_dtype_policy(precision)
    made = Network(tiny.TINY, tiny.SIZE)
    rng = np.random.default_rng(0)
    for weight in made.base.weights:
        weight.assign(rng.uniform(0.5, 1.0, weight.shape) * rng.choice([-1, 1], weight.shape))
        if "variance" in weight.name:
            weight.assign(np.abs(keras.ops.convert_to_numpy(weight)))
    return made


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Evidence]:
    """A trial in each precision, on one data set and one store."""
    folder = tmp_path_factory.mktemp("precisions")
    store = Store(folder / "cache")
    dataset = make_dataset(folder / "data", store)
    # Without dropout: its random numbers depend on the precision.
    protocol = replace(PROTOCOL, head=Head(dropout=0))
    found: dict[str, Evidence] = {}
    for precision in PRECISIONS:
        settings = replace(SETTINGS, precision=precision)
        (found[precision],), _ = run(
            dataset, store, folder / precision, settings=settings, protocol=protocol
        )
    entries = [entry for entry in store.entries() if entry.kind == "features"]
    # Two cuts of three splits, and none of one precision was taken for another's.
    assert len(entries) == 2 * 3 * len(PRECISIONS)
    assert {entry.array().dtype for entry in entries} == {np.dtype("float32")}
    return found


def test_predictions_of_all_precisions_are_equal_up_to_rounding(
    trained: dict[str, Evidence],
) -> None:
    expected = trained["float32"].arrays["test_probabilities"]
    for precision, evidence in trained.items():
        found = evidence.arrays["test_probabilities"]
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, expected, atol=ROUNDING[precision])
        if precision != "float32":
            assert not np.array_equal(found, expected)


def test_each_precision_has_its_own_trial_key_and_activations(trained: dict[str, Evidence]) -> None:
    records = [evidence.record for evidence in trained.values()]
    assert len({record.trial.key for record in records}) == len(PRECISIONS)
    assert [record.trial.settings.precision for record in records] == list(PRECISIONS)
    # Weights are float32 in all of them: four bytes each.
    assert {record.size_bytes for record in records} == {4 * records[0].parameters}


@pytest.mark.parametrize("precision", PRECISIONS[1:])
def test_folding_rounds_no_more_than_the_plain_network(precision: Precision) -> None:
    pixels, _ = tiny.images(8, seed=0)
    forward = current_backend().forward

    def features(precision: Precision, fold: bool) -> np.ndarray:
        made = network(precision).submodel("pixels", ["features"], fold=fold)
        return forward(made)(pixels)[0].astype("float32")

    expected = features("float32", False)
    plain, fold = (np.abs(features(precision, f) - expected).mean() for f in (False, True))
    assert 0 < plain < 0.05 * np.abs(expected).mean()
    assert 0 < fold < 2 * plain


@pytest.mark.parametrize("precision", PRECISIONS)
def test_outputs_are_float32(precision: Precision) -> None:
    made = network(precision)
    head = build_head(Head(hidden=(4,)), made.features_shape, 3)
    classifier = made.classifier(head)
    assert classifier.outputs[0].dtype == head.outputs[0].dtype == "float32"
    computed = {layer.compute_dtype for layer in made.base.layers if layer.weights}
    assert computed == {precision.removeprefix("mixed_")}
    assert {weight.dtype for weight in made.base.weights} == {"float32"}


def test_small_gradients_survive_float16() -> None:
    """A loss times 1e-7 has gradients below float16's smallest number unless the loss is scaled.
    A rate of 1e7 makes the update that of the loss itself at a rate of 1."""
    pixels, labels = tiny.images(8, seed=0)
    phase = Phase("fine-tune", 1, 1e7, optimizer="sgd", unfreeze=Unfreeze("stages", 1))
    backend = current_backend()

    def update(precision: Precision) -> np.ndarray:
        made = network(precision)
        cut = made.unfreeze(phase)
        head = build_head(Head(dropout=0), made.features_shape, 2)
        initialise_head(head, seed=0)
        rows = backend.forward(made.submodel("pixels", [cut]))(pixels)[0].astype("float32")
        tail = made.tail(cut, head, phase)
        optimizer = PhaseTrainer(phase, 0, tail, backend).optimizer
        step = backend.train_step(tail, optimizer, lambda *a: 1e-7 * weighted_loss(*a))
        kernel = made.base.get_layer("four_conv").kernel
        before = np.array(keras.ops.convert_to_numpy(kernel))
        step.fetch([step(step.put(rows, labels.astype("int32"), np.ones(8, "float32")))])
        step.sync()
        change: np.ndarray = np.array(keras.ops.convert_to_numpy(kernel)) - before
        return change

    expected = update("float32")
    assert np.abs(expected).max() > 1e-3
    found = update("mixed_float16")
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())


@pytest.mark.usefixtures("tiny_backbone")
def test_the_model_is_rebuilt_and_timed_in_its_precision(tmp_path: Path) -> None:
    settings = Settings(precision="mixed_bfloat16")
    run = read_run(made_run.make(tmp_path, seeds=(0,), settings=settings))
    (evidence,) = run.evidence
    assert [runtime.status for runtime in evidence.record.runtimes] == ["ok"]
    assert evidence.record.session is not None
    assert len(evidence.arrays["latency_keras_b1"])
    again = rebuild(run, evidence.record)
    assert again.network.precision == "mixed_bfloat16"
    # For a file that others read, from the same weights.
    assert rebuild(run, evidence.record, "float32").network.precision == "float32"
    assert "mixed_bfloat16" in dict(facts(analyse_run(run)))["Precision"]
