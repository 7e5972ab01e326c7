"""Everything that the reports of one run show, derived once: each report only renders it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from bench.analysis.cost import Faster, faster
from bench.analysis.ensembles import Ensembles, ensembles
from bench.analysis.environments import differing
from bench.analysis.explanations import Explanations
from bench.analysis.learning import LearningCurves, learning_curves
from bench.analysis.metrics.classification import Counts, Floats, Predictions, confusion_counts
from bench.analysis.metrics.robustness import Robustness, mean_over_seeds
from bench.analysis.mistakes import Mistake, mistakes
from bench.analysis.runtimes import RuntimeFigures, measured
from bench.analysis.scores import Contender, Score, contenders, eligible, score
from bench.analysis.sensitivity import Sensitivity, sensitivity
from bench.analysis.soups import WeightSoup, weight_soups
from bench.analysis.table import backbone_table, trial_table
from bench.analysis.verdict import Verdict, place_text, verdict
from bench.data.audit.result import KeptAudit, load_audit
from bench.storage.records import StoredRun
from bench.types import Record


@dataclass(frozen=True)
class Findings:
    """A run with its tables.

    Mappings by label are in the order of `backbones`, and the trials of a label in the order of
    their seeds. `confusions`, `predictions`, `scaled_bin_sums` and `mistakes` have pretrained
    backbones only: predictions of random weights are meaningless.
    """

    run: StoredRun
    trials: pd.DataFrame  # one row a trial
    backbones: pd.DataFrame  # one row a label
    scores: tuple[Score, ...]

    @cached_property
    def by_label(self) -> Mapping[str, tuple[Score, ...]]:
        """Return the scores of each label."""
        found: dict[str, tuple[Score, ...]] = dict.fromkeys(self.backbones["label"], ())
        for one in sorted(self.scores, key=lambda score: score.record.trial.seed):
            found[one.label] += (one,)
        return found

    @cached_property
    def records(self) -> Mapping[str, tuple[Record, ...]]:
        """Return the records of each label, failed ones too."""
        return {label: tuple(one.record for one in of) for label, of in self.by_label.items()}

    @cached_property
    def answered(self) -> Mapping[str, Sequence[Contender]]:
        """Return the trials of each label that may be ranked."""
        found = {label: eligible(of_label) for label, of_label in self.by_label.items()}
        return {label: trials for label, trials in found.items() if trials}

    @cached_property
    def compared(self) -> Mapping[str, Sequence[Contender]]:
        """Return those of them that are compared, on the seeds that every label has."""
        keys = {one.record.trial.key for one in contenders(self.scores)}
        return {
            label: [one for one in trials if one.record.trial.key in keys]
            for label, trials in self.answered.items()
        }

    @cached_property
    def predictions(self) -> Mapping[str, tuple[Predictions, ...]]:
        """Return the answers to the test images, one a seed."""
        return {label: tuple(one.predictions for one in of) for label, of in self.answered.items()}

    @cached_property
    def scaled_bin_sums(self) -> Mapping[str, tuple[Floats, ...]]:
        """Return the bins of the answers after temperature scaling, of each seed that has one."""
        found = {
            label: tuple(one.scaled_bin_sums for one in trials if one.scaled_bin_sums is not None)
            for label, trials in self.answered.items()
        }
        return {label: sums for label, sums in found.items() if sums}

    @cached_property
    def confusions(self) -> Mapping[str, Counts]:
        """Return the confusion matrix of each label, the sum over the seeds."""
        size = len(self.run.dataset.classes)
        return {
            label: sum(
                (confusion_counts(each, size) for each in of), np.zeros((size, size), np.int64)
            )
            for label, of in self.predictions.items()
        }

    @cached_property
    def mistakes(self) -> Mapping[str, tuple[Mistake, ...]]:
        """Return the test images that each label gets wrong in most of its seeds."""
        return {label: mistakes(of) for label, of in self.predictions.items()}

    @cached_property
    def verdict(self) -> Verdict:
        """Return the recommendation, computed once for all reports."""
        return verdict(self.scores, self.compared, self.records, self.backbones, self.margin)

    @cached_property
    def differing(self) -> list[str]:
        """Return the environment fields in which trials differ, whose times are hard to compare."""
        return differing(self.run.records)

    @cached_property
    def audit(self) -> KeptAudit | None:
        """Return what the data audit found before training; older runs have none."""
        return load_audit(self.run.folder)

    @cached_property
    def learning(self) -> LearningCurves | None:
        """Return accuracy at each number of training images, if there is more than one."""
        return learning_curves(self.run, self.scores, self.margin)

    @cached_property
    def sensitivity(self) -> Sensitivity | None:
        """Return what each learning rate gave, if more than one was tried."""
        return sensitivity(self.run, self.records)

    @cached_property
    def robustness(self) -> Mapping[str, Robustness]:
        """Return the answers of each label to corrupted images, if it gave any."""
        found = {
            label: [one.robustness for one in trials if one.robustness is not None]
            for label, trials in self.compared.items()
        }
        return {label: mean_over_seeds(seeds) for label, seeds in found.items() if seeds}

    @cached_property
    def explanations(self) -> Mapping[str, Explanations]:
        """Return what explains the mistakes of each label whose model was kept."""
        answered = eligible(self.scores)
        found = {one.label: one.explanations for one in answered if one.explanations is not None}
        return {label: found[label] for label in self.mistakes if label in found}

    @cached_property
    def faster(self) -> Faster | None:
        """Return how much faster the recommended backbone is than the best, if it is another."""
        recommended, best = self.verdict.recommended or "", self.verdict.best or ""
        return faster(self.timed.get(recommended), self.timed.get(best), self.margin)

    @cached_property
    def timed(self) -> Mapping[str, Score]:
        """Return a score with the timed queries of each backbone, which its seeds share."""
        found: dict[str, Score] = {}
        for label, of_label in self.by_label.items():
            if timed := [one for one in of_label if one.record.runtimes]:
                usable = (one for one in timed if one.milliseconds is not None)
                found[label] = next(usable, timed[-1])
        return found

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
    return Findings(run, trials, backbone_table(trials, scores), scores)
