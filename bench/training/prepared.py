"""Everything that the trials of one backbone share and that needs no images: network, weights,
head, compiled forward passes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from bench.errors import TrialError
from bench.models import weights
from bench.models.backends.accumulating import accumulate_gradients
from bench.models.backends.base import Backend, DeviceInfo, Forward, current_backend
from bench.models.code_digest import code_digest
from bench.models.cuts import PIXELS, stage_ends
from bench.models.fingerprint import fingerprint
from bench.models.network import Network, build_head
from bench.protocol import Phase
from bench.registry import BACKBONES
from bench.training.job import Job
from bench.types import Settings, WeightsUsed

FORWARD_BATCH = 32  # fixed, so that cached activations do not depend on the training batch size


class ForwardPassCache:
    """The compiled forward passes of a network between its cuts, each compiled on first use."""

    def __init__(self, network: Network, backend: Backend) -> None:
        self.network, self.backend = network, backend
        self.compile_seconds = 0.0
        self._passes: dict[tuple[str, ...], Forward] = {}

    def get(self, source: str, targets: Sequence[str]) -> Forward:
        """Return the pass from one cut to deeper cuts, compiled for `FORWARD_BATCH` rows."""
        key = (source, *targets)
        if key not in self._passes:
            model = self.network.submodel(source, targets, fold=True)
            forward = self.backend.forward(model)
            start = time.perf_counter()
            dtype = "uint8" if source == PIXELS else "float32"
            forward.compile(np.zeros((FORWARD_BATCH, *self.network.shape(source)), dtype))
            self.compile_seconds += time.perf_counter() - start
            self._passes[key] = forward
        return self._passes[key]


@dataclass(frozen=True)
class PreparedModel:
    """The network of a job before training."""

    backend: Backend
    device: DeviceInfo
    network: Network
    weights: WeightsUsed
    fingerprint: str  # of the network; "" if nothing is cached
    head: Any
    cuts: tuple[str, ...]  # the cut from which each phase trains
    passes: ForwardPassCache
    seconds: float  # to build all this


def prepare_model(job: Job) -> PreparedModel:
    """Build the network that the job trains, on the requested device."""
    trial, protocol = job.trials[0], job.protocol
    settings, backend = trial.settings, current_backend()
    if job.accumulation > 1:
        backend = accumulate_gradients(backend, job.accumulation, job.step_images)
    device = _select_device(backend, settings)
    keras.config.set_dtype_policy(settings.precision)
    start = time.perf_counter()
    backbone = BACKBONES[trial.backbone]
    if trial.code and (found := code_digest(backbone)) != trial.code:
        raise TrialError(
            f"the code of {backbone.name} was changed after this run began (digest {found}, it "
            f"was {trial.code}); repeat the command."
        )
    network = Network(backbone, trial.input_size, protocol.head.pooling)
    stage_ends(backbone, network.base)  # raises for an unknown stage, also if no phase uses it
    used = weights.load(network.base, backbone, job.weights)
    return PreparedModel(
        backend=backend,
        device=device,
        network=network,
        weights=used,
        fingerprint=fingerprint(network, used.sha256) if settings.cache else "",
        head=build_head(protocol.head, network.features_shape, len(job.dataset.classes)),
        cuts=tuple(phase_cuts(network, protocol.phases)),
        passes=ForwardPassCache(network, backend),
        seconds=time.perf_counter() - start,
    )


def _select_device(backend: Backend, settings: Settings) -> DeviceInfo:
    """Return the device; raise `TrialError` if it is not the requested kind."""
    if settings.deterministic:
        backend.make_deterministic()
    found = backend.device()
    if settings.device not in ("auto", found.kind):
        raise TrialError(
            f"--device {settings.device} was requested, but {found.framework} finds only a "
            f"{found.kind} here."
        )
    return found


def phase_cuts(network: Network, phases: Sequence[Phase]) -> list[str]:
    """Unfreeze the layers of each phase in turn, and return the cut from which each phase trains.

    A cut is never deeper than that of an earlier phase: the layers that an earlier phase trained
    have changed, so their activations must not be cached.
    """
    cuts: list[str] = []
    for phase in phases:
        cut = network.unfreeze(phase)
        cuts.append(min([cut, *cuts], key=network.depth))
    return cuts
