"""OpenVINO on the CPU. It uses bfloat16 by default where the processor has it; float32 is asked
for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.inference.runtimes import RUNTIMES, Call, ModelSource, Runtime
from bench.inference.runtimes.onnx import export_onnx
from bench.system.files import workplace

if TYPE_CHECKING:
    from bench.models.backends.base import Array


class _OpenVINO(Runtime):
    name = "openvino"
    help = "OpenVINO on the CPU, float32"
    artefact = "openvino.xml"  # openvino.bin next to it has the weights
    modules = ("tensorflow", "onnx", "tf2onnx", "openvino")
    install = "backbone-bench[openvino]"

    def convert(self, source: ModelSource) -> None:
        import openvino

        with workplace(source.folder) as folder:
            exported = folder / "float32.onnx"
            export_onnx(source.model, exported, self.name)
            converted = openvino.convert_model(exported)
        # By default it would store float16 weights.
        openvino.save_model(converted, source.folder / self.artefact, compress_to_fp16=False)

    def load(self, source: ModelSource) -> Call:
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
                model.reshape(list(images.shape))  # a batch of any size is slower
                compiled[len(images)] = core.compile_model(model, "CPU", options)
            answer: Array = compiled[len(images)](images)[0]
            return answer

        return call


RUNTIMES.add(_OpenVINO())
