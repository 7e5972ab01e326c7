"""Screening: rounds of rising cost over all chosen backbones, then an ordinary run of those left.

    probes    logistic regression on frozen features of some training images, cross-validated
    head      the first phase of the protocol on all images, judged on the validation images
    final     the whole protocol with all seeds, in the run's own folder

After each round `judge` (`bench/analysis/screening.py`) says who goes on. The rounds before the
last are runs of one trial a backbone, in `screening/` of the run's folder; their records are the
only state, so a screening that was killed goes on where it stopped. No test image decides who is
left out. Backbones with random weights take no part in the head round: no answer of theirs counts.
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

from bench.analysis.screening import FILE, MARGIN, Round, Screened, Screening, judge
from bench.data import pixels, preparation
from bench.data.audit.result import group_numbers
from bench.data.listing import undecoded
from bench.data.splits import balanced
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
from bench.execution.screen_costs import FINAL, Costs
from bench.execution.status import ProgressFile
from bench.storage.arrays import read_arrays, weights_path
from bench.storage.run_folder import lock_run, prepare_run_folder
from bench.system.files import remove, to_json
from bench.training.events import Note, TrainingStarted
from bench.types import Record


def preview(request: ScreenRequest, listener: RunListener) -> RunPreview:
    """Tell what `run` would do, round by round; nothing is decoded, downloaded or written."""
    prepared = prepare(request, listener, fetching=False)
    known = preparation.recall(prepared.listing, prepared.sizes, store=prepared.store)
    costs = Costs(prepared, known or undecoded(prepared.listing), listener)
    folder = request.results / (request.run or costs.plan.name)
    return RunPreview(costs.plan, costs.plan.trials, (), folder, None, decoded=known is not None)


def run(request: ScreenRequest, listener: RunListener, executor: Executor | None = None) -> Run:
    """Screen all backbones of the request and run the finalists; return the finalists' run."""
    with launch.prepare_with_executor(request, listener, executor) as (prepared, working):
        images = launch.decode(prepared, listener)
        costs = Costs(prepared, images.trained, listener)
        folder = prepare_run_folder(
            request.results, request.run or costs.plan.name, fresh=request.fresh
        )
        with lock_run(folder), ProgressFile(folder, listener) as told:
            found, left = _Rounds(prepared, images, costs, folder, working, told).run()
            request = replace(request, fresh=False)  # what was there is moved already
            final = replace(prepared, request=request, only=frozenset(left))
            files = {FILE: to_json(found, indent=2).encode()}
            ended = launch.run_prepared(final, images, working, told, files, told)
    failed = any(one.outcome == "failed" for each in found.rounds for one in each.candidates)
    incomplete = ended.incomplete or failed
    return Run(ended.folder, ended.findings, ended.sections, incomplete=incomplete)


@dataclass
class _Rounds:
    """The rounds before the final."""

    prepared: Preparation
    images: DecodedImages
    costs: Costs
    folder: Path
    executor: Executor
    listener: ProgressFile

    def run(self) -> tuple[Screening, Sequence[str]]:
        """Carry out what is missing; return what was found and who is left for the final."""
        costs, rounds = self.costs, list[Round]()
        final = costs.of[FINAL]
        order = sorted(final, key=lambda name: final[name])
        left: Sequence[str] = order[: costs.allowed(*costs.rounds)(order)]
        out = tuple(order[len(left) :])
        if out:
            self._tell(f"left out by the budget, as the cheapest go first: {', '.join(out)}")
        for number, name in enumerate(costs.rounds[:-1]):
            found = self._round(name, left, costs.rounds[number + 1 :])
            rounds.append(found)
            left = found.left
            if not left:
                reasons = [one.reason for one in found.candidates if one.reason]
                raise NotRankedError(f"no backbone is left after the {name}: {reasons[0]}")
        return Screening(costs.request.budget, tuple(rounds), out, sum(final.values())), left

    def _round(self, name: str, entering: Sequence[str], later: Sequence[str]) -> Round:
        costs = self.costs
        planned = {one.name: one for one in costs.early.planned if one.name in entering}
        taking = {key: one for key, one in planned.items() if key in costs.of[name]}
        groups: tuple[int, ...] = ()
        job_fields: dict[str, Any] = {"sample": self.sample}
        folder = self.folder / "screening" / name
        if name == "probes":
            sample, groups = self.sample, self._groups()
            job_fields |= {"task": "probe", "groups": groups}
            digest = hashlib.sha256(repr((sample, groups)).encode()).hexdigest()
            folder = folder.with_name(f"{name}-{digest[:6]}")
        records = self._train(name, tuple(taking.values()), folder, job_fields, later)
        entered, correct, expected = list[Screened](), dict[str, NDArray[np.bool_]](), 0.0
        took = 0.0
        for key in entering:
            record = records.get(planned[key].trials[0].key)
            if record is None:  # takes no part
                entered.append(Screened(key, False, 0.0))
                continue
            seconds = record.seconds.get("total", 0.0) - record.seconds.get("reused", 0.0)
            pretrained = planned[key].weights is not None
            entered.append(Screened(key, pretrained, seconds, reason=record.reason))
            costs.spent += seconds
            if record.status == "ok":
                took += record.seconds.get("total", 0.0)
                expected += costs.of[name][key]
                correct[key] = _right(folder, record, len(self.images.dataset.classes))
        costs.pace = took / expected if expected else costs.pace
        found = judge(
            name, entered, correct, costs.allowed(*later), np.array(groups) if groups else None
        )
        self._tell(_summary(found))
        return found

    def _train(
        self,
        name: str,
        planned: tuple[PlannedBackbone, ...],
        folder: Path,
        job_fields: Mapping[str, Any],
        later: Sequence[str],
    ) -> Mapping[str, Record]:
        prepared, trained, costs = self.prepared, self.images.trained, self.costs
        plan = replace(costs.early, planned=planned)
        inputs = RunInputs(
            plan,
            folder,
            replace(prepared.request, keep_models="none"),
            prepared.store,
            notes=prepared.notes,
            restore=lambda: prepared.restore(trained),
            job_fields=job_fields,
        )
        with open_run(inputs) as remaining:
            self.listener.enter_round(folder)
            seconds = {one.trials[0].key: costs.of[name][one.name] for one in planned}
            missing = {trial.key: seconds[trial.key] for trial in remaining.untrained}
            schedule = costs.schedule(missing, [one.name for one in planned], *later)
            self.listener(TrainingStarted())
            progress = ProgressTracker(
                plan, folder, schedule, self.listener, judged_by="val_accuracy"
            )
            recorder = RunRecorder(folder, progress)
            with closing(recorder):
                train_trials(inputs, missing, self.executor, recorder)
            remove(weights_path(folder, "").parent)  # nothing is measured in a round
        return recorder.records

    @cached_property
    def sample(self) -> tuple[int, ...]:
        """Return the places of the training images that are probed, the classes balanced."""
        trained = self.images.trained
        labels, classes = pixels.labels(trained, "train"), len(trained.classes)
        shares = balanced(np.bincount(labels, minlength=classes).tolist(), self.costs.sample)
        random = np.random.default_rng([self.prepared.request.split_seed, 3])
        of_class = (random.permutation(np.flatnonzero(labels == c)) for c in range(classes))
        drawn = np.concatenate([found[:n] for found, n in zip(of_class, shares, strict=True)])
        return tuple(sorted(drawn.tolist()))

    def _groups(self) -> tuple[int, ...]:
        """Return the group of each image of the sample."""
        images = self.images
        audit = None if images.audit is None else images.audit.audit
        ids = images.trained.splits["train"].ids
        groups = group_numbers(ids, audit, self.prepared.listing.groups)
        return tuple(groups[place] for place in self.sample)

    def _tell(self, text: str) -> None:
        self.listener(Note(text))


def _right(folder: Path, record: Record, classes: int) -> NDArray[np.bool_]:
    """Return which images the backbone answered rightly in a round."""
    arrays = read_arrays(folder, record, classes)
    answers: NDArray[np.bool_] = (
        arrays["validation_probabilities"].argmax(axis=1) == arrays["validation_labels"]
    )
    return answers


def _summary(found: Round) -> str:
    """Say who goes on, and why the others do not."""
    by: dict[str, list[str]] = {}
    for one in found.candidates:
        by.setdefault(one.outcome, []).append(one.name)
    text = f"{found.name}: {len(found.left)} of {len(found.candidates)} go on"
    whys = {
        "evidence": f"at least {100 * MARGIN:g} points behind the best",
        "budget": "left out by the budget",
        "failed": "failed",
    }
    parts = [f"{why}: {', '.join(by[key])}" for key, why in whys.items() if key in by]
    return "; ".join([f"{text} ({', '.join(found.left)})", *parts]) + "."
