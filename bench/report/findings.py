"""Everything that the reports of one run say, derived once: each report only words or draws it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from bench.audit.findings import KeptAudit, load
from bench.metrics.classification import Counts, Floats, Guesses
from bench.records import Run
from bench.report.mistakes import Mistake, mistakes
from bench.report.table import Score, backbone_table, score, trial_table
from bench.types import Record

if TYPE_CHECKING:
    from bench.report.verdict import Verdict


@dataclass(frozen=True)
class Findings:
    """A run with its tables. `records` and `confusions` are by label, in the order of `backbones`;
    a confusion matrix is the sum over the seeds. `guesses`, `scaled` (how sure they are after
    temperature scaling) and `mistakes` are of the pretrained backbones: what random weights mistake
    for what means nothing."""

    run: Run
    trials: pd.DataFrame  # one row a trial
    backbones: pd.DataFrame  # one row a label
    records: Mapping[str, tuple[Record, ...]]
    confusions: Mapping[str, Counts]
    guesses: Mapping[str, tuple[Guesses, ...]]  # one a seed
    scaled: Mapping[str, tuple[Floats, ...]]
    mistakes: Mapping[str, tuple[Mistake, ...]]
    scores: tuple[Score, ...]

    @cached_property
    def verdict(self) -> Verdict:
        """Which backbone to take: compared once, however many reports say it."""
        from bench.report.verdict import verdict

        return verdict(self)

    @cached_property
    def audit(self) -> KeptAudit | None:
        """What was found about the images before training; older runs have none."""
        return load(self.run.folder)

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
    backbones = backbone_table(trials, scores)
    records: dict[str, tuple[Record, ...]] = dict.fromkeys(backbones["label"], ())
    confusions: dict[str, Counts] = {}
    guesses: dict[str, tuple[Guesses, ...]] = {}
    scaled: dict[str, tuple[Floats, ...]] = {}
    for one in sorted(scores, key=lambda s: s.record.trial.seed):
        records[one.label] += (one.record,)
        if one.confusion is not None:
            before = confusions.get(one.label)
            confusions[one.label] = one.confusion if before is None else before + one.confusion
        pretrained = one.record.weights is not None and one.record.weights.pretrained
        if one.guesses is not None and pretrained:
            guesses[one.label] = (*guesses.get(one.label, ()), one.guesses)
            if one.scaled is not None:
                scaled[one.label] = (*scaled.get(one.label, ()), one.scaled)
    wrong = {label: mistakes(guesses[label]) for label in records if label in guesses}
    return Findings(run, trials, backbones, records, confusions, guesses, scaled, wrong, scores)
