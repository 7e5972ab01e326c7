"""OpenVINO on the CPU, in float32: it takes bfloat16 by itself where the processor has it, so
float32 is asked for."""

from __future__ import annotations

from typing import Any

from bench.inference.runtimes.base import RUNTIMES, Call, Source
from bench.inference.runtimes.onnx import export_onnx
from bench.models.backends.base import Array
from bench.system.files import workplace


class _OpenVINO:
    name = "openvino"
    artefact = "openvino.xml"  # and openvino.bin beside it, with the weights
    modules = ("tensorflow", "onnx", "tf2onnx", "openvino")
    extra = "openvino"

    def convert(self, source: Source) -> None:
        import openvino

        with workplace(source.folder) as folder:
            exported = folder / "float32.onnx"
            export_onnx(source.model, exported, self.name)
            converted = openvino.convert_model(exported)
        # It would store float16 weights by itself.
        openvino.save_model(converted, source.folder / self.artefact, compress_to_fp16=False)

    def load(self, source: Source) -> Call:
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
