"""Classes and confidences for new images, in the order given, by a trained model or by several,
whose probabilities are averaged.

Images are decoded as the training images were, in threads, ahead of the network: while Keras loads,
and while a batch is computed. An image that cannot be read is an answer with a reason.
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

from bench.analysis.pooled import mean, pooled
from bench.data.decode import BadImageError, Pixels, decode, decode_in_threads, unusable_reason
from bench.data.sources.folder import filter_images, read_file, to_printable, walk_files
from bench.errors import NotRankedError, UsageError
from bench.inference.heatmaps import Overlays
from bench.models.backends.base import Array, Forward, current
from bench.models.rebuild import find_record, load_trained
from bench.storage.arrays import sort_best_first
from bench.storage.records import StoredRun
from bench.training.losses import probabilities
from bench.types import Record

BATCH = 32
AHEAD = 8 * BATCH  # images decoded before they are used: bounds memory
Decoded = tuple[Path, Mapping[int, Pixels] | str]
"""An image with its pixels at each size, or with the reason why it has none."""
Member = tuple[int, Forward]
"""A model from uint8 pixels to logits, after the size of its images."""
Draw = Callable[[Sequence[tuple[Path, Pixels]], Array, Array], list[str]]
"""Draws images under the heatmaps of their answers, from feature maps; returns the files."""


@dataclass(frozen=True)
class Prediction:
    """The model's prediction for one image, or why there is none."""

    image: str
    probabilities: tuple[float, ...] = ()
    reason: str = ""
    heatmap: str = ""  # the file of its picture, where one was asked for

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
    """A run's trained model that answers, or several, and how their confidence is calibrated."""

    run: StoredRun
    members: tuple[Record, ...]
    temperature: float | None  # None: the confidence is what the network gave, not calibrated
    not_calibrated: str = ""  # why

    @property
    def classes(self) -> tuple[str, ...]:
        return self.run.dataset.classes

    @property
    def name(self) -> str:
        return "+".join(record.trial.name for record in self.members)


def best_record(run: StoredRun) -> Record:
    """Return the best seed of the backbone that the run recommends."""
    from bench.analysis.choice import Limits, choose
    from bench.analysis.findings import find

    choice = choose(find(run), Limits())
    if choice.pick is None:
        raise NotRankedError(
            f"run {run.name} ranks no backbone; name one to predict with "
            f"({', '.join(sorted({r.trial.name for r in sort_best_first(run.records)}))})."
        )
    return find_record(run, choice.pick.backbone)


def model_of(run: StoredRun, *members: Record) -> PredictingModel:
    """Return the trained model of a record, or the ensemble of several; nothing is loaded yet."""
    from bench.analysis.metrics.calibration import temperature

    fitted = temperature(pooled(run, members))
    return PredictingModel(run, members, fitted.value, fitted.reason)


def predict(
    model: PredictingModel, paths: Sequence[Path], overlays: Overlays | None = None
) -> Iterator[Prediction]:
    """Answer for every image, batch by batch, through the Keras backend that the model was trained
    on unless the user names another; with `overlays`, draw what in the image speaks for the
    answer."""
    if overlays is not None and len(model.members) > 1:
        raise UsageError(f"heatmaps are of one model; {model.name} is {len(model.members)}.")
    draw = None
    sizes = {record.trial.input_size for record in model.members}
    with decoded_ahead(paths, *sizes) as images:
        members = []
        for record in model.members:
            trained = load_trained(model.run, record)
            backend = current()
            whole = trained.logits(fold=True, maps=overlays is not None)
            members.append((record.trial.input_size, backend.forward(whole)))
            draw = None if overlays is None else partial(overlays.write, trained)
        yield from predictions(images, len(paths), members, model.temperature, draw)


def find_images(paths: Iterable[Path], ignored: Counter[str] | None = None) -> list[Path]:
    """Return the files that are named; of a folder, all below it with an image's suffix, while
    others are counted in `ignored`."""
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


def decoded_ahead(paths: Sequence[Path], *sizes: int) -> AbstractContextManager[Iterator[Decoded]]:
    """Decode images in threads, in order, ahead of their use."""
    return decode_in_threads(lambda path: (path, _pixels(path, sizes)), paths, AHEAD)


def predictions(
    images: Iterable[Decoded],
    count: int,
    members: Sequence[Member],
    temperature: float | None = None,
    draw: Draw | None = None,
) -> Iterator[Prediction]:
    """Query the models batch by batch; all have one shape, so that each is compiled once. With
    `draw`, there is one, which also returns its last feature maps."""
    from bench.analysis.metrics.calibration import apply_temperature

    size, waiting = min(BATCH, count), iter(images)
    while batch := list(islice(waiting, size)):
        rows: Iterator[tuple[list[float], str]] = iter(())
        if good := [(path, pixels) for path, pixels in batch if not isinstance(pixels, str)]:
            filled = good + good[:1] * (size - len(good))
            outputs = [
                logits(np.stack([pixels[edge] for _, pixels in filled])) for edge, logits in members
            ]
            found = mean([probabilities(output[0]) for output in outputs])[: len(good)]
            pictures = [""] * len(good)
            if draw is not None:
                seen = [(path, pixels[members[0][0]]) for path, pixels in good]
                pictures = draw(seen, outputs[0][1][: len(good)], found.argmax(axis=1))
            shares = found if temperature is None else apply_temperature(found, temperature)
            rows = zip(shares.tolist(), pictures, strict=True)
        for path, pixels in batch:
            if isinstance(pixels, str):
                yield Prediction(to_printable(str(path)), reason=pixels)
            else:
                share, picture = next(rows)
                yield Prediction(to_printable(str(path)), tuple(share), heatmap=picture)


def _pixels(path: Path, sizes: Sequence[int]) -> Mapping[int, Pixels] | str:
    try:
        return decode(read_file(path), sizes)
    except (OSError, BadImageError) as error:
        return unusable_reason(error)
