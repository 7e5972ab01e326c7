"""Next steps: commands that use the result, or that would decide what is undecided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, isnan

from bench.analysis.findings import Findings
from bench.inference.export import suggest_format
from bench.reports.blocks import Commands, Section
from bench.storage.arrays import weights_path
from bench.system.command_line import format_command, program_word_of

PLACE = 2
SEEDS = 3  # the fewest with which a run compares backbones rather than single trainings


def section(findings: Findings) -> Section | None:
    """Return the commands, the most useful first; `None` if no backbone is recommended."""
    if findings.verdict.recommended is None:
        return None
    about = findings.faster.text if findings.faster is not None else ""
    environment = findings.run.meta.environment
    commands = tuple(
        (what, format_command(command, environment)) for what, command in _commands(findings)
    )
    return Section("next_steps", "Next steps", about, [Commands(commands)], brief=True)


def _commands(findings: Findings) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the purpose of each command, and its words."""
    run, argv = findings.run.name, findings.run.command
    program, where = program_word_of(argv), findings.run.results_option
    if pick := _kept_names(findings, [findings.verdict.recommended or ""]):
        predict = (*program, "predict", run, pick, "photos/", *where)
        yield f"Classify new images with {pick}", predict
        form = suggest_format(findings.run.meta.environment)
        export = (*program, "export", run, pick, "--format", form, *where)
        yield f"Export {pick}", export
    found = findings.ensembles.better_than_best if findings.ensembles is not None else None
    if found is not None and (members := _kept_names(findings, found.members)):
        ensemble = (*program, "predict", run, members, "photos/", *where)
        yield f"Classify new images with the ensemble {members}", ensemble
    for soup in findings.soups:
        if soup.is_better:
            predict = (*program, "predict", run, soup.name, "photos/", *where)
            yield f"Classify new images with the averaged seeds of {soup.label}", predict
    seeds = _seeds_to_train(findings)
    if argv and 0 < seeds <= len((findings.run.meta.request or {}).get("seeds", ())):
        yield "Train the remaining seeds", argv
    elif argv and seeds:
        why = "enough to decide" if seeds > SEEDS else "to compare backbones, not single trainings"
        yield f"Train {seeds} seeds, {why}", _replace_seeds(argv, seeds)
    if (limit := _latency_limit(findings)) is not None:
        choose = (*program, "choose", run, "--max-latency-ms", str(limit), *where)
        yield "Choose a backbone under your own limits", choose


def _kept_names(findings: Findings, labels: Sequence[str]) -> str:
    """Return the backbones' names for `predict`; "" unless the run kept a model of each."""
    names = []
    for label in labels:
        records = findings.records.get(label, ())
        kept = (r for r in records if weights_path(findings.run.folder, r.trial.key).is_file())
        names += [record.trial.name for record in kept][:1]
    return "+".join(names) if len(names) == len(labels) else ""


def _latency_limit(findings: Findings) -> int | None:
    """Return the recommended backbone's latency in ms, rounded up, as a limit that it meets."""
    rows = findings.backbones.set_index("label")["latency_p50_ms"]
    milliseconds = float(rows[findings.verdict.recommended or ""])
    return None if isnan(milliseconds) else ceil(milliseconds)


def _seeds_to_train(findings: Findings) -> int:
    """Return the total number of seeds to train: enough for every comparison that seeds can decide,
    otherwise `SEEDS` if the run has fewer; 0 if it needs no more."""
    verdict = findings.verdict
    if len(verdict.standings) < 2:
        return 0
    needed = max((s.seeds_to_decide or 0 for s in verdict.standings), default=0)
    return needed or (SEEDS if len(verdict.seeds) < SEEDS else 0)


def _replace_seeds(command: Sequence[str], seeds: int) -> tuple[str, ...]:
    """Return the command with `--seeds` set to this number."""
    kept, words = [], iter(command)
    for word in words:
        if word in ("--seed", "--seeds"):
            next(words, None)
        elif not word.startswith(("--seed=", "--seeds=")):
            kept.append(word)
    return (*kept, "--seeds", str(seeds))
