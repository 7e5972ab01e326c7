"""LiteRT (formerly TensorFlow Lite), for phones and embedded devices: float32, float16 and int8.

float16 halves the file and computes in float32 on a CPU. int8 computes in integers, with ranges
calibrated on training images, and in float32 for operations without an integer kernel.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Any, Literal

from bench.inference.runtimes import RUNTIMES, Call, ModelSource, Runtime, frozen_graph
from bench.system.files import write_atomic

if TYPE_CHECKING:
    from bench.models.backends.base import Array


class _LiteRT(Runtime):
    modules = ("tensorflow", "ai_edge_litert")
    install = "backbone-bench[litert]"

    def __init__(self, precision: Literal["float32", "float16", "int8"]) -> None:
        self.precision = precision
        self.name = "litert" if precision == "float32" else f"litert_{precision}"
        self.help = f"LiteRT (TensorFlow Lite), {precision}"
        self.artefact = f"{self.name}.tflite"

    def convert(self, source: ModelSource) -> None:
        graph = frozen_graph(source.model)
        import tensorflow as tf

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            converter = tf.lite.TFLiteConverter.from_concrete_functions([graph])
            if self.precision != "float32":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if self.precision == "float16":
                converter.target_spec.supported_types = [tf.float16]
            if self.precision == "int8":
                converter.representative_dataset = lambda: ([one[None]] for one in source.images)
                converter.target_spec.supported_ops = [
                    tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
                    tf.lite.OpsSet.TFLITE_BUILTINS,
                ]
            with contextlib.redirect_stdout(None):
                converted = bytes(converter.convert())
        write_atomic(source.folder / self.artefact, converted)

    def load(self, source: ModelSource) -> Call:
        from ai_edge_litert.interpreter import Interpreter

        path = str(source.folder / self.artefact)
        interpreter: Any = Interpreter(model_path=path, num_threads=source.threads)
        image = interpreter.get_input_details()[0]["index"]
        output = interpreter.get_output_details()[0]["index"]
        shape: tuple[int, ...] = ()

        def call(images: Array) -> Array:
            nonlocal shape
            if images.shape != shape:
                interpreter.resize_tensor_input(image, images.shape)
                interpreter.allocate_tensors()
                shape = images.shape
            interpreter.set_tensor(image, images)
            interpreter.invoke()
            probabilities: Array = interpreter.get_tensor(output)
            return probabilities

        return call


RUNTIMES.add(_LiteRT("float32"))
RUNTIMES.add(_LiteRT("float16"))
RUNTIMES.add(_LiteRT("int8"))
