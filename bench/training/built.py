"""What the trials of one backbone have before there are images: network, weights, head, passes.

A worker makes it while its parent still decodes, so that neither waits for the other. Nothing here
sees an image or trains.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from bench.errors import TrialError
from bench.models import weights
from bench.models.backends.accumulating import AccumulatingBackend
from bench.models.backends.base import Backend, DeviceInfo, current
from bench.models.code_digest import code_digest
from bench.models.cuts import PIXELS, check_stages
from bench.models.fingerprint import fingerprint
from bench.models.network import Network, build_head
from bench.models.passes import Passes
from bench.protocol import Phase
from bench.registry import BACKBONES
from bench.system.ablation import enabled
from bench.training.job import Blueprint
from bench.types import Settings, WeightsUsed


@dataclass(frozen=True)
class Built:
    """A network as its blueprint has it, with nothing trained yet."""

    blueprint: Blueprint
    backend: Backend
    device: DeviceInfo
    network: Network
    weights: WeightsUsed
    fingerprint: str  # of what the network computes; "" where nothing is cached
    head: Any
    cuts: tuple[str, ...]  # where each phase starts from
    passes: Passes
    seconds: float


def build(blueprint: Blueprint) -> Built:
    """Build what the blueprint says, on the device that it asks for."""
    backend = _in_parts(current(), blueprint)
    device = _prepared_device(backend, blueprint.settings)
    keras.config.set_dtype_policy(blueprint.settings.precision)
    start = time.perf_counter()
    backbone, protocol = BACKBONES[blueprint.backbone], blueprint.protocol
    if blueprint.code and (found := code_digest(backbone)) != blueprint.code:
        raise TrialError(
            f"the code of {backbone.name} was changed after this run began (digest {found}, it "
            f"was {blueprint.code}); give the same command again."
        )
    network = Network(backbone, blueprint.input_size, protocol.head.pooling)
    check_stages(backbone, network.base)
    used = weights.load(network.base, backbone, blueprint.weights)
    return Built(
        blueprint=blueprint,
        backend=backend,
        device=device,
        network=network,
        weights=used,
        fingerprint=fingerprint(network, used.sha256) if blueprint.settings.cache else "",
        head=build_head(protocol.head, network.features_shape, blueprint.classes),
        cuts=tuple(_cuts(network, protocol.phases)),
        passes=Passes(network, backend),
        seconds=time.perf_counter() - start,
    )


def build_ahead(blueprint: Blueprint) -> Built | None:
    """Build before the images are there, and make the frozen pass ready to run, which new images
    are sure to need; `None` where that is switched off."""
    if not enabled("build_ahead"):
        return None
    built = build(blueprint)
    frozen = sorted(set(built.cuts) - {PIXELS}, key=built.network.depth)
    if blueprint.settings.cache and frozen:
        built.passes.warm_up(frozen)
    return built


def _in_parts(backend: Backend, blueprint: Blueprint) -> Backend:
    parts = blueprint.accumulation
    if parts == 1:
        return backend
    return AccumulatingBackend(backend, parts, blueprint.settings.batch_size // parts)


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


def _cuts(network: Network, phases: Sequence[Phase]) -> list[str]:
    """Where each phase starts from. Never deeper than an earlier phase trained: what that phase
    changed is no longer what the store holds."""
    cuts: list[str] = []
    for phase in phases:
        cut = network.unfreeze(phase)
        cuts.append(min([cut, *cuts], key=network.depth))
    return cuts
