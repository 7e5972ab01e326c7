"""`predict`: classify new images with a run's trained model, with calibrated confidence."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.analysis.format import seeds
from bench.cli.argument_types import count_or_all, fraction
from bench.cli.json_lines import write_event
from bench.cli.shared_options import add_run, add_shared, read_trained
from bench.errors import Exit, UnknownNameError, UsageError
from bench.system.files import fields_of

if TYPE_CHECKING:
    from rich.console import Console

    from bench.inference.prediction import PredictingModel, Prediction
    from bench.reports.predictions import Predictor
    from bench.storage.records import StoredRun
    from bench.types import Record


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_run(parser)
    parser.add_argument(
        "what",
        nargs="+",
        metavar="[BACKBONE[+BACKBONE]] IMAGE|DIR",
        help="images and folders of images; before them, a backbone if not the recommended one, "
        "or several, whose probabilities are averaged; BACKBONE@soup is the model with the mean of "
        "the seeds' weights, if the run has one",
    )
    add_shared(parser, "--plugin", "--results")
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--format", choices=("table", "csv"), default="table", help="output format (table)"
    )
    add_shared(form, "--json")
    parser.add_argument(
        "--top",
        type=count_or_all,
        default=1,
        metavar="K",
        help="show the K most probable classes of each image, or `all` (1); --json has all",
    )
    parser.add_argument(
        "--min-confidence",
        type=fraction,
        default=0.7,
        metavar="FRACTION",
        help="mark predictions with a lower confidence as unsure (0.7)",
    )
    parser.add_argument(
        "--explain",
        type=Path,
        metavar="DIR",
        help="also write, to this new folder, each image under a heatmap of the regions that speak "
        "for the predicted class",
    )


def main(arguments: argparse.Namespace) -> int:
    """Classify the images and print the predictions; return 3 if an image could not be read."""
    # Imported late: `predict --help` does not need them.
    from rich.console import Console

    from bench.data.sources.folder import ignored_note
    from bench.inference.heatmaps import Overlays
    from bench.inference.prediction import find_images, model_of, predict
    from bench.models.rebuild import code_warning
    from bench.reports import predictions, terminal

    errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    run = read_trained(arguments, errors)
    members, paths = _members_and_paths(run, arguments.what)
    ignored = Counter[str]()
    images = find_images(paths, ignored)
    if ignored:
        errors.print(f"note      {ignored_note(ignored)}")
    overlays = Overlays(arguments.explain) if arguments.explain else None
    for warning in filter(None, map(code_warning, members)):
        errors.print(f"warning: {warning}", style="yellow")
    model = model_of(run, *members)
    source = _announce(model, arguments.min_confidence, errors)
    predicting = predict(model, images, overlays)
    top = min(arguments.top, len(source.classes))
    found = _write_json(predicting, source) if arguments.json else list(predicting)
    if arguments.format == "csv":
        sys.stdout.write(predictions.to_csv(found, source, top))
    elif not arguments.json:
        width = None if sys.stdout.isatty() else terminal.UNLIMITED
        shown = predictions.section(found, source, top)
        terminal.show([shown], Console(highlight=False, width=width))
    for line in predictions.summary(found, source):
        errors.print(line, style="yellow")
    if overlays:
        errors.print(overlays.summary)
    return Exit.INCOMPLETE if any(prediction.reason for prediction in found) else Exit.DONE


def _write_json(predicting: Iterable[Prediction], source: Predictor) -> list[Prediction]:
    """Write a line about the model, then one per image as soon as it is predicted; return the
    predictions."""
    write_event("model", **fields_of(source))
    found = []
    for prediction in predicting:
        found.append(prediction)
        known = not prediction.reason
        write_event(
            "image",
            **{"class": source.classes[prediction.label] if known else None},
            image=prediction.image,
            confidence=prediction.confidence if known else None,
            low_confidence=source.is_low(prediction),
            probabilities=prediction.probabilities,
            error=prediction.reason,
            heatmap=prediction.heatmap,
        )
    return found


def _members_and_paths(
    run: StoredRun, words: Sequence[str]
) -> tuple[tuple[Record, ...], list[Path]]:
    """Return the models to predict with, and the paths of images and folders.

    The first word names backbones, joined by +, if the run has them; a path of that name must begin
    with `./`. Otherwise the best seed of the recommended backbone predicts.
    """
    from bench.inference.prediction import best_record
    from bench.models.rebuild import find_members, split_names
    from bench.types import SOUP

    first = Path(words[0])
    known = {name for record in run.records for name in record.trial.names}
    unknown = [n for n in split_names(run, words[0]) if n.removesuffix(SOUP) not in known]
    members: tuple[Record, ...]
    if not unknown:
        members, images = find_members(run, words[0]), words[1:]
    elif len(first.parts) == 1 and not first.suffix and not os.path.lexists(first):
        # Probably a misspelled backbone; taken for a path, another model would predict.
        names = {record.trial.name for record in run.records}
        raise UnknownNameError(f"image, folder or backbone of run {run.name}", unknown[0], names)
    else:
        members, images = (best_record(run),), words
    if not images:
        hint = f" (./{words[0]} names the one that is here)" if first.exists() else ""
        raise UsageError(f"name at least one image or folder to predict{hint}.")
    return members, [Path(word) for word in images]


def _announce(model: PredictingModel, min_confidence: float, errors: Console) -> Predictor:
    """Print which model predicts, with warnings about it, and return its description."""
    from bench.inference.model_card import RANDOM_WEIGHTS_WARNING
    from bench.reports.predictions import Predictor

    trained = seeds(seed for record in model.members for seed in record.trial.seeds)
    errors.print(f"model     {model.name}, {trained}, of run {model.run.name}")
    if not all(record.pretrained for record in model.members):
        errors.print(RANDOM_WEIGHTS_WARNING, style="yellow")
    if model.temperature is None:
        errors.print(f"Confidence is not calibrated: {model.not_calibrated}.", style="yellow")
    return Predictor(
        run=model.run.name,
        backbone=model.name,
        trial="+".join(record.trial.key for record in model.members),
        classes=model.classes,
        temperature=model.temperature,
        min_confidence=min_confidence,
    )
