"""The fingerprint of what a network computes: the address of its cached activations.

It covers the loaded weights, the layers with their configuration and connections, what the
preprocessing makes of a fixed image, and the code digest (a custom layer's `call` is in no
configuration). The network's own output is left out: its last bits depend on the number of threads
and, on a GPU, on the algorithms chosen, so that a digest of it would miss the cache for no reason,
and computing it takes up to a second.
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
_TEXT = r'"(?:[^"\\]|\\.)*"'  # in JSON


def fingerprint(network: Network, weights_sha256: str) -> str:
    """Return the SHA-256 of what the network with these weights computes from pixels."""
    sha = hashlib.sha256()
    for fact in (weights_sha256, code_digest(network.backbone), repr(_structure(network.base))):
        sha.update(fact.encode() + b"\0")
    size = network.input_size
    probe = np.random.default_rng(PROBE_SEED).integers(0, 256, (1, size, size, 3), np.uint8)
    seen = ops.convert_to_numpy(network.preprocess(probe)).astype("float32")
    sha.update(f"{seen.shape}".encode() + np.ascontiguousarray(seen).tobytes())
    return sha.hexdigest()


def _structure(model: Any) -> Any:
    """Return the model's configuration with names numbered in their order: automatic ones depend on
    what else was built in the process."""
    try:
        config = json.dumps(json.loads(model.to_json())["config"], sort_keys=True)
    except (NotImplementedError, TypeError, ValueError):
        # A layer that cannot say how it was made; its code is part of the digest all the same.
        return [
            (type(op).__name__, [tuple(tensor.shape) for tensor in tree.flatten(op.output)])
            for op in model.operations
        ]
    names = dict.fromkeys(re.findall(rf'"name": ({_TEXT})', config))
    numbers = {name: str(number) for number, name in enumerate(names)}
    return re.sub(_TEXT, lambda found: numbers.get(found[0], found[0]), config)
