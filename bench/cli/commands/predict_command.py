"""`predict`: the class of new images by a run's trained model, and how sure that is."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.cli.argument_types import share
from bench.cli.shared_options import add_plugins, add_results, add_run
from bench.errors import Exit, UnknownNameError, UsageError
from bench.inference.prediction import (
    PredictingModel,
    best_record,
    find_images,
    model_of,
    predict,
)
from bench.models.rebuild import changed_code, record_of
from bench.registry import load_plugins
from bench.reports import predictions
from bench.reports.predictions import Predictor
from bench.storage.records import Run, load_run
from bench.storage.run_folder import find_run
from bench.types import Record

WRITERS = {
    "table": predictions.to_text,
    "csv": predictions.to_csv,
    "json": predictions.to_json_text,
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_run(parser)
    parser.add_argument(
        "what",
        nargs="+",
        metavar="[BACKBONE] IMAGE|DIR",
        help="images and folders of images; before them a backbone, if not the run's pick",
    )
    add_plugins(parser)
    add_results(parser)
    parser.add_argument(
        "--format", choices=tuple(WRITERS), default="table", help="of the answers (table)"
    )
    parser.add_argument(
        "--min-confidence",
        type=share,
        default=0.7,
        metavar="SHARE",
        help="below it an answer is marked as unsure (0.7)",
    )


def main(arguments: argparse.Namespace) -> int:
    """Answer for every image that can be read; 3 where some could not."""
    say = Console(stderr=True, highlight=False, soft_wrap=True)
    for error in load_plugins(arguments.plugins, arguments.packages):
        say.print(f"warning: {error}", style="yellow", markup=False)
    run = load_run(find_run(arguments.results, arguments.run))
    record, paths = _what(run, arguments.what)
    if warning := changed_code(record):
        say.print(f"warning: {warning}", style="yellow", markup=False)
    model = model_of(run, record)
    source = _source(model, arguments.min_confidence, say)
    found = predict(model, find_images(paths))
    sys.stdout.write(WRITERS[arguments.format](found, source))
    for line in predictions.summary(found, source):
        say.print(line, style="yellow", markup=False)
    return Exit.INCOMPLETE if any(answer.reason for answer in found) else Exit.DONE


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
        record, images = best_record(run), words
    if not images:
        here = f" (./{words[0]} is one, if you mean that)" if first.exists() else ""
        raise UsageError(f"name at least one image or folder to predict{here}.")
    return record, [Path(word) for word in images]


def _source(model: PredictingModel, min_confidence: float, say: Console) -> Predictor:
    """Say whose answers they are, and what a reader must know of them."""
    trial = model.record.trial
    say.print(
        f"model     {trial.backbone}, seed {trial.seed}, of run {model.run.name}", markup=False
    )
    if model.record.weights is not None and not model.record.weights.pretrained:
        say.print("It began with random weights: its answers mean nothing.", style="yellow")
    if model.temperature is None:
        text = f"Confidence is not calibrated: {model.not_calibrated}."
        say.print(text, style="yellow", markup=False)
    return Predictor(
        run=model.run.name,
        backbone=trial.backbone,
        trial=trial.key,
        classes=model.classes,
        temperature=model.temperature,
        min_confidence=min_confidence,
    )
