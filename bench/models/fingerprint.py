"""The fingerprint of a network, which is part of the cache address of its activations.

It covers the loaded weights, the layers with their configuration and connections, the preprocessed
values of a fixed image, and the code digest (a custom layer's `call` is in no configuration). The
network's output is left out: its last bits depend on the number of threads and, on a GPU, on the
algorithms chosen, so hashing it would cause needless cache misses, and computing it takes up to a
second.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import numpy as np
from keras import ops, tree

from bench.models.code_digest import code_digest
from bench.models.network import Network

PROBE_SEED = 0
_JSON_STRING = r'"(?:[^"\\]|\\.)*"'


def fingerprint(network: Network, weights_sha256: str) -> str:
    """Return a SHA-256 that identifies the function that the network computes from pixels."""
    sha = hashlib.sha256()
    for part in (weights_sha256, code_digest(network.backbone), repr(_structure(network.base))):
        sha.update(part.encode() + b"\0")
    size = network.input_size
    probe = np.random.default_rng(PROBE_SEED).integers(0, 256, (1, size, size, 3), np.uint8)
    inputs = ops.convert_to_numpy(network.preprocess(probe)).astype("float32")
    sha.update(f"{inputs.shape}".encode() + np.ascontiguousarray(inputs).tobytes())
    return sha.hexdigest()


def _structure(model: Any) -> Any:
    """Return the model's configuration with each layer name replaced by its order of appearance.

    Names that Keras generates depend on the models built earlier in the process.
    """
    try:
        config = json.dumps(json.loads(model.to_json())["config"], sort_keys=True)
    except (NotImplementedError, TypeError, ValueError):
        # A layer without a configuration; the code digest covers its code.
        return [
            (type(op).__name__, [tuple(tensor.shape) for tensor in tree.flatten(op.output)])
            for op in model.operations
        ]
    names = dict.fromkeys(re.findall(rf'"name": ({_JSON_STRING})', config))
    numbers = {name: str(number) for number, name in enumerate(names)}
    return re.sub(_JSON_STRING, lambda match: numbers.get(match[0], match[0]), config)
