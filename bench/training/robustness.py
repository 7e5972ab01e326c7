"""Accuracy on worse photographs: the trained model's answers to corrupted test images, on request.

Each corruption takes one uint8 image (size, size, 3) and gives one back, in three strengths, the
same for every backbone and every run. Blur is relative to the image's size, so that the same scene
is blurred alike at every input size; noise and JPEG are per pixel, as the network sees it. What is
random depends on the image's number alone. The set is fixed: raise `VERSION` with any change,
because answers are compared across runs.

Each seed trained a network of its own, so each is evaluated. Nothing is kept on disk but the
answers: corrupted pixels are made as they are needed. What is derived from the answers is in
`bench/analysis/metrics/robustness.py`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

if TYPE_CHECKING:
    from bench.training.rows import Rows

VERSION = 1
STRENGTHS = (1, 2, 3)
MAX_IMAGES = 500  # of the test split: all of it would take longer than the training
Array = NDArray[np.generic]
Pixels = NDArray[np.uint8]
Predict = Callable[["Rows"], NDArray[np.floating]]
"""From rows of pixels to class probabilities."""


def blur(image: Pixels, strength: int, number: int) -> Pixels:
    """Blur, as out of focus: a Gaussian of 0.5, 1 or 2% of the image's width."""
    radius = len(image) * (0.005, 0.01, 0.02)[strength - 1]
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def noise(image: Pixels, strength: int, number: int) -> Pixels:
    """Add noise, as in poor light: Gaussian, 6, 12 or 24% of the range, on each channel."""
    spread = 255 * (0.06, 0.12, 0.24)[strength - 1]
    drawn = np.random.default_rng([VERSION, strength, number])
    noisy = image + spread * drawn.standard_normal(image.shape, dtype=np.float32)
    return _to_pixels(noisy)


def jpeg(image: Pixels, strength: int, number: int) -> Pixels:
    """Compress: JPEG quality 30, 15 or 7."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=(30, 15, 7)[strength - 1])
    with Image.open(buffer) as stored:
        return np.asarray(stored.convert("RGB"))


def brightness(image: Pixels, strength: int, number: int) -> Pixels:
    """Brighten, as overexposed: by 15, 30 or 45% of the range."""
    return _to_pixels(image + np.float32(255 * (0.15, 0.3, 0.45)[strength - 1]))


def contrast(image: Pixels, strength: int, number: int) -> Pixels:
    """Reduce the contrast, as in fog: to 50, 30 or 15%, around the mean grey."""
    faded = ImageEnhance.Contrast(Image.fromarray(image))
    return np.asarray(faded.enhance((0.5, 0.3, 0.15)[strength - 1]))


def rotation(image: Pixels, strength: int, number: int) -> Pixels:
    """Rotate by 10, 20 or 40 degrees, even images to the left and odd ones to the right.

    The corners are filled by reflection: black ones would be another corruption.
    """
    angle = (10, 20, 40)[strength - 1] * (1 if number % 2 == 0 else -1)
    size = len(image)
    margin = size // 4  # the corners reach beyond it by less: (cos + sin - 1) / 2 of the size
    wide = Image.fromarray(np.pad(image, ((margin, margin), (margin, margin), (0, 0)), "reflect"))
    turned = wide.rotate(angle, Image.Resampling.BILINEAR)
    return np.asarray(turned)[margin : margin + size, margin : margin + size]


CORRUPTIONS: Mapping[str, Callable[[Pixels, int, int], Pixels]] = {
    corruption.__name__: corruption
    for corruption in (blur, noise, jpeg, brightness, contrast, rotation)
}
KINDS = tuple(CORRUPTIONS)


def _to_pixels(values: NDArray[np.floating]) -> Pixels:
    pixels: Pixels = np.rint(values.clip(0, 255)).astype(np.uint8)
    return pixels


def passes(test_images: int) -> int:
    """Return how many forward passes, of one image each, one trained model takes."""
    return min(MAX_IMAGES, test_images) * len(KINDS) * len(STRENGTHS)


@dataclass(frozen=True)
class Corrupted:
    """Some of the images, each corrupted as it is taken; `places` are theirs in the split."""

    images: NDArray[np.uint8]
    places: NDArray[np.integer]
    corruption: str
    strength: int
    taken: Callable[[int], None] = lambda count: None

    def __len__(self) -> int:
        return len(self.places)

    def take(self, indices: Array) -> NDArray[np.uint8]:
        corrupt = CORRUPTIONS[self.corruption]
        found = [corrupt(self.images[p], self.strength, int(p)) for p in self.places[indices]]
        self.taken(len(found))
        return np.stack(found)


def chosen(labels: NDArray[np.integer], most: int = MAX_IMAGES) -> NDArray[np.int64]:
    """Return at most `most` test images, balanced over the classes; always the same ones."""
    drawn = np.random.default_rng(0).permutation(len(labels))
    turn = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        of_class = drawn[labels[drawn] == label]
        turn[of_class] = np.arange(len(of_class))
    # One of each class in turn, until there are enough.
    return np.sort(np.lexsort((drawn.argsort(), turn))[:most])


def measure(
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    predict: Predict,
    progress: Callable[[int, int], None],
) -> dict[str, Array]:
    """Return the arrays of the record: which images, which corruptions, and the probabilities.

    `robust_probabilities` is corruptions x strengths x images x classes.
    """
    places = chosen(labels)
    done, total = 0, passes(len(labels))

    def taken(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    answers = [
        [predict(Corrupted(images, places, name, strength, taken)) for strength in STRENGTHS]
        for name in KINDS
    ]
    return {
        "robust_images": places,
        "robust_corruptions": np.array(KINDS),
        # Single precision: there are eighteen times as many as of clean images.
        "robust_probabilities": np.array(answers, dtype=np.float32),
    }
