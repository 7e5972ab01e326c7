"""All results that the reports of one run show, computed once and cached; reports only render."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from bench.analysis.cost import Faster, faster
from bench.analysis.ensembles import Ensembles, ensembles
from bench.analysis.environments import differing_fields
from bench.analysis.explanations import Explanations
from bench.analysis.learning import LearningCurves, learning_curves
from bench.analysis.metrics.classification import Counts, Floats, Predictions, confusion_counts
from bench.analysis.metrics.robustness import Robustness, mean_over_seeds
from bench.analysis.mistakes import Mistake, find_mistakes
from bench.analysis.runtimes import RuntimeFigures, measured_record
from bench.analysis.scores import Contender, Score, compared_trials, contenders, score_trials
from bench.analysis.sensitivity import Sensitivity, sensitivity
from bench.analysis.soups import WeightSoup, weight_soups
from bench.analysis.table import backbone_table, trial_table
from bench.analysis.verdict import Verdict, place_text, verdict
from bench.data.audit.result import KeptAudit, load_audit
from bench.storage.records import StoredRun
from bench.types import Record


@dataclass(frozen=True)
class Findings:
    """A run with its tables and, computed on first use, all results that reports show.

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
    def contenders(self) -> Mapping[str, Sequence[Contender]]:
        """Return the trials of each label that may be ranked, of any seed."""
        found = {label: contenders(of_label) for label, of_label in self.by_label.items()}
        return {label: trials for label, trials in found.items() if trials}

    @cached_property
    def compared(self) -> Mapping[str, Sequence[Contender]]:
        """Return the contenders of each label with the seeds that every label finished; all of them
        if no seed is shared."""
        keys = {one.record.trial.key for one in compared_trials(self.scores)}
        return {
            label: [one for one in trials if one.record.trial.key in keys]
            for label, trials in self.contenders.items()
        }

    @cached_property
    def predictions(self) -> Mapping[str, tuple[Predictions, ...]]:
        """Return the test predictions of each label, one for each seed."""
        return {
            label: tuple(one.predictions for one in of) for label, of in self.contenders.items()
        }

    @cached_property
    def scaled_bin_sums(self) -> Mapping[str, tuple[Floats, ...]]:
        """Return the calibration bins of each label after temperature scaling, by seed.

        Seeds without a temperature have none.
        """
        found = {
            label: tuple(one.scaled_bin_sums for one in trials if one.scaled_bin_sums is not None)
            for label, trials in self.contenders.items()
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
        return {label: find_mistakes(of) for label, of in self.predictions.items()}

    @cached_property
    def verdict(self) -> Verdict:
        """Return the recommendation, computed once for all reports."""
        return verdict(self.scores, self.compared, self.records, self.backbones, self.margin)

    @cached_property
    def environment_differences(self) -> list[str]:
        """Return the environment fields that differ between trials: times are hard to compare."""
        return differing_fields(self.run.records)

    @cached_property
    def audit(self) -> KeptAudit | None:
        """Return the result of the data audit before training; older runs have none."""
        return load_audit(self.run.folder)

    @cached_property
    def learning(self) -> LearningCurves | None:
        """Return accuracy by number of training images, if the run has more than one number."""
        return learning_curves(self.run, self.scores, self.margin)

    @cached_property
    def sensitivity(self) -> Sensitivity | None:
        """Return the results of each learning rate, if more than one was tried."""
        return sensitivity(self.run, self.records)

    @cached_property
    def robustness(self) -> Mapping[str, Robustness]:
        """Return the results on corrupted images of each label that has any."""
        found = {
            label: [one.robustness for one in trials if one.robustness is not None]
            for label, trials in self.compared.items()
        }
        return {label: mean_over_seeds(seeds) for label, seeds in found.items() if seeds}

    @cached_property
    def explanations(self) -> Mapping[str, Explanations]:
        """Return the explanations of the mistakes of each label whose model was kept."""
        found = {
            one.label: one.explanations
            for one in contenders(self.scores)
            if one.explanations is not None
        }
        return {label: found[label] for label in self.mistakes if label in found}

    @cached_property
    def faster(self) -> Faster | None:
        """Return how much faster the recommended backbone is than the best; `None` unless it is
        shown to be faster within one timing session."""
        recommended, best = self.verdict.recommended or "", self.verdict.best or ""
        return faster(self.timed_scores.get(recommended), self.timed_scores.get(best), self.margin)

    @cached_property
    def timed_scores(self) -> Mapping[str, Score]:
        """Return the score of each label that has its timed queries, which all seeds share."""
        found: dict[str, Score] = {}
        for label, of_label in self.by_label.items():
            if timed := [one for one in of_label if one.record.runtimes]:
                usable = (one for one in timed if one.milliseconds is not None)
                found[label] = next(usable, timed[-1])
        return found

    @cached_property
    def runtimes(self) -> tuple[RuntimeFigures, ...]:
        """Return the figures of each backbone and runtime, in the order of the table."""
        by_trial = {one.record.trial.key: one.runtimes for one in self.scores}
        found = (measured_record(records) for records in self.records.values())
        return tuple(row for record in found if record for row in by_trial[record.trial.key])

    @cached_property
    def ensembles(self) -> Ensembles | None:
        """Return the ensembles of the compared backbones; `None` if there are fewer than two."""
        return ensembles(self.run, self.compared, self.backbones, self.verdict)

    @cached_property
    def soups(self) -> tuple[WeightSoup, ...]:
        """Return the weight soup of each backbone that has one."""
        return weight_soups(self.run, self.scores, self.records)

    @property
    def several_seeds(self) -> bool:
        """Return whether the trials have more than one seed."""
        return self.trials["seed"].nunique() > 1

    @property
    def is_averaged(self) -> bool:
        """Return whether `table` has means over seeds.

        Trials that must not be ranked together are not averaged either.
        """
        return self.several_seeds and not self.verdict.differences

    @property
    def margin(self) -> float:
        """Return how far behind the best a recommended backbone may be, as a fraction."""
        return self.run.meta.margin / 100

    @cached_property
    def table(self) -> pd.DataFrame:
        """Return the table shown first: means over the seeds if there are several."""
        return self.with_standings(self.backbones if self.is_averaged else self.trials)

    def with_standings(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the table with the columns `verdict`, `ties` (text) and `p_first` added."""
        compared = self.verdict.standings if self.verdict.pairs else ()
        standings = {standing.label: standing for standing in compared}
        found = [standings.get(label) for label in table["label"]]
        return table.assign(
            verdict=[place_text(s, self.margin) if s else "" for s in found],
            ties=[s.ties if s else "" for s in found],
            p_first=[np.nan if s is None or s.first is None else s.first for s in found],
        )


def analyse_run(run: StoredRun) -> Findings:
    """Analyse a run: compute its scores and tables from its records and arrays."""
    scores = score_trials(run)
    trials = trial_table(scores)
    return Findings(run, trials, backbone_table(trials, scores), scores)
