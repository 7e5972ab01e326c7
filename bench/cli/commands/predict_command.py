"""`predict`: the class of new images by a run's trained model, and how sure that is."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.cli.commands.report_command import find_run
from bench.errors import Exit, NotRankedError, UnknownNameError, UsageError
from bench.inference.prediction import Answer, DecodedAhead, answers, find_images
from bench.models.rebuild import changed_code, rebuild, record_of
from bench.registry import load_plugins
from bench.reports import predictions
from bench.reports.predictions import Source
from bench.storage.records import Evidence, Run, load_run
from bench.storage.trained import best_first
from bench.system.frameworks import (
    UNUSED_BY_WORKERS,
    keras_backend_of,
    prepare_here,
    suppress_stderr,
    without,
)
from bench.types import Record

WRITERS = {
    "table": predictions.to_text,
    "csv": predictions.to_csv,
    "json": predictions.to_json_text,
}


def main(arguments: argparse.Namespace) -> int:
    """Answer for every image that can be read; 3 where some could not."""
    say = Console(stderr=True, highlight=False, soft_wrap=True)
    for error in load_plugins(arguments.plugin, arguments.packages):
        say.print(f"warning: {error}", style="yellow", markup=False)
    run = load_run(find_run(arguments.results, arguments.run))
    record, paths = _what(run, arguments.what)
    if warning := changed_code(record):
        say.print(f"warning: {warning}", style="yellow", markup=False)
    source = _source(run, record, arguments.min_confidence, say)
    found = _answers(run, record, find_images(paths), source.temperature)
    sys.stdout.write(WRITERS[arguments.format](found, source))
    for line in predictions.summary(found, source):
        say.print(line, style="yellow", markup=False)
    return Exit.INCOMPLETE if any(answer.reason for answer in found) else Exit.DONE


def _answers(
    run: Run, record: Record, paths: Sequence[Path], temperature: float | None
) -> list[Answer]:
    # The backend that the model was trained on, unless the user names one.
    prepare_here(keras_backend_of(record))
    with DecodedAhead(paths, record.trial.input_size) as images:
        with without(*UNUSED_BY_WORKERS):
            with suppress_stderr():
                from bench.models.backends.base import current

                backend = current()
            model = rebuild(run, record).logits(fold=backend.gains_from_folding)
        return list(answers(images, backend.forward(model), temperature or 1.0))


def _what(run: Run, words: Sequence[str]) -> tuple[Record, list[Path]]:
    """The first word is a backbone where the run has one of that name; a path says `./` then."""
    names = {record.trial.backbone for record in run.records}
    first = Path(words[0])
    if words[0] in names:
        record, images = record_of(run, words[0]), words[1:]
    elif len(first.parts) == 1 and not first.suffix and not os.path.lexists(first):
        # A misspelled backbone, and no missing image: another model would answer in its place.
        raise UnknownNameError(f"image, folder or backbone of run {run.name}", words[0], names)
    else:
        record, images = _best(run), words
    if not images:
        here = f" (./{words[0]} is one, if you mean that)" if first.exists() else ""
        raise UsageError(f"name at least one image or folder to predict{here}.")
    return record, [Path(word) for word in images]


def _best(run: Run) -> Record:
    """The winner's best seed."""
    from bench.analysis.choice import Limits, choose
    from bench.analysis.findings import find

    choice = choose(find(run), Limits())
    if choice.pick is None:
        raise NotRankedError(
            f"run {run.name} ranks no backbone; name one to predict with "
            f"({', '.join(sorted({r.trial.backbone for r in best_first(run.records)}))})."
        )
    return record_of(run, choice.pick.backbone)


def _source(run: Run, record: Record, min_confidence: float, say: Console) -> Source:
    from bench.analysis.metrics.calibration import temperature

    fitted = temperature(Evidence(record, run.dataset.classes, run.folder))
    trial = record.trial
    say.print(f"model     {trial.backbone}, seed {trial.seed}, of run {run.name}", markup=False)
    if record.weights is not None and not record.weights.pretrained:
        say.print("It began with random weights: its answers mean nothing.", style="yellow")
    if fitted.value is None:
        say.print(f"Confidence is not calibrated: {fitted.reason}.", style="yellow", markup=False)
    return Source(
        run=run.name,
        backbone=trial.backbone,
        trial=trial.key,
        classes=run.dataset.classes,
        temperature=fitted.value,
        min_confidence=min_confidence,
    )
