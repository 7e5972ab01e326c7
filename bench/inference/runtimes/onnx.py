"""ONNX Runtime, float32 and int8 with ranges calibrated on training images; and OpenVINO on a CPU,
from the same float32 file. OpenVINO is set to float32, as by default it uses bfloat16 on processors
that have it.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.inference.runtimes import RUNTIMES, Call, ModelSource, Runtime, frozen_graph
from bench.system.files import temporary_folder

if TYPE_CHECKING:
    from bench.models.backends.base import Array

CALIBRATION_BATCH = 8
INPUT = "image"
OPSET = 17


def keep_private() -> None:
    """Disable the telemetry of ONNX Runtime and OpenVINO; call it before importing them.

    OpenVINO sends it from a process that, without a network, outlives the command.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


class _OnnxRuntime(Runtime):
    modules = ("tensorflow", "onnx", "onnxruntime", "tf2onnx")
    install = "backbone-bench[onnx]"

    def __init__(self, precision: Literal["float32", "int8"]) -> None:
        self.precision = precision
        self.name = "onnx" if precision == "float32" else f"onnx_{precision}"
        self.help = f"ONNX Runtime, {precision}"
        self.artefact = f"{self.name}.onnx"

    def convert(self, source: ModelSource) -> None:
        path = source.folder / self.artefact
        if self.precision == "float32":
            export_onnx(source.model, path)
            return
        with temporary_folder(source.folder) as folder:
            exported = folder / "float32.onnx"
            export_onnx(source.model, exported)
            _quantize(exported, path, source.images)

    def load(self, source: ModelSource) -> Call:
        keep_private()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = source.threads
        options.inter_op_num_threads = 1
        session: Any = onnxruntime.InferenceSession(
            str(source.folder / self.artefact), options, providers=["CPUExecutionProvider"]
        )

        def call(images: Array) -> Array:
            probabilities: Array = session.run(None, {INPUT: images})[0]
            return probabilities

        return call


def export_onnx(model: Any, path: Path) -> None:
    """Write the model as float32 ONNX: `image` (batch, height, width, 3) to `probabilities`."""
    from bench.models.folding import make_portable

    graph = frozen_graph(make_portable(model))
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import onnx
        import tf2onnx

        converted, _ = tf2onnx.convert.from_graph_def(
            graph.graph.as_graph_def(),
            input_names=[tensor.name for tensor in graph.inputs],
            output_names=[tensor.name for tensor in graph.outputs],
            opset=OPSET,
            custom_op_handlers={"Erfc": (_erfc, [])},
        )
    _name_interface(converted.graph)
    onnx.save(converted, str(path))


def _erfc(graph: Any, node: Any, name: str, arguments: Any) -> None:
    """Convert `Erfc` of TensorFlow's GELU, which ONNX does not have, to 1 - erf."""
    import numpy as np

    node.type, node.domain = "Erf", ""
    one = graph.make_const(f"{name}/one", np.ones((), "float32")).output[0]
    minus = graph.insert_new_node_on_output("Neg", node.output[0]).output[0]
    graph.insert_new_node_on_output("Add", minus, inputs=[minus, one])


def _name_interface(graph: Any) -> None:
    """Rename the input, the output and the batch dimension, which have TensorFlow's names."""
    (image,), (output,) = graph.input, graph.output
    names = {image.name: INPUT, output.name: "probabilities"}
    for node in graph.node:
        for places in (node.input, node.output):
            places[:] = [names.get(place, place) for place in places]
    for value in (image, output):
        value.name = names[value.name]
        value.type.tensor_type.shape.dim[0].dim_param = "batch"


def _quantize(exported: Path, path: Path, images: Array) -> None:
    keep_private()
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Batches(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            starts = range(0, len(images), CALIBRATION_BATCH)
            self._batches = iter({INPUT: images[i : i + CALIBRATION_BATCH]} for i in starts)

        def get_next(self) -> dict[str, Array] | None:
            return next(self._batches, None)

    prepared = exported.with_name("prepared.onnx")
    # Inference of symbolic shapes needs another package, and has no effect on image networks.
    quant_pre_process(str(exported), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(path),
        Batches(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8,
    )


class _OpenVINO(Runtime):
    name = "openvino"
    help = "OpenVINO on the CPU, float32"
    artefact = "openvino.xml"  # openvino.bin next to it has the weights
    modules = ("tensorflow", "onnx", "tf2onnx", "openvino")
    install = "backbone-bench[openvino]"

    def convert(self, source: ModelSource) -> None:
        keep_private()
        import openvino

        with temporary_folder(source.folder) as folder:
            exported = folder / "float32.onnx"
            export_onnx(source.model, exported)
            converted = openvino.convert_model(exported)
        # By default OpenVINO compresses weights to float16.
        openvino.save_model(converted, source.folder / self.artefact, compress_to_fp16=False)

    def load(self, source: ModelSource) -> Call:
        keep_private()
        import openvino

        core = openvino.Core()
        path = source.folder / self.artefact
        options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": source.threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        compiled: dict[int, Any] = {}

        def call(images: Array) -> Array:
            if len(images) not in compiled:
                model = core.read_model(path)
                model.reshape(list(images.shape))  # a dynamic batch size is slower
                compiled[len(images)] = core.compile_model(model, "CPU", options)
            probabilities: Array = compiled[len(images)](images)[0]
            return probabilities

        return call


RUNTIMES.add(_OnnxRuntime("float32"))
RUNTIMES.add(_OnnxRuntime("int8"))
RUNTIMES.add(_OpenVINO())
