"""Weight soups: one model averaged from several seeds of a backbone, against its best seed.

The measuring process averaged the weights and stored the predictions. The seeds were chosen on the
validation images, so the test images are used once, for the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.ensembles import HeldOutResult
from bench.analysis.metrics.classification import predictions
from bench.analysis.scores import Contender, Score
from bench.storage.records import StoredRun, soup_ingredients, soup_record
from bench.types import Record, Soup


@dataclass(frozen=True)
class WeightSoup:
    """The soup of one backbone."""

    label: str
    name: str  # its name in `predict` and `export`
    soup: Soup  # the seeds that were tried and averaged, the best first
    seconds: float  # that the averaging took
    held_out: HeldOutResult | None  # with its lead over the best seed; None: averaging did not help

    @property
    def seeds(self) -> tuple[int, ...]:
        return self.soup.seeds

    @property
    def val_accuracy(self) -> float:
        return max(one.val_accuracy for one in self.soup.tried if one.taken)

    @property
    def is_better(self) -> bool:
        """Return whether it is significantly better on the test images than the best seed."""
        return self.held_out is not None and self.held_out.lead_low > 0


def weight_soups(
    run: StoredRun, scores: Iterable[Score], records: Mapping[str, Sequence[Record]]
) -> tuple[WeightSoup, ...]:
    """Return the soup of each backbone that has one, in the order of the table.

    A soup is left out if one of its seeds was trained again since.
    """
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
    result, soup = None, soup_record(holder)
    if soup is not None:
        own = predictions(run.evidence_of(soup))
        if own is None or not np.array_equal(own.labels, best.labels):
            return None
        result = HeldOutResult.from_correct(own.correct[None], best.correct[None])
    name = (soup or holder).trial.name
    return WeightSoup(label, name, holder.soup, holder.seconds.get("soup", 0.0), result)
