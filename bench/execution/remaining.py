"""What remains to be done of a plan in a run's folder, from the files in it alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.execution.plan import Plan
from bench.inference.measuring.pending import robustness_needed, runtimes_needed
from bench.inference.runtimes import choose_runtimes
from bench.storage.arrays import arrays_fault, weights_path
from bench.storage.records import read_records
from bench.types import Record, Trial


def pending(plan: Plan, folder: Path, damaged: Mapping[str, str] | None = None) -> list[Trial]:
    """Return the trials that a run would train: those without a record, those that failed, and
    those whose arrays are gone or damaged.

    `damaged` is what `faults` returned, here and below: it reads all arrays, which may be large.
    """
    finished = {r.trial.key for r in read_records(folder) if r.status == "ok"}
    done = finished - (faults(plan, folder) if damaged is None else damaged).keys()
    return [trial for trial in plan.trials if trial.key not in done]


def kept_records(
    plan: Plan, folder: Path, damaged: Mapping[str, str] | None = None
) -> dict[str, Record]:
    """Return the records that the plan leaves as they are, by trial."""
    waiting = {trial.key for trial in pending(plan, folder, damaged)}
    return {r.trial.key: r for r in read_records(folder) if r.trial.key not in waiting}


def faults(plan: Plan, folder: Path) -> dict[str, str]:
    """Return what is wrong with the arrays of finished trials of the plan, by their keys."""
    keys, classes = {trial.key for trial in plan.trials}, len(plan.dataset.classes)
    finished = (r for r in read_records(folder) if r.status == "ok" and r.trial.key in keys)
    found = {r.trial.key: arrays_fault(folder, r, classes) for r in finished}
    return {key: fault for key, fault in found.items() if fault}


def unmeasured(plan: Plan, folder: Path, records: Mapping[str, Record]) -> list[Trial]:
    """Return the trained trials of which something is still to be measured, where a model can be
    made again.

    Trials on a smaller share of the images, for a learning curve, are as fast as the others.
    """
    found: list[Trial] = []
    for of_backbone in _largest_of_each(plan, records):
        untimed = {r.trial.key for r in of_backbone if runtimes_of(plan, r)}
        if not any(weights_path(folder, key).is_file() for key in untimed):
            untimed = set()
        for record in of_backbone:
            asked = robustness_needed(record, plan.measuring)
            if asked and weights_path(folder, record.trial.key).is_file():
                untimed.add(record.trial.key)
        found += [r.trial for r in of_backbone if r.trial.key in untimed]
    return found


def undone(plan: Plan, folder: Path, damaged: Mapping[str, str] | None = None) -> list[str]:
    """Return what was asked to be measured of finished trials and cannot be, as their weights are
    gone: a text a backbone."""
    records = kept_records(plan, folder, damaged)
    can = {trial.key for trial in unmeasured(plan, folder, records)}
    found = []
    for of_backbone in _largest_of_each(plan, records):
        lacking = {
            record.trial.seed: names
            for record in of_backbone
            if record.trial.key not in can and (names := _lacking(plan, record))
        }
        if lacking:
            seeds = ", ".join(map(str, lacking))
            what = ", ".join(dict.fromkeys(name for names in lacking.values() for name in names))
            found.append(
                f"{of_backbone[0].trial.backbone} (seed {seeds}): {what} cannot be measured as "
                f"asked, for its trained weights were not kept; --fresh trains it again."
            )
    return found


def _lacking(plan: Plan, record: Record) -> list[str]:
    """Return what is still to be measured of a trial, without runtimes that failed before."""
    tried = {result.name for result in record.runtimes if result.status == "failed"}
    found = [name for name in runtimes_of(plan, record) if name not in tried]
    return [*found, "robustness"] if robustness_needed(record, plan.measuring) else found


def _largest_of_each(plan: Plan, records: Mapping[str, Record]) -> Iterator[list[Record]]:
    """Yield, for each backbone of the plan, its trials that finished on the largest share."""
    largest = largest_fraction(records)
    for planned in plan.planned:
        keys = [trial.key for trial in planned.trials if trial.fraction == largest]
        found = [records[key] for key in keys if key in records]
        yield [record for record in found if record.status == "ok"]


def runtimes_of(plan: Plan, record: Record) -> tuple[str, ...]:
    """Return the runtimes that are still to be timed of a trial."""
    names = [runtime.name for runtime in choose_runtimes(plan.measuring.runtimes)[0]]
    return runtimes_needed(record, names, plan.measuring.latency_seconds)


def largest_fraction(records: Mapping[str, Record]) -> float:
    """Return the largest share of the training images, which alone is measured and ranked."""
    return max((record.trial.fraction for record in records.values()), default=1.0)
