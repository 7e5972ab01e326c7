"""Cached activations are reused only for a network that computes the same function."""

from __future__ import annotations

from pathlib import Path

import edited
import numpy as np
import pytest
import tiny
from workbench import job_of

from bench.errors import TrialError
from bench.models.backends.base import Array, current_backend
from bench.models.fingerprint import fingerprint
from bench.models.network import Network
from bench.storage.cache import Store
from bench.training.augment import PLAIN
from bench.training.features import FrozenFeatures
from bench.training.prepared import ForwardPassCache, prepare_model
from bench.types import SPLITS, Backbone

pytestmark = pytest.mark.slow  # it loads a framework


def features(backbone: Backbone, store: Store) -> tuple[Array, bool]:
    """Return the features of some images, and whether they were in the cache."""
    network = Network(backbone, tiny.SIZE)
    pixels, _ = tiny.images(4, seed=1)
    entries = dict.fromkeys(SPLITS, tiny.store_images(store, "x", pixels))
    frozen = FrozenFeatures(
        ForwardPassCache(network, current_backend()), fingerprint(network, "w"), entries, store
    )
    rows = frozen.rows("test", PLAIN, ["features"], lambda done, total: None)["features"]
    return rows.take(np.arange(4)), bool(frozen.pass_times.reused)


def test_cached_activations_are_not_reused_for_an_edited_plugin(
    tmp_path: Path, store: Store
) -> None:
    plugin = edited.write(tmp_path / "plugins")
    before, found = features(edited.load(plugin), store)
    assert not found
    again, found = features(edited.load(plugin), store)
    assert found
    np.testing.assert_array_equal(again, before)

    edited.edit(tmp_path / "plugins", "preprocess")
    after, found = features(edited.load(plugin), store)
    assert not found
    expected, _ = features(edited.load(plugin), Store(tmp_path / "other"))
    np.testing.assert_array_equal(after, expected)
    assert np.abs(after - before).max() > 0.01


@pytest.mark.parametrize("name", edited.EDITS)
def test_changed_computations_change_the_fingerprint_without_the_code_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("bench.models.fingerprint.code_digest", lambda backbone: "same")
    plugin = edited.write(tmp_path)
    before = fingerprint(Network(edited.load(plugin), tiny.SIZE), "w")
    edited.edit(tmp_path, name)
    assert fingerprint(Network(edited.load(plugin), tiny.SIZE), "w") != before


def test_the_fingerprint_depends_on_layers_but_not_on_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A constant that is in no source file is in the layers' configuration."""

    def build(input_shape: tuple[int, int, int], **options: object) -> object:
        import keras

        start = keras.Input(input_shape)
        return keras.Model(start, keras.layers.Rescaling(scales[0])(start * scales[1]))

    def found() -> str:
        return fingerprint(Network(backbone, 16), "w")

    scales = [2.0, 3.0]
    backbone = Backbone("scaled", build, tiny.preprocess, 16, ("a", "b"), minimum_size=16)
    monkeypatch.setattr("bench.models.fingerprint.code_digest", lambda backbone: "same")
    first = found()
    assert found() == first  # although automatic names are other ones
    scales[0] = 2.5
    assert found() != first
    scales[:] = [2.0, 3.5]
    assert found() != first


def test_a_layer_without_a_configuration_has_a_fingerprint() -> None:
    def build(input_shape: tuple[int, int, int], **options: object) -> object:
        import keras

        class Odd(keras.layers.Layer):  # type: ignore[misc]
            def __init__(self, what: object) -> None:
                super().__init__()

            def call(self, x: object) -> object:
                return x

            def get_config(self) -> dict[str, object]:
                raise NotImplementedError

        start = keras.Input(input_shape)
        return keras.Model(start, Odd(object())(start))

    backbone = Backbone("odd", build, tiny.preprocess, 16, ("a", "b"), minimum_size=16)
    first = fingerprint(Network(backbone, 16), "w")
    assert fingerprint(Network(backbone, 16), "w") == first
    assert fingerprint(Network(backbone, 16), "other weights") != first


def test_code_that_changed_after_the_plan_is_refused(tiny_backbone: None) -> None:
    job = job_of("tiny", code="of yesterday")
    with pytest.raises(TrialError, match="code of tiny was changed after this run began"):
        prepare_model(job)
