"""Everything the trials of one backbone share before there are images: network, weights, head,
compiled forward passes.

Nothing here reads an image or trains.
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
from bench.models.backends.accumulating import accumulating
from bench.models.backends.base import Backend, DeviceInfo, Forward, current
from bench.models.code_digest import code_digest
from bench.models.cuts import PIXELS, stage_ends
from bench.models.fingerprint import fingerprint
from bench.models.network import Network, build_head
from bench.protocol import Phase
from bench.registry import BACKBONES
from bench.training.job import Job
from bench.types import Settings, WeightsUsed

FORWARD_BATCH = 32  # fixed, so that what is stored does not depend on the training batch


class ForwardPassCache:
    """Compiled forward passes of one network between its cuts; each is compiled on first use."""

    def __init__(self, network: Network, backend: Backend) -> None:
        self.network, self.backend = network, backend
        self.compile_seconds = 0.0
        self._passes: dict[tuple[str, ...], Forward] = {}

    def get(self, source: str, targets: Sequence[str]) -> Forward:
        """Return the pass from one cut to deeper ones, for batches of `FORWARD_BATCH` rows."""
        key = (source, *targets)
        if key not in self._passes:
            model = self.network.between(source, targets, fold=True)
            forward = self.backend.forward(model)
            start = time.perf_counter()
            dtype = "uint8" if source == PIXELS else "float32"
            forward.compile(np.zeros((FORWARD_BATCH, *self.network.shape(source)), dtype))
            self.compile_seconds += time.perf_counter() - start
            self._passes[key] = forward
        return self._passes[key]


@dataclass(frozen=True)
class PreparedModel:
    """The network of a job, with nothing trained yet."""

    backend: Backend
    device: DeviceInfo
    network: Network
    weights: WeightsUsed
    fingerprint: str  # of what the network computes; "" where nothing is cached
    head: Any
    cuts: tuple[str, ...]  # where each phase starts from
    passes: ForwardPassCache
    seconds: float


def build(job: Job) -> PreparedModel:
    """Build the network that the job trains, on the device that it asks for."""
    trial, protocol = job.trials[0], job.protocol
    settings, backend = trial.settings, current()
    if job.accumulation > 1:
        backend = accumulating(backend, job.accumulation, job.step_images)
    device = _prepared_device(backend, settings)
    keras.config.set_dtype_policy(settings.precision)
    start = time.perf_counter()
    backbone = BACKBONES[trial.backbone]
    if trial.code and (found := code_digest(backbone)) != trial.code:
        raise TrialError(
            f"the code of {backbone.name} was changed after this run began (digest {found}, it "
            f"was {trial.code}); give the same command again."
        )
    network = Network(backbone, trial.input_size, protocol.head.pooling)
    stage_ends(backbone, network.base)  # raises where one is unknown: it decides what is trained
    used = weights.load(network.base, backbone, job.weights)
    return PreparedModel(
        backend=backend,
        device=device,
        network=network,
        weights=used,
        fingerprint=fingerprint(network, used.sha256) if settings.cache else "",
        head=build_head(protocol.head, network.features_shape, len(job.dataset.classes)),
        cuts=tuple(cuts_of(network, protocol.phases)),
        passes=ForwardPassCache(network, backend),
        seconds=time.perf_counter() - start,
    )


def _prepared_device(backend: Backend, settings: Settings) -> DeviceInfo:
    if settings.deterministic:
        backend.make_deterministic()
    found = backend.device()
    if settings.device not in ("auto", found.kind):
        raise TrialError(
            f"--device {settings.device} was asked for, but {found.framework} finds only a "
            f"{found.kind} here."
        )
    return found


def cuts_of(network: Network, phases: Sequence[Phase]) -> list[str]:
    """Return where each phase starts from: never deeper than an earlier phase trained, as the store
    does not hold what that phase changed."""
    cuts: list[str] = []
    for phase in phases:
        cut = network.unfreeze(phase)
        cuts.append(min([cut, *cuts], key=network.depth))
    return cuts
