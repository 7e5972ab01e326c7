"""Classify new images with a trained model, or with an ensemble that averages probabilities.

Images are decoded as the training images were, in threads, ahead of their use: while Keras loads,
and while a batch is computed. Predictions come in the order of the images; that of an unreadable
image has only a reason.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from bench.analysis.pooled import mean_probabilities, pool_evidence
from bench.data.decode import BadImageError, Pixels, decode, decode_in_threads, unusable_reason
from bench.data.sources.folder import filter_images, read_file, to_printable, walk_files
from bench.errors import NotRankedError, UsageError
from bench.inference.heatmaps import Overlays
from bench.models.backends.base import Array, Forward, current_backend
from bench.models.rebuild import find_record, load_trained
from bench.storage.arrays import sort_best_first
from bench.storage.records import StoredRun
from bench.training.losses import logits_to_probabilities
from bench.types import Record

BATCH = 32
AHEAD = 8 * BATCH  # images decoded ahead of their use; bounds memory
Decoded = tuple[Path, Mapping[int, Pixels] | str]
"""An image's path, and its pixels by input size or the reason why it cannot be read."""
Member = tuple[int, Forward]
"""A member of an ensemble: its input size, and the model from uint8 pixels to logits."""
Draw = Callable[[Sequence[tuple[Path, Pixels]], Array, Array], list[str]]
"""A function that writes heatmap overlays, from images, their feature maps and predicted classes,
and returns the file names."""


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image, or the reason why there is none."""

    image: str  # path of the image
    probabilities: tuple[float, ...] = ()  # one per class
    reason: str = ""  # why the image cannot be read
    heatmap: str = ""  # file of the heatmap overlay, if requested

    @property
    def ranked(self) -> list[int]:
        """Return the labels, the most probable first."""
        labels = range(len(self.probabilities))
        return sorted(labels, key=self.probabilities.__getitem__, reverse=True)

    @property
    def label(self) -> int:
        return self.ranked[0]

    @property
    def confidence(self) -> float:
        return max(self.probabilities)


@dataclass(frozen=True)
class PredictingModel:
    """A run's trained model, or an ensemble of several, with the calibration of its confidence."""

    run: StoredRun
    members: tuple[Record, ...]
    temperature: float | None  # None: the confidence is not calibrated
    not_calibrated: str = ""  # the reason

    @property
    def classes(self) -> tuple[str, ...]:
        return self.run.dataset.classes

    @property
    def name(self) -> str:
        return "+".join(record.trial.name for record in self.members)


def best_record(run: StoredRun) -> Record:
    """Return the best seed of the recommended backbone; raise `NotRankedError` if none is."""
    from bench.analysis.choice import Limits, choose
    from bench.analysis.findings import analyse_run

    choice = choose(analyse_run(run), Limits())
    if choice.pick is None:
        raise NotRankedError(
            f"run {run.name} ranks no backbone; name one to predict with "
            f"({', '.join(sorted({r.trial.name for r in sort_best_first(run.records)}))})."
        )
    return find_record(run, choice.pick.backbone)


def model_of(run: StoredRun, *members: Record) -> PredictingModel:
    """Return the trained model of a record, or the ensemble of several, without loading weights."""
    from bench.analysis.metrics.calibration import temperature

    fitted = temperature(pool_evidence(run, members))
    return PredictingModel(run, members, fitted.value, fitted.reason)


def predict(
    model: PredictingModel, paths: Sequence[Path], overlays: Overlays | None = None
) -> Iterator[Prediction]:
    """Yield the prediction for every image, in order; with `overlays`, also write its heatmap.

    The model runs on the Keras backend that it was trained on, unless the user names another.
    """
    if overlays is not None and len(model.members) > 1:
        raise UsageError(
            f"heatmaps need a single model; {model.name} is an ensemble of {len(model.members)}."
        )
    draw = None
    sizes = {record.trial.input_size for record in model.members}
    with decode_ahead(paths, *sizes) as images:
        members = []
        for record in model.members:
            trained = load_trained(model.run, record)
            backend = current_backend()
            whole = trained.logits(fold=True, maps=overlays is not None)
            members.append((record.trial.input_size, backend.forward(whole)))
            draw = None if overlays is None else partial(overlays.write, trained)
        yield from predict_batches(images, len(paths), members, model.temperature, draw)


def find_images(paths: Iterable[Path], ignored: Counter[str] | None = None) -> list[Path]:
    """Return the given files, and the images below the given folders, found by their suffixes.

    Other files of the folders are counted in `ignored`. Raises `UsageError` for a path that does
    not exist and a folder without images.
    """
    found: list[Path] = []
    paths = list(paths)
    if missing := [to_printable(str(path)) for path in paths if not os.path.lexists(path)]:
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise UsageError(f"there is no image or folder {missing[0]!r}{more}.")
    for path in paths:
        if path.is_dir():
            inside = filter_images(walk_files(path), Counter() if ignored is None else ignored)
            if not inside:
                raise UsageError(f"folder {path} holds no image.")
            found += inside
        else:
            found.append(path)
    return found


def decode_ahead(paths: Sequence[Path], *sizes: int) -> AbstractContextManager[Iterator[Decoded]]:
    """Decode images to all `sizes` in threads, in order, ahead of their use."""
    return decode_in_threads(lambda path: (path, _read_pixels(path, sizes)), paths, AHEAD)


def predict_batches(
    images: Iterable[Decoded],
    count: int,
    members: Sequence[Member],
    temperature: float | None = None,
    draw: Draw | None = None,
) -> Iterator[Prediction]:
    """Yield the predictions for `count` images, computed in batches.

    All batches have the same shape, so that each model is compiled once. With `draw` there must be
    one member, which also returns its last feature maps.
    """
    from bench.analysis.metrics.calibration import apply_temperature

    size, waiting = min(BATCH, count), iter(images)
    while batch := list(islice(waiting, size)):
        rows: Iterator[tuple[list[float], str]] = iter(())
        if good := [(path, pixels) for path, pixels in batch if not isinstance(pixels, str)]:
            filled = good + good[:1] * (size - len(good))
            outputs = [
                logits(np.stack([pixels[edge] for _, pixels in filled])) for edge, logits in members
            ]
            each = [logits_to_probabilities(output[0])[: len(good)] for output in outputs]
            found = mean_probabilities(each)
            pictures = [""] * len(good)
            if draw is not None:
                seen = [(path, pixels[members[0][0]]) for path, pixels in good]
                pictures = draw(seen, outputs[0][1][: len(good)], found.argmax(axis=1))
            calibrated = found if temperature is None else apply_temperature(found, temperature)
            rows = zip(calibrated.tolist(), pictures, strict=True)
        for path, pixels in batch:
            if isinstance(pixels, str):
                yield Prediction(to_printable(str(path)), reason=pixels)
            else:
                row, picture = next(rows)
                yield Prediction(to_printable(str(path)), tuple(row), heatmap=picture)


def _read_pixels(path: Path, sizes: Sequence[int]) -> Mapping[int, Pixels] | str:
    try:
        return decode(read_file(path), sizes)
    except (OSError, BadImageError) as error:
        return unusable_reason(error)
