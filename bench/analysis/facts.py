"""A run described in text: the lines above every table, and the warnings.

Plain text, not yet escaped for a format. `run.json` may lack any key used here: older and
interrupted runs are reported as far as they go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from bench.analysis.cost import latency_warnings
from bench.analysis.escape import shorten
from bench.analysis.findings import Findings
from bench.analysis.format import counted
from bench.analysis.scores import RANDOM_INIT
from bench.data.audit.result import outcome_text
from bench.protocol import Phase
from bench.storage.run_folder import RunProtocol
from bench.types import SPLITS, Record

Fact = tuple[str, str]
PACKAGES = ("keras", "tensorflow", "jax", "torch")
MAX_PAIRS = 3
WHICH_GPU = "variables CUDA_VISIBLE_DEVICES"


def facts(findings: Findings) -> list[Fact]:
    """Return title and text of each line, most important first; empty ones are left out."""
    found = [
        ("Dataset", _dataset(findings)),
        ("Images", _images(findings)),
        ("Protocol", _protocol(findings.run.meta.protocol)),
        ("Phases", " → ".join(map(_phase, findings.run.meta.protocol.phases))),
        ("Learning rates", _tuning(findings.run.meta.settings.tune)),
        ("Weights", _weights(findings)),
        ("Trials", _trials(findings)),
        ("Precision", _precision(findings.run.meta.settings.precision)),
        ("Machine", _machine(findings)),
    ]
    return [(title, text) for title, text in found if text]


def warnings(findings: Findings) -> list[str]:
    """Return what a reader must know before trusting the table."""
    run = findings.run
    found = []
    unranked = findings.backbones[findings.backbones["weights"] == RANDOM_INIT]["backbone"]

    if len(unranked):
        found.append(
            f"Random init, so not ranked: {', '.join(unranked)}. Their accuracy is meaningless; "
            f"their times and sizes are valid."
        )
    found += _earlier(findings)
    found += [f"{who} failed: {why}" for who, why in failures(findings)]
    found += [
        f"{r.trial.backbone}, seed {r.trial.seed}, failed when it was trained again, so its "
        f"earlier record is shown: {r.reason}"
        for r in run.failed_again
    ]
    found += [f"{who} was skipped: {why}" for who, why in skipped(findings)]
    found += [f"Not loaded: {why}" for why in run.meta.broken_plugins]
    if run.dataset.excluded:
        found.append(
            f"{counted(len(run.dataset.excluded), 'image')} could not be used and left out; see "
            f"the end of report.md."
        )
    if findings.audit is not None and (leak := outcome_text(findings.audit)):
        found.append(f"{leak}.")
    found += _stopped_at_the_limit(findings)
    found += _depending_on_the_rate(findings)
    found += _failed_on_smaller_shares(findings)
    found += latency_warnings(findings.records)
    if differing := _differing(findings):
        found.append(f"Trials differ in {', '.join(differing)}: compare their times with care.")
    return [*found, *run.meta.notes]


def _stopped_at_the_limit(findings: Findings) -> list[str]:
    """Name the phases of pretrained backbones whose best epoch was the last allowed."""
    where: dict[str, list[str]] = {}
    for label, records in findings.records.items():
        trained = [r for r in records if r.weights and r.weights.pretrained]
        for name in dict.fromkeys(p.name for r in trained for p in r.phases):
            phases = [p for r in trained for p in r.phases if p.name == name]
            if count := sum(phase.at_limit for phase in phases):
                of = f" ({count} of {len(phases)} seeds)" if len(phases) > 1 else ""
                where.setdefault(name, []).append(f"{label}{of}")
    return [
        f"The best epoch of phase {name} was the last allowed for {', '.join(labels)}: longer "
        f"training may still improve it. Raise `epochs` of that phase in a protocol of your own."
        for name, labels in where.items()
    ]


def _earlier(findings: Findings) -> list[str]:
    """Name the trials that the run's last command did not ask for; the folder keeps those too."""
    asked = findings.run.meta.asked
    if asked is None:  # as in version 0.1
        return []
    found = []
    for label, records in findings.records.items():
        if others := [record for record in records if record.trial.key not in asked]:
            seeds = ", ".join(str(record.trial.seed) for record in others)
            few = f" (seed {seeds})" if len(others) < len(records) else ""
            found.append(f"{label}{few}")
    if not found:
        return []
    return [
        f"Earlier trials, which the last command did not ask for: {', '.join(found)}. They are "
        f"kept in this run and compared with the rest; --fresh or another --run leaves them out."
    ]


def failures(findings: Findings) -> list[Fact]:
    """Return what failed or has no figures, and why; seeds with one reason share a line."""
    rows = findings.trials[findings.trials["reason"] != ""]
    found = []
    for (label, reason), group in rows.groupby(["label", "reason"], sort=False):
        name = f"{label}, {_seeds(group['seed'])}" if findings.several_seeds else str(label)
        found.append((name, str(reason)))
    return found


def skipped(findings: Findings) -> list[Fact]:
    """Return each backbone that the plan left out before training, and why."""
    return [(item.backbone, item.reason) for item in findings.run.meta.skipped]


def environment(findings: Findings) -> Mapping[str, str]:
    """Return what the trials ran on, with every value where they differ."""
    found: dict[str, list[str]] = {}
    ran = [r.environment for r in findings.run.records if r.environment]
    for one in ran or [findings.run.meta.environment]:
        for key, value in _flat(one):
            found.setdefault(key, []).append(value)
    return {key: " / ".join(dict.fromkeys(values)) for key, values in found.items()}


def notes(records: Sequence[Record]) -> list[str]:
    """Return the notes of some trials, each once."""
    return list(dict.fromkeys(note for record in records for note in record.notes))


def _dataset(findings: Findings) -> str:
    dataset = findings.run.dataset
    return "; ".join([dataset.title, *dataset.notes])


def _images(findings: Findings) -> str:
    dataset = findings.run.dataset
    counts = [f"{len(dataset.splits[s]):,} {s}" for s in SPLITS if s in dataset.splits]
    names = ", ".join(shorten(name, 30) for name in dataset.classes[:6])
    names += ", …" if len(dataset.classes) > 6 else ""
    return f"{' · '.join(counts)}; {len(dataset.classes)} classes: {names}"


def _protocol(protocol: RunProtocol) -> str:
    if not protocol.name:
        return ""
    digest = f" ({protocol.digest[:8]})" if protocol.digest else ""
    return f"{protocol.name}{digest}{f': {protocol.summary}' if protocol.summary else ''}"


def _phase(phase: Phase) -> str:
    frozen = phase.unfreeze.kind == "none"
    parts = [
        counted(phase.epochs, "epoch"),
        f"{phase.optimizer} {phase.learning_rate:g}",
        "backbone frozen" if frozen else f"{phase.unfreeze} unfrozen",
    ]
    changes = [name for name, value in asdict(phase.augment).items() if value and name != "views"]
    return f"{phase.name} ({', '.join(parts + changes)})"


def _tuning(budget: int) -> str:
    if not budget:
        return ""
    return f"{budget} tried by each trial; the lowest validation loss decides"


def _depending_on_the_rate(findings: Findings) -> list[str]:
    """Name pairs of backbones whose order on the test set depends on the learning rate."""
    flips = findings.sensitivity.flips if findings.sensitivity is not None else ()
    pairs = [
        f"{flip.first} or {flip.second}"
        for flip in flips
        if flip.split == "test" and flip.significant
    ]
    if not pairs:
        return []
    more = f" and {len(pairs) - MAX_PAIRS} more pairs" if len(pairs) > MAX_PAIRS else ""
    return [
        f"The learning rate decides which is better of {'; '.join(pairs[:MAX_PAIRS])}{more}: see "
        f"the section on learning rates in report.md."
    ]


def _failed_on_smaller_shares(findings: Findings) -> list[str]:
    failed = sum(record.status == "failed" for record in findings.run.smaller)
    if not failed:
        return []
    return [f"{counted(failed, 'trial')} on fewer training images failed; report.md says why."]


def _weights(findings: Findings) -> str:
    asked = findings.run.meta.settings.weights
    finished = findings.backbones[findings.backbones["status"] == "ok"]
    counts = finished["weights"].value_counts(sort=False)
    got = ", ".join(f"{count} {source}" for source, count in counts.items())
    return " → ".join(filter(None, [asked, got]))


def _trials(findings: Findings) -> str:
    run = findings.run
    if not run.every:
        return "none finished"
    ok = sum(record.status == "ok" for record in run.every)
    shares = f" ({len(run.smaller)} on fewer training images)" if run.smaller else ""
    seeds = _seeds(findings.trials["seed"])
    return f"{ok} finished, {len(run.every) - ok} failed{shares}; {seeds}"


def _precision(precision: str) -> str:
    if precision == "float32":
        return ""
    return (
        f"{precision}, in training and in the latency through Keras and XLA; other runtimes "
        f"compute in what their names say, float32 if nothing"
    )


def _machine(findings: Findings) -> str:
    about = environment(findings)
    threads = findings.run.meta.settings.threads
    parts = [
        about.get("processor", ""),
        f"{about['cores']} cores" if "cores" in about and not threads else "",
        f"limited to {counted(threads, 'thread')}" if threads else "",
        about.get("device name") or about.get("device kind", ""),
        *(f"{n} {about[f'versions {n}']}" for n in PACKAGES if f"versions {n}" in about),
    ]
    return ", ".join(dict.fromkeys(filter(None, parts)))


def _differing(findings: Findings) -> list[str]:
    """Return the environment fields that differ between the trials that finished."""
    records = [record for record in findings.run.records if record.status == "ok"]
    seen = [dict(_flat(record.environment)) for record in records]
    # Which of several GPUs a trial used does not count as a difference; their names do.
    keys = dict.fromkeys(key for values in seen for key in values if key != WHICH_GPU)
    return [key for key in keys if len({values.get(key) for values in seen}) > 1]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key} ")
        elif value not in ("", None):
            yield f"{prefix}{key}", str(value)


def _seeds(seeds: pd.Series[int]) -> str:
    distinct = sorted(seeds.unique())
    return f"seed{'s' if len(distinct) > 1 else ''} {', '.join(map(str, distinct))}"
