"""Weight soups: one model from several seeds of a backbone, next to the best seed alone.

The measuring averaged the weights and kept the answers; validation chose the seeds, so the test
images judge each soup once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.ensembles import Judgement
from bench.analysis.metrics.classification import predictions
from bench.analysis.scores import Contender, Score
from bench.storage.records import StoredRun, soup_ingredients, soup_record
from bench.types import Record, Soup


@dataclass(frozen=True)
class WeightSoup:
    """The soup of one backbone; its lead is over the best seed by validation."""

    label: str
    name: str  # what `predict` and `export` call it
    made: Soup  # which seeds were tried and taken, the best first
    seconds: float  # that the averaging took
    judged: Judgement | None  # None: averaging lowers validation accuracy, the best seed stays

    @property
    def seeds(self) -> tuple[int, ...]:
        return self.made.seeds

    @property
    def val_accuracy(self) -> float:
        return max(one.val_accuracy for one in self.made.tried if one.taken)

    @property
    def gains(self) -> bool:
        """Return whether the test images show that it is better than the best seed."""
        return self.judged is not None and self.judged.lead_low > 0


def weight_soups(
    run: StoredRun, scores: Iterable[Score], records: Mapping[str, Sequence[Record]]
) -> tuple[WeightSoup, ...]:
    """Return the soup of each backbone that has one, in the order of the table; none that a seed
    was trained again since."""
    by_key = {score.record.trial.key: score for score in scores}
    holders = [(label, r) for label, of_label in records.items() for r in of_label if r.soup]
    found = (_soup(run, label, holder, by_key) for label, holder in holders)
    return tuple(soup for soup in found if soup is not None)


def _soup(
    run: StoredRun, label: str, holder: Record, scores: Mapping[str, Score]
) -> WeightSoup | None:
    assert holder.soup is not None
    averaged = soup_ingredients(run.records, holder)
    first = scores[averaged[0].trial.key] if averaged else None
    if not isinstance(first, Contender):
        return None
    best = first.predictions
    judged, soup = None, soup_record(holder)
    if soup is not None:
        own = predictions(run.evidence_of(soup))
        if own is None or not np.array_equal(own.labels, best.labels):
            return None
        judged = Judgement.from_correct(own.correct[None], best.correct[None])
    name = (soup or holder).trial.name
    return WeightSoup(label, name, holder.soup, holder.seconds.get("soup", 0.0), judged)
