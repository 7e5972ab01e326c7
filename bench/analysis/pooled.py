"""The evidence of an ensemble: several trained models whose class probabilities are averaged.

It has the form of a trial's evidence, so that every metric of a trial also works on an ensemble.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bench.storage.arrays import Array
from bench.storage.records import Evidence, StoredRun
from bench.types import Record


@dataclass(frozen=True, eq=False)
class PooledEvidence(Evidence):
    """The evidence of one trial, or of an ensemble: predictions and size, without timings."""

    members: tuple[Record, ...] = ()

    @cached_property
    def arrays(self) -> Mapping[str, Array]:
        each = [Evidence(one, self.classes, self.folder).arrays for one in self.members]
        if len(each) == 1:
            return each[0]
        found: dict[str, Array] = {}
        for split in ("validation", "test"):
            labels, predicted = f"{split}_labels", f"{split}_probabilities"
            if all({labels, predicted} <= set(arrays) for arrays in each):
                true = each[0][labels]
                if all(np.array_equal(arrays[labels], true) for arrays in each):
                    average = mean_probabilities([one[predicted] for one in each])
                    found |= {labels: true, predicted: average}
        return found


def mean_probabilities(members: Sequence[Array]) -> Array:
    """Return the probabilities of an ensemble, from those of its members (images x classes)."""
    found: Array = np.mean(members, axis=0)
    return found


def pool_evidence(run: StoredRun, members: Sequence[Record]) -> PooledEvidence:
    """Return the evidence of the ensemble of these trials; of a single trial, its own."""
    record = members[0]
    if len(members) > 1:
        # If a member has random weights, so has the ensemble: its predictions are meaningless.
        record = min(members, key=lambda one: one.pretrained)
        record = replace(
            record,
            trial=replace(
                record.trial,
                backbone="+".join(one.trial.name for one in members),
                sized=False,
                key="+".join(one.trial.key for one in members),
            ),
            parameters=sum(one.parameters for one in members),
            size_bytes=sum(one.size_bytes for one in members),
            phases=(),
            runtimes=(),
            session=None,
        )
    return PooledEvidence(record, run.dataset.classes, run.folder, members=tuple(members))
