"""Trained models as files that others can use: raw uint8 images in, class probabilities out.

    base                    what a format is, and what each file says of itself
    keras_file, saved_model, converted     the formats
    preprocessing_layers    preprocessing for a format that holds layers alone
    check                   the file loaded again and held against the model and the record
    card                    the model card beside it

Importing this package is cheap; Keras is paid for by its functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import __version__
from bench.analysis.escape import file_names, shorten
from bench.errors import BenchError, UsageError
from bench.storage.records import Evidence, Run
from bench.system.files import remove_stale, workplace, write_atomic

if TYPE_CHECKING:
    from bench.inference.export.base import Format
    from bench.models.rebuild import TrainedModel
    from bench.storage.cache import Store


@dataclass(frozen=True)
class Exported:
    """What was written, and how it was checked."""

    path: Path
    card: Path
    checked: str


def export(run: Run, model: TrainedModel, format_name: str, folder: Path, store: Store) -> Exported:
    """Write, load again, compare, and only then hand out; nothing that exists is replaced."""
    from bench.analysis.metrics.calibration import temperature
    from bench.inference.export import card, check
    from bench.inference.export.base import About

    chosen = _format(format_name)
    backbone = model.record.trial.backbone
    path = folder / (file_names([backbone])[backbone] + chosen.suffix)
    about_it = path.with_name(f"{path.name}.md")
    for there in (path, about_it):
        if there.exists():
            raise UsageError(f"{there} exists already; remove it or give another --output.")
    evidence = Evidence(model.record, run.dataset.classes, run.folder)
    about = About(
        classes=model.classes,
        input_size=model.record.trial.input_size,
        backbone=backbone,
        run=run.name,
        trial=model.record.trial.key,
        temperature=temperature(evidence).value,
        backbone_bench=__version__,
    )
    classifier = model.class_probabilities()
    reference = check.Reference(classifier, run, evidence, store)
    remove_stale(folder, below=False)
    with workplace(folder) as place:
        try:
            made = chosen.write(classifier, place, about)
            call = chosen.load(made)
        except BenchError:
            raise
        except Exception as error:
            # Converters raise whatever they trip over, and at any length.
            reason = shorten(" ".join(str(error).split()), 300)
            raise BenchError(
                f"{backbone} cannot be exported as {format_name}: {type(error).__name__}: {reason}"
            ) from error
        found = reference.check(call)
        made.replace(path)
    write_atomic(about_it, card.text(run, evidence, about, path.name, found))
    return Exported(path, about_it, found.text())


def _format(name: str) -> Format:
    from bench.inference.export.converted import LITERT, ONNX
    from bench.inference.export.keras_file import H5, KERAS
    from bench.inference.export.saved_model import SAVED_MODEL

    return {f.name: f for f in (KERAS, H5, SAVED_MODEL, LITERT, ONNX)}[name]
