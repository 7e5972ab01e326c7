"""The preprocessing that a network of `keras.applications` expects, by Keras itself."""

from __future__ import annotations

import importlib
import re
from functools import partial
from typing import Any

import keras

from bench.registry import resolve
from bench.types import Backbone, PackagedWeights, Reference

KERAS_WEIGHTS = re.compile(r"https://storage\.googleapis\.com/(tensorflow/)?keras-applications/")


def expected_preprocessing(backbone: Backbone) -> str | None:
    """Return the reference to Keras' own preprocessing for the backbone's network.

    None where the network is not Keras', or its weights are declared to be others than Keras'.
    """
    weights = backbone.weights
    if isinstance(weights, PackagedWeights):
        return None
    if isinstance(weights, tuple) and not all(KERAS_WEIGHTS.match(file.url) for file in weights):
        return None
    modules = {f"keras.applications.{name}" for name in _modules(backbone.build)}
    if len(modules) != 1:
        return None
    (module,) = modules
    found = hasattr(importlib.import_module(module), "preprocess_input")
    return f"{module}:preprocess_input" if found else None


def _modules(build: Reference) -> set[str]:
    """Return the modules of `keras.applications` that a builder is from, or refers to."""
    function = resolve(build)
    named: list[Any] = []
    while isinstance(function, partial):
        named += [*function.args, *function.keywords.values()]
        function = function.func
    code = getattr(function, "__code__", None)
    if code is not None:
        named += [*code.co_names, *code.co_consts]
    builders = [getattr(keras.applications, n, None) for n in named if isinstance(n, str)]
    found = {getattr(one, "__module__", "") for one in (function, *builders) if callable(one)}
    return {module.rpartition(".")[2] for module in found if ".applications." in module}
