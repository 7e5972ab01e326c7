"""Screening: rounds of rising cost over all backbones, then an ordinary run of the finalists.

    probes    logistic regression on frozen features of some training images, cross-validated
    head      the first phase of the protocol on all images, judged on the validation set
    final     the whole protocol with all seeds, in the run's own folder

After each round `judge_round` (`bench/analysis/screening.py`) selects those for the next. The
rounds before the final are runs with one trial per backbone, in `screening/` of the run's folder;
their records are the only state, so a screening that was killed resumes where it stopped. The test
set eliminates no backbone. Backbones with random weights skip the head round: their accuracy says
nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis.screening import FILE, MARGIN, Round, ScreenedBackbone, Screening, judge_round
from bench.data import pixels, preparation
from bench.data.audit.result import group_numbers
from bench.data.listing import undecoded_dataset
from bench.data.splits import balance_counts
from bench.errors import NotRankedError
from bench.execution import launch
from bench.execution.executors import Executor
from bench.execution.finished_run import Run
from bench.execution.launch import DecodedImages
from bench.execution.plan import PlannedBackbone
from bench.execution.preparing import Preparation, prepare
from bench.execution.progress import ProgressTracker, RunListener, RunPreview
from bench.execution.recorder import RunRecorder
from bench.execution.request import ScreenRequest
from bench.execution.run import open_run, train_trials
from bench.execution.run_meta import RunInputs
from bench.execution.screen_costs import FINAL, ScreeningCosts
from bench.execution.status import ProgressFile
from bench.storage.arrays import read_arrays, weights_path
from bench.storage.run_folder import lock_run, prepare_run_folder
from bench.system.files import remove, to_json
from bench.training.events import Note, TrainingStarted
from bench.types import Record


def preview(request: ScreenRequest, listener: RunListener) -> RunPreview:
    """Announce the rounds that `run` would make; nothing is decoded, downloaded or written."""
    prepared = prepare(request, listener, fetching=False)
    known = preparation.load_prepared(prepared.listing, prepared.sizes, store=prepared.store)
    costs = ScreeningCosts(prepared, known or undecoded_dataset(prepared.listing), listener)
    folder = request.results / (request.run or costs.plan.name)
    return RunPreview(costs.plan, costs.plan.trials, (), folder, None, decoded=known is not None)


def run(request: ScreenRequest, listener: RunListener, executor: Executor | None = None) -> Run:
    """Screen all backbones of the request and run the finalists; return the finalists' run."""
    with launch.prepare_with_executor(request, listener, executor) as (prepared, started):
        images = launch.decode(prepared, listener)
        costs = ScreeningCosts(prepared, images.audited, listener)
        name = request.run or costs.plan.name
        folder = prepare_run_folder(request.results, name, fresh=request.fresh)
        with lock_run(folder), ProgressFile(folder, listener) as progress:
            rounds = _Rounds(prepared, images, costs, folder, started, progress)
            screening, finalists = rounds.run()
            request = replace(request, fresh=False)  # the earlier run is moved aside already
            final = replace(prepared, request=request, only=frozenset(finalists))
            files = {FILE: to_json(screening, indent=2).encode()}
            ended = launch.run_prepared(final, images, started, progress, files, progress)
    failed = any(one.outcome == "failed" for each in screening.rounds for one in each.candidates)
    incomplete = ended.incomplete or failed
    return Run(ended.folder, ended.findings, ended.sections, incomplete=incomplete)


@dataclass
class _Rounds:
    """Runs the rounds before the final."""

    prepared: Preparation
    images: DecodedImages
    costs: ScreeningCosts
    folder: Path
    executor: Executor
    listener: ProgressFile

    def run(self) -> tuple[Screening, Sequence[str]]:
        """Run the rounds, resuming from their records; return the result and the finalists."""
        costs, rounds = self.costs, list[Round]()
        final = costs.by_round[FINAL]
        order = sorted(final, key=lambda name: final[name])
        left: Sequence[str] = order[: costs.entry_limit(*costs.rounds)(order)]
        out = tuple(order[len(left) :])
        if out:
            self._note(f"left out by the budget, which admits the cheapest first: {', '.join(out)}")
        for number, name in enumerate(costs.rounds[:-1]):
            found = self._round(name, left, costs.rounds[number + 1 :])
            rounds.append(found)
            left = found.remaining
            if not left:
                reasons = [one.reason for one in found.candidates if one.reason]
                raise NotRankedError(f"no backbone is left after the {name}: {reasons[0]}")
        return Screening(costs.request.budget, tuple(rounds), out, sum(final.values())), left

    def _round(self, name: str, entering: Sequence[str], later: Sequence[str]) -> Round:
        """Run one round with the backbones `entering`; `later` are the rounds still to come."""
        costs = self.costs
        planned = {one.name: one for one in costs.early_plan.planned if one.name in entering}
        participants = {key: one for key, one in planned.items() if key in costs.by_round[name]}
        groups: tuple[int, ...] = ()
        job_fields: dict[str, Any] = {"sample": self.sample}
        folder = self.folder / "screening" / name
        if name == "probes":
            sample, groups = self.sample, self._groups()
            job_fields |= {"task": "probe", "groups": groups}
            digest = hashlib.sha256(repr((sample, groups)).encode()).hexdigest()
            folder = folder.with_name(f"{name}-{digest[:6]}")
        records = self._train(name, tuple(participants.values()), folder, job_fields, later)
        entered, correct, expected = list[ScreenedBackbone](), dict[str, NDArray[np.bool_]](), 0.0
        took = 0.0
        for key in entering:
            record = records.get(planned[key].trials[0].key)
            if record is None:  # it skips this round
                entered.append(ScreenedBackbone(key, False, 0.0))
                continue
            seconds = record.seconds.get("total", 0.0) - record.seconds.get("reused", 0.0)
            pretrained = planned[key].weights is not None
            entered.append(ScreenedBackbone(key, pretrained, seconds, reason=record.reason))
            costs.spent += seconds
            if record.status == "ok":
                took += record.seconds.get("total", 0.0)
                expected += costs.by_round[name][key]
                correct[key] = _correct(folder, record, len(self.images.dataset.classes))
        costs.pace = took / expected if expected else costs.pace
        found = judge_round(
            name, entered, correct, costs.entry_limit(*later), np.array(groups) if groups else None
        )
        self._note(_summary(found))
        return found

    def _train(
        self,
        name: str,
        planned: tuple[PlannedBackbone, ...],
        folder: Path,
        job_fields: Mapping[str, Any],
        later: Sequence[str],
    ) -> Mapping[str, Record]:
        """Train what a round is missing in its `folder`; return the records by trial key."""
        prepared, audited, costs = self.prepared, self.images.audited, self.costs
        plan = replace(costs.early_plan, planned=planned)
        inputs = RunInputs(
            plan,
            folder,
            replace(prepared.request, keep_models="none"),
            prepared.store,
            notes=prepared.notes,
            restore=lambda: prepared.restore(audited),
            job_fields=job_fields,
        )
        with open_run(inputs) as remaining:
            self.listener.enter_round(folder)
            seconds = {one.trials[0].key: costs.by_round[name][one.name] for one in planned}
            missing = {trial.key: seconds[trial.key] for trial in remaining.untrained}
            schedule = costs.schedule(missing, [one.name for one in planned], *later)
            self.listener(TrainingStarted())
            progress = ProgressTracker(
                plan, folder, schedule, self.listener, judged_by="val_accuracy"
            )
            recorder = RunRecorder(folder, progress)
            with closing(recorder):
                train_trials(inputs, missing, self.executor, recorder)
            remove(weights_path(folder, "").parent)  # models of a round are not measured
        return recorder.records

    @cached_property
    def sample(self) -> tuple[int, ...]:
        """Return the indices of the training images to probe, balanced over the classes."""
        audited = self.images.audited
        labels, classes = pixels.labels(audited, "train"), len(audited.classes)
        counts = balance_counts(np.bincount(labels, minlength=classes).tolist(), self.costs.sample)
        random = np.random.default_rng([self.prepared.request.split_seed, 3])
        of_class = (random.permutation(np.flatnonzero(labels == c)) for c in range(classes))
        drawn = np.concatenate([found[:n] for found, n in zip(of_class, counts, strict=True)])
        return tuple(sorted(drawn.tolist()))

    def _groups(self) -> tuple[int, ...]:
        """Return the group number of each image of the sample."""
        images = self.images
        audit = None if images.audit is None else images.audit.audit
        ids = images.audited.splits["train"].ids
        groups = group_numbers(ids, audit, self.prepared.listing.groups)
        return tuple(groups[place] for place in self.sample)

    def _note(self, text: str) -> None:
        self.listener(Note(text))


def _correct(folder: Path, record: Record, classes: int) -> NDArray[np.bool_]:
    """Return, for each validation image, whether the record's prediction is correct."""
    arrays = read_arrays(folder, record, classes)
    correct: NDArray[np.bool_] = (
        arrays["validation_probabilities"].argmax(axis=1) == arrays["validation_labels"]
    )
    return correct


def _summary(found: Round) -> str:
    """Return a sentence with the backbones that go on, and why the others do not."""
    by_outcome: dict[str, list[str]] = {}
    for one in found.candidates:
        by_outcome.setdefault(one.outcome, []).append(one.name)
    text = f"{found.name}: {len(found.remaining)} of {len(found.candidates)} go on"
    reasons = {
        "evidence": f"at least {100 * MARGIN:g} points behind the best",
        "budget": "left out by the budget",
        "failed": "failed",
    }
    parts = [
        f"{reason}: {', '.join(by_outcome[outcome])}"
        for outcome, reason in reasons.items()
        if outcome in by_outcome
    ]
    return "; ".join([f"{text} ({', '.join(found.remaining)})", *parts]) + "."
