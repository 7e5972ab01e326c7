"""Which trials may stand in one ranking: same images, same protocol, same arithmetic, judged on the
same test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.analysis.metrics.classification import Guesses
from bench.types import Record

if TYPE_CHECKING:
    from bench.analysis.table import Score

MOST_NAMED = 3


@dataclass(frozen=True)
class Contender:
    """A trial that deserves a rank: pretrained, finished, with answers."""

    record: Record
    label: str
    guesses: Guesses
    right_after: NDArray[np.bool_] | None  # phases, test images


def contenders(scores: Iterable[Score]) -> list[Contender]:
    """Those that are compared: of a learning curve, only the trials on the most images, and only
    the seeds that all backbones finished, so that everyone is judged alike."""
    found = eligible(scores)
    shared = shared_seeds(found)
    return [c for c in found if c.record.trial.seed in shared] if shared else found


def eligible(scores: Iterable[Score]) -> list[Contender]:
    """The trials that deserve a rank, of whatever seed."""
    found = [
        Contender(s.record, s.label, s.guesses, s.right_after)
        for s in scores
        if s.guesses is not None and s.record.weights is not None and s.record.weights.pretrained
    ]
    most = max((c.record.trial.fraction for c in found), default=1.0)
    return [c for c in found if c.record.trial.fraction == most]


def shared_seeds(found: Sequence[Contender]) -> tuple[int, ...]:
    """The seeds that every backbone finished."""
    seeds: dict[str, set[int]] = {}
    for one in found:
        seeds.setdefault(one.label, set()).add(one.record.trial.seed)
    return tuple(sorted(set.intersection(*seeds.values()))) if seeds else ()


def differences(scores: Iterable[Score]) -> list[str]:
    """What the trials do not have in common, and who has which; empty where all is well."""
    found = eligible(scores)
    told = []
    for field, value in FIELDS.items():
        holders: dict[str, list[str]] = {}
        for contender in found:
            holders.setdefault(value(contender), []).append(contender.label)
        if len(holders) > 1:
            each = [f"{what} for {_named(who)}" for what, who in holders.items()]
            told.append(f"{field} ({'; '.join(each)})")
    if found and not shared_seeds(found):
        told.append(f"seed ({_seeds(found)}: no seed finished for all)")
    return told


def _seeds(found: Sequence[Contender]) -> str:
    holders: dict[int, list[str]] = {}
    for one in found:
        holders.setdefault(one.record.trial.seed, []).append(one.label)
    return "; ".join(f"{seed} for {_named(holders[seed])}" for seed in sorted(holders))


def _protocol(contender: Contender) -> str:
    trial = contender.record.trial
    return f"{trial.protocol} {trial.protocol_digest[:8]}"


def _dataset(contender: Contender) -> str:
    trial = contender.record.trial
    return f"{trial.dataset} {trial.dataset_fingerprint[:8]}"


def _precision(contender: Contender) -> str:
    return contender.record.trial.settings.precision


def _threads(contender: Contender) -> str:
    return str(contender.record.trial.settings.threads or "as many as cores")


def _test_images(contender: Contender) -> str:
    labels = contender.guesses.labels
    return f"{len(labels):,} images {sha256(labels.tobytes()).hexdigest()[:8]}"


FIELDS: dict[str, Callable[[Contender], str]] = {
    "dataset_fingerprint": _dataset,
    "protocol_digest": _protocol,
    "test_labels": _test_images,
    "precision": _precision,
    "threads": _threads,
}


def _named(labels: Sequence[str]) -> str:
    names = list(dict.fromkeys(labels))
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
