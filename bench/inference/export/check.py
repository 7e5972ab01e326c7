"""An exported file held against the model it came from and the run's own record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.analysis.metrics.classification import answers
from bench.data import pixels
from bench.errors import BenchError
from bench.inference.export.base import Call
from bench.models.backends.base import Array, current
from bench.storage.cache import Store
from bench.storage.records import Evidence, Run

BATCH = 32
MAX_IMAGES = 1000
GENERATED = 32
TOLERANCE = 1e-3  # of a probability
UNDECIDED = 2 * TOLERANCE  # closer than that, two classes may change places, or ...
UNDECIDED_IN_HALF = 0.3  # where the record's answers were computed in half precision


@dataclass(frozen=True)
class Check:
    """What was compared, and how far it agreed."""

    images: int
    real: bool  # the run's test images, or noise where they are no longer there
    difference: float  # of a probability, at most, from the Keras model
    same_class: int  # images for which it says what the record says; 0 without real images

    def text(self) -> str:
        what = "of the run's test images" if self.real else "generated images"
        agree = f"agree within {self.difference:.1g}" if self.difference else "are equal"
        found = f"loaded again; on {self.images} {what} probabilities {agree}"
        if self.real:
            found += f", and the class is the recorded one for {self.same_class} of {self.images}"
        return found


class Reference:
    """What the model itself answers, and what the record says."""

    def __init__(self, model: Any, run: Run, evidence: Evidence, store: Store) -> None:
        self._images, self._recorded = _images(run, evidence, store)
        plain = evidence.record.trial.settings.precision == "float32"
        self._undecided = UNDECIDED if plain else UNDECIDED_IN_HALF
        forward = current().forward(model)
        self._expected = _ask(lambda batch: forward(batch)[0], self._images)

    def check(self, call: Call) -> Check:
        """Ask the exported file the same; an error where it does not agree."""
        found = _ask(call, self._images)
        if found.shape != self._expected.shape:
            raise BenchError(
                f"the exported model answers with {found.shape}, expected "
                f"{self._expected.shape}; nothing was written."
            )
        difference = float(np.abs(found - self._expected).max())
        if not difference <= TOLERANCE:
            raise BenchError(
                f"the exported model's probabilities differ by up to {difference:.2g} from the "
                f"trained one's; nothing was written."
            )
        if self._recorded is None:
            return Check(len(found), False, difference, 0)
        same = _same_class(found, self._recorded, self._undecided)
        return Check(len(found), True, difference, same)


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


def _images(run: Run, evidence: Evidence, store: Store) -> tuple[Array, Array | None]:
    size = evidence.record.trial.input_size
    entry = pixels.find(run.dataset.splits["test"], size, store)
    known = answers(evidence, "test")
    if entry is None or known is None:
        noise = np.random.default_rng(0).integers(0, 256, (GENERATED, size, size, 3))
        return noise.astype("uint8"), None
    return entry.array()[:MAX_IMAGES], known[1][:MAX_IMAGES]


def _ask(call: Call, images: Array) -> Array:
    """In batches of one shape."""
    size = min(BATCH, len(images))
    found = []
    for first in range(0, len(images), size):
        batch = np.asarray(images[first : first + size])
        filled = np.concatenate([batch, np.repeat(batch[:1], size - len(batch), axis=0)])
        # A copy: a runtime may answer into the same memory again.
        found.append(np.array(call(filled)[: len(batch)], dtype=np.float64))
    return np.concatenate(found)
