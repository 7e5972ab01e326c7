"""Saved weights, models rebuilt from them, and the errors if that is impossible."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image
from plans import REQUEST, execute, plan, silent
from scripted_executor import ScriptedExecutor
from synthetic import write_records

from bench.errors import BenchError, WeightsError
from bench.execution.run_meta import RunInputs
from bench.models.backends.base import current_backend
from bench.models.rebuild import code_warning, find_record, rebuild
from bench.models.weights import SENT_FOLDER, digest
from bench.registry import BACKBONES
from bench.storage.arrays import (
    TrainedWeights,
    changed_arrays,
    keep_better_weights,
    read_trained,
    sort_best_first,
    weights_path,
    write_trained,
)
from bench.storage.cache import Store
from bench.storage.records import read_records, read_run
from bench.training.losses import logits_to_probabilities
from bench.types import KeepModels, WeightsUsed

pytestmark = pytest.mark.slow  # it loads a framework


@pytest.fixture
def copy(trained_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained_run, tmp_path / "r")


def test_changed_weights_by_index() -> None:
    before = [np.zeros(2), np.ones(3), np.zeros(1)]
    after = [np.zeros(2), np.array([1.0, 1.0, 2.0]), np.zeros(1)]
    assert list(changed_arrays(before, after)) == [1]


def test_weights_survive_the_disk(tmp_path: Path) -> None:
    head = tuple(np.full(1, i, "float32") for i in range(12))  # 10 must not sort before 2
    write_trained(tmp_path, "k", TrainedWeights({7: np.eye(2)}, head))
    read = read_trained(tmp_path, "k")
    np.testing.assert_array_equal(read.backbone[7], np.eye(2))
    assert [int(a[0]) for a in read.head] == list(range(12))


@pytest.mark.usefixtures("tiny_backbone")
def test_code_changed_since_training_is_warned_of(trained_run: Path) -> None:
    record = read_records(trained_run)[0]
    assert code_warning(record) == ""
    BACKBONES.remove("tiny")
    BACKBONES.add(replace(tiny.TINY, preprocess=lambda x: x / 255.0))
    assert code_warning(record).startswith("the code of tiny has changed since training")
    old = replace(record, trial=replace(record.trial, code=""))
    assert code_warning(old) == ""


def test_only_the_trained_weights_are_saved(trained_run: Path) -> None:
    record = sort_best_first(read_records(trained_run))[0]
    kept = read_trained(trained_run, record.trial.key)
    # four_conv and four_depthwise: kernel and bias each; BatchNorm was frozen.
    assert sorted(a.shape for a in kept.backbone.values()) == [
        (3, 3, 8, 1),
        (3, 3, 8, 8),
        (8,),
        (8,),
    ]
    assert [a.shape for a in kept.head] == [(8, 3), (3,)]


def test_only_the_best_seed_by_validation_is_saved(trained_run: Path) -> None:
    best, other = sort_best_first(read_records(trained_run))
    losses = [r.phases[-1].epochs[r.phases[-1].best_epoch - 1].val_loss for r in (best, other)]
    assert losses[0] < losses[1]
    assert [p.stem for p in (trained_run / "weights").iterdir()] == [best.trial.key]


@pytest.mark.parametrize(("keep", "count"), [("none", 0), ("best", 1), ("all", 2)])
def test_keep_models_decides_how_many_seeds_are_saved(
    tmp_path: Path, store: Store, keep: KeepModels, count: int
) -> None:
    request = replace(REQUEST, keep_models=keep)
    inputs = RunInputs(plan("one", seeds=(0, 1)), tmp_path, request, store)
    execute(inputs, ScriptedExecutor(), silent)
    assert len(list(tmp_path.glob("weights/*.npz"))) == count


def test_a_trial_on_all_images_is_preferred_to_a_better_one_on_a_fraction(copy: Path) -> None:
    best, other = sort_best_first(read_records(copy))
    part = replace(best, trial=replace(best.trial, fraction=0.5))
    assert sort_best_first([part, other]) == [other, part]
    write_trained(copy, other.trial.key, TrainedWeights({}, ()))
    assert keep_better_weights(copy, part, other) == other
    assert not weights_path(copy, part.trial.key).exists()
    assert weights_path(copy, other.trial.key).exists()


@pytest.mark.usefixtures("tiny_backbone")
def test_the_rebuilt_model_predicts_what_the_record_says(trained_run: Path) -> None:
    run = read_run(trained_run)
    record = find_record(run, "tiny")
    (evidence,) = (e for e in run.evidence if e.record == record)
    ids = run.dataset.splits["test"].ids
    data = trained_run.parent.parent / "data"
    images = np.stack([np.asarray(Image.open(data / name)) for name in ids])
    model = rebuild(run, record)
    for fold in (False, True):
        logits = current_backend().forward(model.logits(fold=fold))(images)[0]
        np.testing.assert_allclose(
            logits_to_probabilities(logits), evidence.arrays["test_probabilities"], atol=1e-5
        )
    whole = current_backend().forward(model.classifier())(images)[0]
    np.testing.assert_allclose(whole, evidence.arrays["test_probabilities"], atol=1e-5)


@pytest.mark.usefixtures("tiny_backbone")
def test_a_run_without_weights_says_what_to_do(copy: Path) -> None:
    shutil.rmtree(copy / "weights")
    run = read_run(copy)
    with pytest.raises(BenchError, match=r"did not keep the trained weights .* --keep-models best"):
        rebuild(run, find_record(run, "tiny"))


@pytest.mark.usefixtures("tiny_backbone")
def test_different_pretrained_weights_are_an_error(copy: Path) -> None:
    records = read_records(copy)
    used = WeightsUsed("random init", "", "0" * 64)
    write_records(copy, [replace(r, weights=used) for r in records])
    run = read_run(copy)
    with pytest.raises(
        WeightsError, match="was trained from random init, but the weights here differ"
    ):
        rebuild(run, find_record(run, "tiny"))


@pytest.mark.usefixtures("tiny_backbone")
def test_weights_that_were_sent_to_a_node_are_used_there(copy: Path) -> None:
    sent = tiny.build((tiny.SIZE, tiny.SIZE, 3))
    (copy / SENT_FOLDER).mkdir()
    sent.save_weights(copy / SENT_FOLDER / "tiny.x.weights.h5")
    used = WeightsUsed("imagenet", "x.weights.h5", digest(sent))  # which nobody publishes
    write_records(copy, [replace(r, weights=used) for r in read_records(copy)])
    run = read_run(copy)
    assert rebuild(run, find_record(run, "tiny")).record.weights == used
    shutil.rmtree(copy / SENT_FOLDER)
    with pytest.raises(WeightsError):
        rebuild(run, find_record(run, "tiny"))


def test_a_backbone_of_an_unloaded_plugin_is_an_error(trained_run: Path) -> None:
    run = read_run(trained_run)
    with pytest.raises(
        BenchError, match="from a plugin that is not loaded; name the plugin with --plugin"
    ):
        rebuild(run, find_record(run, "tiny"))


def test_a_damaged_weights_file_is_an_error(copy: Path) -> None:
    (path,) = (copy / "weights").iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BenchError, match="is damaged"):
        read_trained(copy, path.stem)


@pytest.mark.usefixtures("tiny_backbone")
def test_a_changed_declaration_is_an_error(copy: Path) -> None:
    (path,) = (copy / "weights").iterdir()
    kept = read_trained(copy, path.stem)
    write_trained(copy, path.stem, replace(kept, head=(np.zeros((9, 3)), np.zeros(3))))
    run = read_run(copy)
    with pytest.raises(BenchError, match="do not fit the network as it is declared now"):
        rebuild(run, find_record(run, "tiny"))


def test_an_unknown_backbone_is_an_error(copy: Path) -> None:
    run = read_run(copy)
    with pytest.raises(BenchError, match=r"unknown backbone of run r 'tiney'. Did you mean 'tiny'"):
        find_record(run, "tiney")
    write_records(copy, [replace(r, status="failed", reason="boom") for r in run.records])
    with pytest.raises(BenchError, match="tiny failed in run r: boom"):
        find_record(read_run(copy), "tiny")
