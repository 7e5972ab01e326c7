"""Export a trained model, or an ensemble: write the file, load it, compare its predictions with the
model's and the recorded ones, and only then put it in place, with a model card."""

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
from bench.analysis.pooled import pool_evidence
from bench.data import pixels
from bench.errors import BenchError, UsageError
from bench.inference import model_card
from bench.inference.export import EXPORT_FORMATS, About
from bench.inference.measuring.timing import predict_all
from bench.inference.runtimes import Call
from bench.models.backends.base import Array, current_backend
from bench.models.rebuild import TrainedModel, build_ensemble
from bench.storage.cache import Store
from bench.storage.records import Evidence, StoredRun
from bench.system.files import remove_stale, temporary_folder, write_atomic
from bench.system.frameworks import suppress_stderr
from bench.types import Record

MAX_IMAGES = 1000
GENERATED_IMAGES = 32  # random images to compare on if the test images are not in the cache
TOLERANCE = 1e-3  # difference of a probability
# Difference of the two highest recorded probabilities up to which the predicted class may change;
# the second if the record was computed in half precision.
TIE = 2 * TOLERANCE
TIE_IN_HALF_PRECISION = 0.3


@dataclass(frozen=True)
class ExportedModel:
    """An exported file, its model card, and the result of its check as text."""

    path: Path
    card: Path
    checked: str


def require_one_size(members: Sequence[Record]) -> None:
    """Raise `UsageError` if the members of an ensemble have different input sizes: resizing inside
    the file would not give the same pixels as decoding to each size."""
    if len(sizes := sorted({record.trial.input_size for record in members})) > 1:
        raise UsageError(
            f"the members take images of {' and '.join(map(str, sizes))} px, and a file takes one "
            f"size; export each by itself, or let `predict` average them."
        )


def export(
    run: StoredRun, models: Sequence[TrainedModel], format_name: str, folder: Path, store: Store
) -> ExportedModel:
    """Write a file, load and check it, and only then put it in place; replace no file.

    Raises `UsageError` if the file exists, `BenchError` if it cannot be written or predicts
    something else than the model.
    """
    chosen = EXPORT_FORMATS[format_name]
    evidence = pool_evidence(run, [model.record for model in models])
    require_one_size(evidence.members)
    trial = evidence.record.trial
    backbone = trial.name
    path = folder / (file_names([backbone])[backbone] + chosen.suffix)
    card = path.with_name(f"{path.name}.md")
    for file in (path, card):
        if file.exists():
            raise UsageError(f"{file} exists already; remove it or give another --output.")
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
    expected = ExpectedPredictions(classifier, run, evidence, store)
    remove_stale(folder, recursive=False)
    # Converters write progress and deprecation warnings to standard error; failures are raised.
    with temporary_folder(folder) as place, suppress_stderr():
        try:
            written = chosen.write(classifier, place, about)
            call = chosen.load(written)
        except BenchError:
            raise
        except Exception as error:
            # Converters raise errors of any type and length.
            reason = shorten(" ".join(str(error).split()), 300)
            raise BenchError(
                f"{backbone} cannot be exported as {format_name}: {type(error).__name__}: {reason}"
            ) from error
        checked = expected.check(call)
        written.replace(path)
    program = chosen.program(classifier)
    write_atomic(card, model_card.text(run, evidence, about, path.name, checked, program))
    return ExportedModel(path, card, checked)


class ExpectedPredictions:
    """The predictions of the model, and the recorded ones, to compare an exported file with."""

    def __init__(self, model: Any, run: StoredRun, evidence: Evidence, store: Store) -> None:
        self._images, self._recorded = _images_to_compare(run, evidence, store)
        plain = evidence.record.trial.settings.precision == "float32"
        self._tie = TIE if plain else TIE_IN_HALF_PRECISION
        forward = current_backend().forward(model)
        self._expected = predict_all(lambda batch: forward(batch)[0], self._images)

    def check(self, call: Call) -> str:
        """Compare the predictions of the exported file; return a sentence on how they agree.

        Raises `BenchError` if they differ.
        """
        found = predict_all(call, self._images)
        if found.shape != self._expected.shape:
            raise BenchError(
                f"the exported model returns probabilities of shape {found.shape}, expected "
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
        same = _count_same_class(found, self._recorded, self._tie)
        return (
            f"loaded again; on {len(found)} of the run's test images probabilities {agree}, and "
            f"the predicted class is the recorded one for {same} of {len(found)}"
        )


def _count_same_class(found: Array, recorded: Array, tie: float) -> int:
    """Return the number of images with the recorded class; raise if another differs beyond a
    tie."""
    same = found.argmax(axis=1) == recorded.argmax(axis=1)
    ordered = np.sort(recorded, axis=1)
    wrong = ~same & (ordered[:, -1] - ordered[:, -2] > tie)
    if wrong.any():
        raise BenchError(
            f"the exported model predicts another class than the record for {int(wrong.sum())} of "
            f"{len(found)} test images; nothing was written."
        )
    return int(same.sum())


def _images_to_compare(
    run: StoredRun, evidence: Evidence, store: Store
) -> tuple[Array, Array | None]:
    """Return test images from the cache with their recorded probabilities, or random images and
    `None`."""
    size = evidence.record.trial.input_size
    entry = pixels.find_entry(run.dataset.splits["test"], size, store)
    known = labels_and_probabilities(evidence, "test")
    if entry is None or known is None:
        noise = np.random.default_rng(0).integers(0, 256, (GENERATED_IMAGES, size, size, 3))
        return noise.astype("uint8"), None
    return entry.array()[:MAX_IMAGES], known[1][:MAX_IMAGES]
