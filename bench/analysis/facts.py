"""The description of a run: titles and texts of the lines above every table.

The text is plain, not yet escaped for a format. `run.json` may lack any key used here, because
older and interrupted runs are reported too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from bench.analysis import format as fmt
from bench.analysis.environments import flatten
from bench.analysis.escape import shorten
from bench.analysis.findings import Findings
from bench.analysis.format import quantity
from bench.protocol import Phase
from bench.storage.run_folder import RunProtocol
from bench.training.accounting import SHARED
from bench.types import Record

Fact = tuple[str, str]
PACKAGES = ("keras", "tensorflow", "jax", "torch")


@dataclass(frozen=True)
class Effort:
    """The computing time and energy of some trials, over all processes.

    Cached results are not counted, so the same run costs less a second time. Neither are the
    decoding of images, which precedes the trials, and failed trials.
    """

    parts: Mapping[str, float]  # seconds by purpose, the largest first
    joules: float | None  # of the trials and the timed queries; None: not measured

    @property
    def seconds(self) -> float:
        """Return the seconds of all parts."""
        return sum(self.parts.values())


def facts(findings: Findings) -> list[Fact]:
    """Return the title and text of each line, the most important first."""
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
        ("Effort", _effort(findings)),
    ]
    return [(title, text) for title, text in found if text]


def failures(findings: Findings) -> list[Fact]:
    """Return the trials that failed or have no figures, and why; seeds may share a line."""
    rows = findings.trials[findings.trials["reason"] != ""]
    found = []
    for (label, reason), group in rows.groupby(["label", "reason"], sort=False):
        name = f"{label}, {fmt.seeds(group['seed'])}" if findings.several_seeds else str(label)
        found.append((name, str(reason)))
    return found


def skipped_backbones(findings: Findings) -> list[Fact]:
    """Return the backbones that the plan left out before training, and why."""
    return [(item.backbone, item.reason) for item in findings.run.meta.skipped]


def environment(findings: Findings) -> Mapping[str, str]:
    """Return the environment of the trials by field; values that differ are joined with " / "."""
    found: dict[str, list[str]] = {}
    ran = [r.environment for r in findings.run.records if r.environment]
    for one in ran or [findings.run.meta.environment]:
        for key, value in flatten(one):
            found.setdefault(key, []).append(value)
    return {key: " / ".join(dict.fromkeys(values)) for key, values in found.items()}


def notes(records: Sequence[Record]) -> list[str]:
    """Return the notes of these trials, each once."""
    return list(dict.fromkeys(note for record in records for note in record.notes))


def effort(records: Iterable[Record]) -> Effort:
    """Sum the effort of the finished trials, counting once what several trials share."""
    parts = dict.fromkeys(("preparing", "training", "tuning", "measuring"), 0.0)
    joules: list[float] = []
    timed: set[tuple[str, int]] = set()
    for record in records:
        trial, seconds = record.trial, record.seconds
        shared = sum(seconds.get(part, 0.0) for part in SHARED)
        train, tuning = seconds.get("train", 0.0), seconds.get("tuning", 0.0)
        # Reused beyond the shared parts: measured once, with another seed of the backbone.
        measured_before = max(seconds.get("reused", 0.0) - shared, 0.0)
        parts["preparing"] += max(shared - seconds.get("reused", 0.0), 0.0)
        parts["training"] += train
        parts["tuning"] += tuning
        rest = seconds.get("total", 0.0) - shared - train - tuning
        parts["measuring"] += rest - measured_before
        joules += [] if record.joules is None else [record.joules]
        if (backbone := (trial.backbone, trial.input_size)) not in timed and record.runtimes:
            timed.add(backbone)  # all seeds share the timed queries
            joules += [used for runtime in record.runtimes for used in runtime.joules.values()]
    found = sorted(parts.items(), key=lambda part: -part[1])
    return Effort({name: s for name, s in found if s > 0}, sum(joules) if joules else None)


def _dataset(findings: Findings) -> str:
    dataset = findings.run.dataset
    return "; ".join([dataset.title, *dataset.notes])


def _images(findings: Findings) -> str:
    dataset = findings.run.dataset
    counts = fmt.split_counts({name: len(split) for name, split in dataset.splits.items()})
    names = fmt.first([shorten(name, 30) for name in dataset.classes], 6)
    return f"{counts}; {len(dataset.classes):,} classes: {names}"


def _protocol(protocol: RunProtocol) -> str:
    if not protocol.name:
        return ""
    digest = f" ({protocol.digest[:8]})" if protocol.digest else ""
    return f"{protocol.name}{digest}{f': {protocol.summary}' if protocol.summary else ''}"


def _phase(phase: Phase) -> str:
    frozen = phase.unfreeze.kind == "none"
    parts = [
        quantity(phase.epochs, "epoch"),
        f"{phase.optimizer} {phase.learning_rate:g}",
        "backbone frozen" if frozen else f"{phase.unfreeze} unfrozen",
    ]
    changes = [name for name, value in asdict(phase.augment).items() if value and name != "views"]
    return f"{phase.name} ({', '.join(parts + changes)})"


def _tuning(budget: int) -> str:
    return f"{budget} tried in each trial; the lowest validation loss decides" if budget else ""


def _weights(findings: Findings) -> str:
    asked = findings.run.meta.settings.weights
    finished = findings.backbones[findings.backbones["status"] == "ok"]
    counts = finished["weights"].value_counts(sort=False)
    got = ", ".join(f"{count} {source}" for source, count in counts.items())
    return " → ".join(filter(None, [asked, got]))


def _trials(findings: Findings) -> str:
    run = findings.run
    if not run.all_records:
        return "none finished"
    ok = sum(record.status == "ok" for record in run.all_records)
    shares = f" ({len(run.subset_records)} on fewer training images)" if run.subset_records else ""
    seeds = fmt.seeds(findings.trials["seed"])
    return f"{ok} finished, {len(run.all_records) - ok} failed{shares}; {seeds}"


def _effort(findings: Findings) -> str:
    spent = effort(findings.run.all_records)
    if not spent.parts:
        return ""
    parts = ", ".join(f"{fmt.duration(s)} {name}" for name, s in spent.parts.items())
    energy = "" if spent.joules is None else f"; {fmt.significant(spent.joules / 1000)} kJ"
    return f"{fmt.duration(spent.seconds)} of computing: {parts}{energy}"


def _precision(precision: str) -> str:
    if precision == "float32":
        return ""
    return (
        f"{precision}, in training and in the latency through Keras and XLA; other runtimes "
        f"compute in the precision of their names, float32 if they name none"
    )


def _machine(findings: Findings) -> str:
    about = environment(findings)
    threads = findings.run.meta.settings.threads
    parts = [
        about.get("processor", ""),
        f"{about['cores']} cores" if "cores" in about and not threads else "",
        f"limited to {quantity(threads, 'thread')}" if threads else "",
        about.get("device name") or about.get("device kind", ""),
        *(f"{n} {about[f'versions {n}']}" for n in PACKAGES if f"versions {n}" in about),
    ]
    return ", ".join(dict.fromkeys(filter(None, parts)))
