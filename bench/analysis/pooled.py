"""Several trained models as one, which answers with the mean of their class probabilities.

Its evidence is made of theirs, so that every metric of a trial is also one of an ensemble.
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
class Pooled(Evidence):
    """The evidence of one trial, or of an ensemble of several: its answers and its size; it was
    never timed."""

    members: tuple[Record, ...] = ()

    @cached_property
    def arrays(self) -> Mapping[str, Array]:
        each = [Evidence(one, self.classes, self.folder).arrays for one in self.members]
        if len(each) == 1:
            return each[0]
        found: dict[str, Array] = {}
        for split in ("validation", "test"):
            labels, answers = f"{split}_labels", f"{split}_probabilities"
            if all({labels, answers} <= set(arrays) for arrays in each):
                true = each[0][labels]
                if all(np.array_equal(arrays[labels], true) for arrays in each):
                    found |= {labels: true, answers: mean([one[answers] for one in each])}
        return found


def mean(probabilities: Sequence[Array]) -> Array:
    """Return the mean of the members' probabilities (images x classes): those of the ensemble."""
    found: Array = np.mean(probabilities, axis=0)
    return found


def pooled(run: StoredRun, members: Sequence[Record]) -> Pooled:
    """Return the evidence of these trials together; of one, its own."""
    record = members[0]
    if len(members) > 1:
        # The weights of the first that has none pretrained: then the answers mean nothing.
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
    return Pooled(record, run.dataset.classes, run.folder, members=tuple(members))
