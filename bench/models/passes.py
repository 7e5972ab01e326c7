"""The compiled passes of one network from one cut to others, each compiled once."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from bench.models.backends.base import Array, Backend, Forward
from bench.models.cuts import PIXELS
from bench.models.network import Network

FORWARD_BATCH = 32  # fixed, so that what is stored does not depend on the training batch


class Passes:
    """Makes each pass when it is first asked for."""

    def __init__(self, network: Network, backend: Backend) -> None:
        self.network, self.backend = network, backend
        self.compile_seconds = 0.0
        self._made: dict[tuple[str, ...], Forward] = {}

    def get(self, source: str, targets: Sequence[str]) -> Forward:
        """The pass from one cut to one or more deeper ones, for batches of `FORWARD_BATCH`."""
        key = (source, *targets)
        if key not in self._made:
            model = self.network.between(source, targets, fold=self.backend.gains_from_folding)
            forward = self.backend.forward(model)
            start = time.perf_counter()
            forward.compile(self._zeros(source))
            self.compile_seconds += time.perf_counter() - start
            self._made[key] = forward
        return self._made[key]

    def warm_up(self, targets: Sequence[str]) -> None:
        """Make the pass from the pixels and run it once on nothing: a framework finishes a pass
        only when it first runs, and there is time for it while the images are still decoded."""
        forward = self.get(PIXELS, targets)
        start = time.perf_counter()
        forward(self._zeros(PIXELS))
        self.compile_seconds += time.perf_counter() - start

    def _zeros(self, source: str) -> Array:
        dtype = "uint8" if source == PIXELS else "float32"
        return np.zeros((FORWARD_BATCH, *self.network.shape(source)), dtype)
