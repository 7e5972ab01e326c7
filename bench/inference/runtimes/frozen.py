"""A Keras model as a TensorFlow graph whose weights are constants: what converters begin with.

No runtime of its own. A variable would be read anew in every query, and what the model captured
besides variables, as EfficientNet's normalization does, would become an input.
"""

from __future__ import annotations

from typing import Any

from bench.inference.runtimes.base import needs_backend

INPUT = "image"


def frozen(model: Any, runtime: str) -> Any:
    """The traced function for uint8 images in batches of any size."""
    needs_backend(runtime, "tensorflow")
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    spec = tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype, name=INPUT)
    traced = tf.function(lambda image: model(image, training=False)).get_concrete_function(spec)
    return convert_variables_to_constants_v2(traced)
