"""Compare the probabilities of every runtime with Keras', on every backbone with random weights.

BatchNorm gets the statistics of trained networks, without which all predictions are the same. Also
compares the harness's count of operations with TensorFlow's. Exits with 1 if a float32 artefact
differs by more than 1e-4 in a probability, or the counts differ by more than 2%.

    python benchmarks/runtime_agreement.py [--input-size 96] [--runtimes all] [--images 16]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.execution.check.subject import calibrate_batchnorm
from bench.execution.plan import choose_backbones
from bench.inference.measuring.timing import deploy, predict_all
from bench.inference.runtimes import RUNTIMES, ModelSource, choose_runtimes
from bench.models.network import Network, build_head, count_macs, initialise_head
from bench.protocol import Head
from bench.registry import load_plugins
from bench.system.environment import available_cores

EXACT = ("keras", "xla", "litert", "onnx", "openvino")
MAX_DIFFERENCE = 1e-4
MAX_MISCOUNT = 0.02


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input-size", type=int, default=96)
    parser.add_argument("--runtimes", default="all")
    parser.add_argument("--backbones", default="all")
    parser.add_argument("--images", type=int, default=16)
    arguments = parser.parse_args()
    load_plugins(packages=("backbones",))
    failed = False
    for backbone in choose_backbones(arguments.backbones):
        network = Network(backbone, max(arguments.input_size, backbone.minimum_size))
        head = build_head(Head(), network.features_shape, 2)
        initialise_head(head, seed=0)
        images = _images(arguments.images, network.input_size)
        calibrate_batchnorm(network, images)
        model = network.classifier(head)
        failed |= _compare_counts(backbone.name, model)
        _spread_out(head, _keras(model, images))
        expected = _keras(model, images)
        print(f"{backbone.name}: probabilities spread over {np.ptp(expected[:, 0]):.3f}")
        for runtime in choose_runtimes(arguments.runtimes):
            with tempfile.TemporaryDirectory() as folder:
                source = ModelSource(model, images, Path(folder), available_cores())
                try:
                    made = deploy(runtime, source, images, expected)
                except Exception as error:
                    failed = True
                    print(f"  {runtime.name:16} failed: {type(error).__name__}: {error}")
                    continue
                difference = float(np.abs(predict_all(made.call, images) - expected).max())
                failed |= runtime.name in EXACT and not difference < MAX_DIFFERENCE
                print(
                    f"  {runtime.name:16} largest difference {difference:.1e}  "
                    f"{made.result.artefact_bytes / 1e6:6.1f} MB  "
                    f"converted in {made.result.convert_seconds:4.1f} s",
                    flush=True,
                )
    return int(failed)


def _keras(model: Any, images: Any) -> Any:
    return predict_all(RUNTIMES["keras"].load(ModelSource(model, images, Path(), 1)), images)


def _spread_out(head: Any, found: Any) -> None:
    """Scale the head so that its logits differ by about one; else all probabilities are equal."""
    logits = np.log(found[:, 1] / found[:, 0])
    kernel, bias = head.layers[-1].kernel, head.layers[-1].bias
    kernel.assign(kernel / logits.std())
    bias.assign(bias - logits.mean() / logits.std())


def _images(count: int, size: int) -> Any:
    """Return images of coloured patches, which differ by more than noise."""
    patches = np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    side = -(-size // 4)
    return patches.repeat(side, axis=1).repeat(side, axis=2)[:, :size, :size]


def _compare_counts(name: str, model: Any) -> bool:
    """Compare the counts of operations by the harness and TensorFlow, of the same kinds."""
    import tensorflow as tf
    from tensorflow.python.framework import ops
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    spec = tf.TensorSpec((1, *model.input_shape[1:]), "uint8")
    traced = tf.function(lambda x: model(x, training=False)).get_concrete_function(spec)
    graph = convert_variables_to_constants_v2(traced).graph
    counted = sum(
        ops.get_stats_for_node_def(graph, operation.node_def, "flops").value or 0
        for operation in graph.get_operations()
        if operation.type in ("Conv2D", "DepthwiseConv2dNative", "MatMul")
    )
    ours = 2 * count_macs(model)
    print(f"{name}: {ours / 1e9:.3f} GFLOP counted, TensorFlow counts {counted / 1e9:.3f}")
    return abs(ours / counted - 1) > MAX_MISCOUNT


if __name__ == "__main__":
    sys.exit(main())
