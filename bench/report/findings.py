"""Everything that the reports of one run say, derived once: each report only words or draws it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from bench.metrics.classification import Counts, Guesses
from bench.records import Run
from bench.report.mistakes import Mistake, mistakes
from bench.report.table import backbone_table, score, trial_table
from bench.types import Record


@dataclass(frozen=True)
class Findings:
    """A run with its tables. `records` and `confusions` are by label, in the order of `backbones`;
    a confusion matrix is the sum over the seeds. `mistakes` are those of the pretrained backbones:
    what random weights mistake for what means nothing."""

    run: Run
    trials: pd.DataFrame  # one row a trial
    backbones: pd.DataFrame  # one row a label
    records: Mapping[str, tuple[Record, ...]]
    confusions: Mapping[str, Counts]
    mistakes: Mapping[str, tuple[Mistake, ...]]

    @property
    def several_seeds(self) -> bool:
        return self.trials["seed"].nunique() > 1

    @property
    def table(self) -> pd.DataFrame:
        """What a reader is shown first: means over the seeds where there are several."""
        return self.backbones if self.several_seeds else self.trials


def find(run: Run) -> Findings:
    """Derive everything, from the raw evidence alone."""
    scores = score(run)
    trials = trial_table(scores)
    backbones = backbone_table(trials)
    records: dict[str, tuple[Record, ...]] = dict.fromkeys(backbones["label"], ())
    confusions: dict[str, Counts] = {}
    guessed: dict[str, tuple[Guesses, ...]] = {}
    for one in sorted(scores, key=lambda s: s.record.trial.seed):
        records[one.label] += (one.record,)
        if one.confusion is not None:
            before = confusions.get(one.label)
            confusions[one.label] = one.confusion if before is None else before + one.confusion
        pretrained = one.record.weights is not None and one.record.weights.pretrained
        if one.guesses is not None and pretrained:
            guessed[one.label] = (*guessed.get(one.label, ()), one.guesses)
    wrong = {label: mistakes(guessed[label]) for label in records if label in guessed}
    return Findings(run, trials, backbones, records, confusions, wrong)
