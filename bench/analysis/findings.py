"""Everything that the reports of one run show, derived once: each report only renders it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from bench.analysis.ensembles import Ensembles, ensembles
from bench.analysis.environments import differing
from bench.analysis.explanations import Explanations
from bench.analysis.learning import LearningCurves, learning_curves
from bench.analysis.metrics.classification import Counts, Floats, Guesses, counts
from bench.analysis.mistakes import Mistake, mistakes
from bench.analysis.robustness import CorruptedAccuracy, corrupted_accuracy
from bench.analysis.runtimes import RuntimeFigures, measured
from bench.analysis.scores import Contender, Score, contenders, score
from bench.analysis.sensitivity import Sensitivity, sensitivity
from bench.analysis.soups import WeightSoup, weight_soups
from bench.analysis.speed import Faster, faster
from bench.analysis.table import backbone_table, trial_table
from bench.analysis.verdict import Verdict, place_text, verdict
from bench.data.audit.result import KeptAudit, load
from bench.storage.records import StoredRun
from bench.types import Record


@dataclass(frozen=True)
class Findings:
    """A run with its tables.

    What is by label is in the order of `backbones`; a confusion matrix is the sum over the seeds.
    `confusions`, `guesses`, `scaled` (their bins after temperature scaling) and `mistakes` are of
    pretrained backbones only: answers of random weights are meaningless.
    """

    run: StoredRun
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
        """Return the recommendation, computed once for all reports."""
        return verdict(self.scores, self.backbones, self.records, self.margin)

    @cached_property
    def differing(self) -> list[str]:
        """Return the environment fields in which trials differ, whose times are hard to compare."""
        return differing(self.run.records)

    @cached_property
    def audit(self) -> KeptAudit | None:
        """Return what the data audit found before training; older runs have none."""
        return load(self.run.folder)

    @cached_property
    def learning(self) -> LearningCurves | None:
        """Return accuracy at each number of training images, if there is more than one."""
        return learning_curves(self.run, self.scores, self.margin)

    @cached_property
    def sensitivity(self) -> Sensitivity | None:
        """Return what each learning rate gave, if more than one was tried."""
        return sensitivity(self.run, self.records)

    @cached_property
    def compared(self) -> Mapping[str, Sequence[Contender]]:
        """Return the trials that are compared, by label in the order of the table."""
        found: dict[str, list[Contender]] = {}
        for one in contenders(self.scores):
            found.setdefault(one.label, []).append(one)
        return {label: found[label] for label in self.records if label in found}

    @cached_property
    def robustness(self) -> CorruptedAccuracy | None:
        """Return the accuracy on corrupted images, if it was measured."""
        return corrupted_accuracy(self.compared)

    @cached_property
    def explanations(self) -> Mapping[str, Explanations]:
        """Return what explains the mistakes of each label whose model was kept."""
        ranked = (one for one in self.scores if isinstance(one, Contender))
        found = {one.label: one.explanations for one in ranked if one.explanations is not None}
        return {label: found[label] for label in self.mistakes if label in found}

    @cached_property
    def faster(self) -> Faster | None:
        """Return how much faster the recommended backbone is than the best, if it is another."""
        return faster(self.verdict, self.records, self.timed)

    @cached_property
    def timed(self) -> Mapping[str, Score]:
        """Return a score with the timed queries of each backbone, which its seeds share."""
        found: dict[str, Score] = {}
        for one in sorted(self.scores, key=lambda score: score.record.trial.seed):
            before = found.get(one.label)
            if one.record.runtimes and (before is None or before.milliseconds is None):
                found[one.label] = one
        return {label: found[label] for label in self.records if label in found}

    @cached_property
    def runtimes(self) -> tuple[RuntimeFigures, ...]:
        """Return the backbones in table order, each with its runtimes in the order measured."""
        of_trial = {one.record.trial.key: one.runtimes for one in self.scores}
        found = (measured(records) for records in self.records.values())
        return tuple(row for record in found if record for row in of_trial[record.trial.key])

    @cached_property
    def ensembles(self) -> Ensembles | None:
        """Return what averaging the probabilities of several backbones gives."""
        return ensembles(self.run, self.compared, self.backbones, self.verdict)

    @cached_property
    def soups(self) -> tuple[WeightSoup, ...]:
        """Return what averaging the weights of the seeds of each backbone gives."""
        return weight_soups(self.run, self.scores, self.records)

    @property
    def several_seeds(self) -> bool:
        return self.trials["seed"].nunique() > 1

    @property
    def averaged(self) -> bool:
        """Return whether `table` has means over seeds: trials that must not be ranked together are
        not averaged either."""
        return self.several_seeds and not self.verdict.differences

    @property
    def margin(self) -> float:
        """Return how far behind the best a recommended backbone may be, as a share."""
        return self.run.meta.margin / 100

    @cached_property
    def table(self) -> pd.DataFrame:
        """Return the table shown first: means over the seeds if there are several."""
        return self.with_standings(self.backbones if self.averaged else self.trials)

    def with_standings(self, table: pd.DataFrame) -> pd.DataFrame:
        """Add the columns `verdict` and `ties` (text) and `p_first` for the compared backbones."""
        compared = self.verdict.standings if self.verdict.pairs else ()
        standings = {standing.label: standing for standing in compared}
        found = [standings.get(label) for label in table["label"]]
        return table.assign(
            verdict=[place_text(s, self.margin) if s else "" for s in found],
            ties=[s.ties if s else "" for s in found],
            p_first=[np.nan if s is None or s.first is None else s.first for s in found],
        )


def find(run: StoredRun) -> Findings:
    """Derive everything from the records and arrays of a run."""
    scores = score(run)
    trials = trial_table(scores)
    backbones = backbone_table(trials, scores)
    records: dict[str, tuple[Record, ...]] = dict.fromkeys(backbones["label"], ())
    confusions: dict[str, Counts] = {}
    guesses: dict[str, tuple[Guesses, ...]] = {}
    scaled: dict[str, tuple[Floats, ...]] = {}
    for one in sorted(scores, key=lambda s: s.record.trial.seed):
        records[one.label] += (one.record,)
        if isinstance(one, Contender):
            counted = counts(one.guesses, len(run.dataset.classes))
            confusions[one.label] = confusions.get(one.label, 0) + counted
            guesses[one.label] = (*guesses.get(one.label, ()), one.guesses)
            if one.scaled is not None:
                scaled[one.label] = (*scaled.get(one.label, ()), one.scaled)
    guesses = {label: guesses[label] for label in records if label in guesses}
    wrong = {label: mistakes(found) for label, found in guesses.items()}
    return Findings(run, trials, backbones, records, confusions, guesses, scaled, wrong, scores)
