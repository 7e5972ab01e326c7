"""Export a trained model, or several whose probabilities are averaged: write the file, load it
again, compare it with the model and the records, and only then put it in place, with a model card
next to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import __version__
from bench.analysis.escape import file_names, shorten
from bench.analysis.metrics.calibration import temperature
from bench.analysis.metrics.classification import labels_and_probabilities
from bench.analysis.pooled import pooled
from bench.data import pixels
from bench.errors import BenchError, UsageError
from bench.inference import model_card
from bench.inference.export import EXPORT_FORMATS, About
from bench.inference.measuring.timing import predict_all
from bench.inference.runtimes import Call
from bench.models.backends.base import Array, current
from bench.models.rebuild import TrainedModel, build_ensemble
from bench.storage.cache import Store
from bench.storage.records import Evidence, StoredRun
from bench.system.files import remove_stale, temporary_folder, write_atomic
from bench.system.frameworks import suppress_stderr
from bench.types import Record

MAX_IMAGES = 1000
GENERATED = 32
TOLERANCE = 1e-3  # of a probability
UNDECIDED = 2 * TOLERANCE  # two classes closer than that may change places, or ...
UNDECIDED_IN_HALF = 0.3  # ... where the record's were computed in half precision


@dataclass(frozen=True)
class Exported:
    """What was written, and how it was checked."""

    path: Path
    card: Path
    checked: str


def refuse_sizes(members: Sequence[Record]) -> None:
    """Raise an error where an ensemble's members take images of different sizes: a resizer in the
    file would not answer as one that comes before it."""
    if len(sizes := sorted({record.trial.input_size for record in members})) > 1:
        raise UsageError(
            f"the members take images of {' and '.join(map(str, sizes))} px, and a file takes one "
            f"size; export each by itself, or let `predict` average them."
        )


def export(
    run: StoredRun, models: Sequence[TrainedModel], format_name: str, folder: Path, store: Store
) -> Exported:
    """Write a file, load it again, compare, and only then put it in place; replace nothing."""
    chosen = EXPORT_FORMATS[format_name]
    evidence = pooled(run, [model.record for model in models])
    refuse_sizes(evidence.members)
    trial = evidence.record.trial
    backbone = trial.name
    path = folder / (file_names([backbone])[backbone] + chosen.suffix)
    about_it = path.with_name(f"{path.name}.md")
    for there in (path, about_it):
        if there.exists():
            raise UsageError(f"{there} exists already; remove it or give another --output.")
    about = About(
        classes=evidence.classes,
        input_size=trial.input_size,
        backbone=backbone,
        run=run.name,
        trial=trial.key,
        temperature=temperature(evidence).value,
        backbone_bench=__version__,
    )
    classifier = build_ensemble(models)
    reference = Reference(classifier, run, evidence, store)
    remove_stale(folder, below=False)
    # Converters write progress and deprecations to it; what fails is raised.
    with temporary_folder(folder) as place, suppress_stderr():
        try:
            made = chosen.write(classifier, place, about)
            call = chosen.load(made)
        except BenchError:
            raise
        except Exception as error:
            # Converters raise errors of any type and length.
            reason = shorten(" ".join(str(error).split()), 300)
            raise BenchError(
                f"{backbone} cannot be exported as {format_name}: {type(error).__name__}: {reason}"
            ) from error
        checked = reference.check(call)
        made.replace(path)
    program = chosen.program(classifier)
    write_atomic(about_it, model_card.text(run, evidence, about, path.name, checked, program))
    return Exported(path, about_it, checked)


class Reference:
    """The model's own answers, and the recorded ones."""

    def __init__(self, model: Any, run: StoredRun, evidence: Evidence, store: Store) -> None:
        self._images, self._recorded = _images(run, evidence, store)
        plain = evidence.record.trial.settings.precision == "float32"
        self._undecided = UNDECIDED if plain else UNDECIDED_IN_HALF
        forward = current().forward(model)
        self._expected = predict_all(lambda batch: forward(batch)[0], self._images)

    def check(self, call: Call) -> str:
        """Ask the exported file the same, and say how well it agrees; raise where it does not."""
        found = predict_all(call, self._images)
        if found.shape != self._expected.shape:
            raise BenchError(
                f"the exported model answers with shape {found.shape}, expected "
                f"{self._expected.shape}; nothing was written."
            )
        difference = float(np.abs(found - self._expected).max())
        if not difference <= TOLERANCE:
            raise BenchError(
                f"the exported model's probabilities differ by up to {difference:.2g} from the "
                f"trained one's; nothing was written."
            )
        agree = f"agree within {difference:.1g}" if difference else "are equal"
        if self._recorded is None:
            return f"loaded again; on {len(found)} generated images probabilities {agree}"
        same = _same_class(found, self._recorded, self._undecided)
        return (
            f"loaded again; on {len(found)} of the run's test images probabilities {agree}, and "
            f"the class is the recorded one for {same} of {len(found)}"
        )


def _same_class(found: Array, recorded: Array, undecided: float) -> int:
    same = found.argmax(axis=1) == recorded.argmax(axis=1)
    ordered = np.sort(recorded, axis=1)
    wrong = ~same & (ordered[:, -1] - ordered[:, -2] > undecided)
    if wrong.any():
        raise BenchError(
            f"the exported model gives another class than the record for {int(wrong.sum())} of "
            f"{len(found)} test images; nothing was written."
        )
    return int(same.sum())


def _images(run: StoredRun, evidence: Evidence, store: Store) -> tuple[Array, Array | None]:
    size = evidence.record.trial.input_size
    entry = pixels.find_entry(run.dataset.splits["test"], size, store)
    known = labels_and_probabilities(evidence, "test")
    if entry is None or known is None:
        noise = np.random.default_rng(0).integers(0, 256, (GENERATED, size, size, 3))
        return noise.astype("uint8"), None
    return entry.array()[:MAX_IMAGES], known[1][:MAX_IMAGES]
