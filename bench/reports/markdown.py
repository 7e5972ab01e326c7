"""`report.md`: the whole report of a run, for reading.

What was run and why, the ranked table, the sections, each backbone, the time of each part, what was
left out, the machine, and the command to reproduce it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

import pandas as pd

from bench.analysis import columns, facts
from bench.analysis import format as fmt
from bench.analysis.escape import markdown as safe
from bench.analysis.findings import Findings
from bench.analysis.metrics.classification import class_scores
from bench.analysis.verdict import MAX_SENTENCE
from bench.reports import markdown_audit as audit
from bench.reports.figures import MAX_BACKBONES, Picture
from bench.reports.markdown_parts import section_text, shown, table
from bench.reports.sections import sections
from bench.types import Record

LONG = 400
MAX_CLASSES = 20


def text(findings: Findings, pictures: Sequence[Picture]) -> str:
    """Return the whole report; `pictures` are linked to, not drawn."""
    own = (
        (0.0, _head(findings)),
        (1.0, _results(findings, pictures)),
        (25.0, audit.text(findings, pictures)),
        *((105.0, text) for text in _backbones(findings, pictures)),
    )
    of_blocks = [(place, section_text(one, pictures)) for place, one in sections(findings)]
    placed = sorted([*own, *of_blocks], key=lambda section: section[0])
    return "\n\n".join(text for _, text in placed if text) + "\n"


def _head(findings: Findings) -> str:
    created, verdict = findings.run.meta.created, findings.verdict
    lines = [
        f"# {safe(findings.run.name)}",
        "",
        f"**{safe(verdict.sentence, MAX_SENTENCE)}**",
    ]
    lines += ["", safe(verdict.certainty, MAX_SENTENCE)] if verdict.certainty else []
    lines += [""]
    lines += [f"- **{title}:** {safe(what, LONG)}" for title, what in facts.facts(findings)]
    lines += [f"- **Made:** {safe(created)}"] if created else []
    warnings = facts.warnings(findings)
    lines += ["", *(f"> - {safe(warning, LONG)}" for warning in warnings)] if warnings else []
    return "\n".join(lines)


def _results(findings: Findings, pictures: Sequence[Picture]) -> str:
    if not len(findings.table):
        return "## Results\n\nNo trial finished."
    every = columns.of(findings.table)
    titles = ["#", "Backbone", *(column.title for column in every)]
    rows = [
        [columns.rank(row), safe(columns.name(row)), *(column.cell(row) for column in every)]
        for _, row in findings.table.iterrows()
    ]
    parts = ["## Results", table(titles, rows, left=(1,)), columns.explanation(findings)]
    return "\n\n".join([*parts, *shown(pictures, "tradeoff", "")])


def _backbones(findings: Findings, pictures: Sequence[Picture]) -> list[str]:
    """Return a section for each backbone that finished at least once."""
    sections = []
    for label, records in findings.records.items():
        ok = [record for record in records if record.status == "ok"]
        if ok:
            sections.append(_backbone(findings, label, ok, pictures))
    if len(findings.records) > MAX_BACKBONES:
        about = f"Pictures of the first {MAX_BACKBONES}; `report.html` draws those of all."
        sections.insert(0, about)
    return ["## Backbones", *sections] if sections else []


def _backbone(
    findings: Findings, label: str, ok: Sequence[Record], pictures: Sequence[Picture]
) -> str:
    parts = [f"### {safe(label)}", _provenance(ok[0])]
    if findings.several_seeds:
        parts.append(_seeds(findings.trials[findings.trials["label"] == label]))
    if label in findings.confusions:
        parts.append(_classes(findings, label))
    parts += shown(pictures, "confusion", label)
    parts += shown(pictures, "curves", label)
    parts += shown(pictures, "mistakes", label)
    if any(record.phases for record in ok):
        parts.append(_phases(ok))
    parts += ["\n".join(f"- {safe(note, LONG)}" for note in facts.notes(ok))]
    return "\n\n".join(filter(None, parts))


def _provenance(record: Record) -> str:
    parts = []
    if record.weights is not None:
        parts.append(f"Weights: {safe(record.weights.source)}")
        if record.weights.pretrained:
            parts.append(f"from {safe(record.weights.location)}")
            parts.append(f"SHA-256 `{safe(record.weights.sha256)}`")
    parts += [f"{record.trial.input_size} px", f"{fmt.count(record.parameters)} parameters"]
    return ", ".join(parts)


def _seeds(trials: pd.DataFrame) -> str:
    shown = columns.metric_columns()
    rows = [
        [str(row["seed"]), *(column.cell(row) for column in shown)]
        for _, row in trials.sort_values("seed").iterrows()
    ]
    return table(["Seed", *(column.title for column in shown)], rows, left=())


def _classes(findings: Findings, label: str) -> str:
    scored = list(
        zip(findings.run.dataset.classes, class_scores(findings.confusions[label]), strict=True)
    )
    about = "\n\nOver the test answers of all seeds." if findings.several_seeds else ""
    if len(scored) > MAX_CLASSES:
        # Worst first; a class without images has no F1 and goes last.
        scored.sort(key=lambda item: 2.0 if isnan(item[1].f1) else item[1].f1)
        about += f"\n\nThe {MAX_CLASSES} classes with the lowest F1, of {len(scored)}; "
        about += "`per_class.csv` has them all."
    rows = [
        [safe(name, 60), *map(_share, (s.precision, s.recall, s.f1)), f"{s.images:,}"]
        for name, s in scored[:MAX_CLASSES]
    ]
    return table(["Class", "Precision", "Recall", "F1", "Images"], rows, left=(0,)) + about


def _phases(records: Sequence[Record]) -> str:
    titles = ["Seed", "Phase", "Starts from", "Views", "Trained", "Epochs", "Kept", "Val. acc."]
    rows = []
    for record in records:
        for phase in record.phases:
            epochs = f"{len(phase.epochs)}{' (stopped early)' if phase.stopped_early else ''}"
            rows.append(
                [
                    str(record.trial.seed),
                    safe(phase.name),
                    safe(phase.cut),
                    safe(phase.views),
                    fmt.count(phase.trainable_parameters),
                    epochs,
                    str(phase.best_epoch),
                    fmt.percent(phase.kept.accuracy) if phase.kept else fmt.MISSING,
                    fmt.duration(phase.compile_seconds),
                    fmt.duration(phase.train_seconds),
                ]
            )
    return table([*titles, "Compile", "Train"], rows, left=(1, 2, 3))


def _share(value: float) -> str:
    return fmt.MISSING if isnan(value) else fmt.percent(value)
