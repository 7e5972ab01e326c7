"""Every runtime that is installed, on a tiny trained-like network, from its own file."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tiny
from keras import layers

from bench.errors import TrialError, UnknownNameError, UsageError
from bench.execution.check.subject import calibrate_batchnorm
from bench.inference.measuring.timing import deploy, predict_all
from bench.inference.runtimes import RUNTIMES, ModelSource, choose_runtimes, unavailable_runtimes
from bench.models.backends.base import current_backend
from bench.models.network import Network, build_head, count_macs, initialise_head
from bench.protocol import Head

pytestmark = pytest.mark.slow  # it loads a framework

EXACT = 1e-4
ROUNDED = {"litert_float16": 0.01, "litert_int8": 0.1, "onnx_int8": 0.1}
IMAGES = tiny.images(19, 3)[0]  # not a whole number of batches


@pytest.fixture(scope="module")
def model() -> Any:
    network = Network(tiny.TINY, tiny.SIZE)
    head = build_head(Head(), network.features_shape, 2)
    initialise_head(head, seed=0)
    calibrate_batchnorm(network, IMAGES)
    return network.classifier(head)


@pytest.fixture(scope="module")
def expected(model: Any) -> Any:
    found = predict_all(lambda x: current_backend().forward(model)(x)[0], IMAGES)
    assert found.shape == (19, 2)
    assert np.ptp(found[:, 0]) > 0.01  # or all models would agree
    return found


@pytest.mark.parametrize("name", RUNTIMES.names)
def test_a_runtime_predicts_as_keras_does(
    model: Any, expected: Any, name: str, tmp_path: Path
) -> None:
    runtime = RUNTIMES[name]
    for module in runtime.modules:
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    made = deploy(runtime, ModelSource(model, IMAGES, tmp_path, 1), IMAGES, expected)
    found = predict_all(made.call, IMAGES)
    assert np.abs(found - expected).max() < ROUNDED.get(name, EXACT)
    assert bool(made.result.artefact_bytes) == bool(runtime.artefact)
    # The file is complete: it predicts the same without the model.
    if runtime.artefact:
        again = runtime.load(ModelSource(None, IMAGES[:0], tmp_path, 1))
        np.testing.assert_allclose(predict_all(again, IMAGES), found, atol=1e-6)


@pytest.mark.parametrize("name", ["litert", "onnx", "openvino"])
def test_the_layers_of_convnext_are_converted(name: str, tmp_path: Path) -> None:
    """Grouped convolutions, and GELU, in a nested model."""
    runtime = RUNTIMES[name]
    for module in runtime.modules:
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    features = keras.Input((16, 16, 8))
    x = layers.Conv2D(8, 3, padding="same", groups=8)(features)
    x = layers.Dense(8, activation="gelu")(x)  # as transformers have it
    block = keras.Model(features, layers.Activation("gelu")(x))
    image = keras.Input((32, 32, 3), dtype="uint8")
    x = layers.Conv2D(8, 2, strides=2)(layers.Rescaling(1 / 64, offset=-2.0)(image))
    x = layers.GlobalAveragePooling2D()(block(x))
    model = keras.Model(image, layers.Dense(2, activation="softmax")(x))
    expected = predict_all(lambda x: current_backend().forward(model)(x)[0], IMAGES)
    made = deploy(runtime, ModelSource(model, IMAGES, tmp_path, 1), IMAGES, expected)
    assert np.abs(predict_all(made.call, IMAGES) - expected).max() < EXACT


def test_telemetry_is_disabled(tmp_path: Path) -> None:
    for module in ("onnxruntime", "openvino"):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    code = (
        "from bench.inference.runtimes.onnx import keep_private; keep_private();"
        "import onnxruntime, openvino.tools.ovc.telemetry_utils as used; print(used.tm.__name__)"
    )
    home = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=home, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "openvino.tools.ovc.telemetry_stub"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_model_other_than_the_trained_one_is_refused(
    model: Any, expected: Any, tmp_path: Path
) -> None:
    source = ModelSource(model, IMAGES, tmp_path, 1)
    with pytest.raises(TrialError, match=r"differs from the trained one"):
        deploy(RUNTIMES["keras"], source, IMAGES, expected[:, ::-1])


def test_the_reference_comes_first_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setattr("bench.registry.find_spec", lambda name: name)  # all are installed
    assert [r.name for r in choose_runtimes("keras")] == ["keras"]
    assert [r.name for r in choose_runtimes("xla, keras,xla")] == ["keras", "xla"]
    with pytest.raises(UnknownNameError, match=r"unknown runtime 'onxx'. Did you mean 'onnx'"):
        choose_runtimes("onxx")


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setattr(
        "bench.registry.find_spec", lambda name: None if name == "openvino" else name
    )
    with pytest.raises(
        UsageError, match=r"needs openvino; install it with `pip install 'backbone-bench\[openv"
    ):
        choose_runtimes("openvino")
    assert "openvino" not in [r.name for r in choose_runtimes("all")]
    assert len(unavailable_runtimes("keras, all")) == 1
    assert unavailable_runtimes("keras") == []
    with pytest.raises(UsageError, match="names no runtime"):
        unavailable_runtimes(" ,")


def test_flops_equal_the_count_of_tensorflow(model: Any) -> None:
    tf = pytest.importorskip("tensorflow")
    from tensorflow.python.framework import ops
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    shape = (1, tiny.SIZE, tiny.SIZE, 3)
    traced = tf.function(lambda x: model(x, training=False)).get_concrete_function(
        tf.TensorSpec(shape, "uint8")
    )
    graph = convert_variables_to_constants_v2(traced).graph
    counted = sum(
        ops.get_stats_for_node_def(graph, operation.node_def, "flops").value or 0
        for operation in graph.get_operations()
        if operation.type in ("Conv2D", "DepthwiseConv2dNative", "MatMul")
    )
    assert counted == pytest.approx(2 * count_macs(model), rel=0.02)
