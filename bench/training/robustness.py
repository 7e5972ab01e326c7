"""Robustness: a trained model's predictions for corrupted test images, measured on request.

A corruption maps one uint8 image (size, size, 3) to another, in three strengths, the same for every
backbone and every run. Blur is relative to the image's size, so that a scene is blurred alike at
every input size; noise and JPEG are per pixel, as the network sees it. Randomness depends only on
the image's number. The set is fixed, because predictions are compared across runs: raise `VERSION`
with any change.

The models of all seeds are evaluated. Corrupted images are computed when needed; only predictions
are stored. `bench/analysis/metrics/robustness.py` derives the metrics.
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
MAX_IMAGES = 500  # of the test set: all of it would take longer than training
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
    margin = size // 4  # more than the corners need: (cos + sin - 1) / 2 of the size
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


def count_passes(test_images: int) -> int:
    """Return how many images are predicted for one trained model."""
    return min(MAX_IMAGES, test_images) * len(KINDS) * len(STRENGTHS)


@dataclass(frozen=True)
class CorruptedImages:
    """Rows of corrupted images, computed when they are taken.

    `chosen` are the indices of the images to corrupt; `on_taken` gets the number taken each time.
    """

    images: NDArray[np.uint8]
    chosen: NDArray[np.integer]
    corruption: str
    strength: int
    on_taken: Callable[[int], None] = lambda count: None

    def __len__(self) -> int:
        return len(self.chosen)

    def take(self, indices: Array) -> NDArray[np.uint8]:
        corrupt = CORRUPTIONS[self.corruption]
        corrupted = [corrupt(self.images[i], self.strength, int(i)) for i in self.chosen[indices]]
        self.on_taken(len(corrupted))
        return np.stack(corrupted)


def choose_images(labels: NDArray[np.integer], limit: int = MAX_IMAGES) -> NDArray[np.int64]:
    """Return the indices of at most `limit` images, balanced over classes and always the same."""
    shuffled = np.random.default_rng(0).permutation(len(labels))
    rank = np.zeros(len(labels), np.int64)  # of an image within its class
    for label in np.unique(labels):
        of_class = shuffled[labels[shuffled] == label]
        rank[of_class] = np.arange(len(of_class))
    # One image of each class in turn, until there are enough.
    return np.sort(np.lexsort((shuffled.argsort(), rank))[:limit])


def predict_corrupted(
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    predict: Predict,
    progress: Callable[[int, int], None],
) -> dict[str, Array]:
    """Predict corrupted test images; return the chosen images, the corruptions and the
    probabilities (corruptions x strengths x images x classes) as arrays of the record."""
    chosen = choose_images(labels)
    done, total = 0, count_passes(len(labels))

    def on_taken(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    probabilities = [
        [predict(CorruptedImages(images, chosen, name, level, on_taken)) for level in STRENGTHS]
        for name in KINDS
    ]
    return {
        "robust_images": chosen,
        "robust_corruptions": np.array(KINDS),
        # Single precision, as they are eighteen times as large as those of clean images.
        "robust_probabilities": np.array(probabilities, dtype=np.float32),
    }
