"""Heatmaps: which regions of an image support the predicted class, from the last feature map.

A heatmap is gradient times activation, summed over the channels. The gradient is taken at the
feature map and needs no automatic differentiation: after the pooling there are only dense layers.
With a head of one dense layer, the heatmap sums to exactly what the image adds to the logit; with
average pooling it is that of CAM and Grad-CAM.

The logit is taken relative to the mean of all logits, as a common offset changes no prediction.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.analysis.escape import file_names
from bench.analysis.explanations import COLOURS, OPACITY, normalise_heatmap
from bench.analysis.format import milliseconds, quantity
from bench.data.decode import Pixels
from bench.errors import UsageError
from bench.models.backends.base import Array
from bench.models.rebuild import TrainedModel
from bench.system.files import write_atomic

MIN_EDGE = 320  # pixels of an overlay


def compute_heatmaps(model: TrainedModel, maps: Array, classes: Array) -> Array:
    """Return how much each position adds to the logit of the given class: images x rows x columns.

    `maps` are the last feature maps (images x rows x columns x channels), `classes` one label per
    image.
    """
    pooling = model.network.pooling
    count, rows, columns, channels = maps.shape
    flat = maps.reshape(count, rows * columns, channels).astype(np.float64)  # from any precision
    if pooling == "average":
        gradient = _gradients(model.head, flat.mean(axis=1), classes)[:, None] / flat.shape[1]
    elif pooling == "max":
        strongest = np.arange(flat.shape[1])[None, :, None] == flat.argmax(axis=1)[:, None]
        gradient = _gradients(model.head, flat.max(axis=1), classes)[:, None] * strongest
    else:
        gradient = _gradients(model.head, flat.reshape(count, -1), classes).reshape(flat.shape)
    found: Array = (gradient * flat).sum(axis=2).reshape(count, rows, columns)
    return found


def _gradients(head: Any, features: Array, classes: Array) -> Array:
    """Return the gradient of each class's logit, relative to the mean logit, by the pooled
    features."""
    weights = [[np.asarray(w) for w in layer.get_weights()] for layer in head.layers]
    *hidden, (last, _) = [pair for pair in weights if len(pair) == 2]  # dense layers only
    active = []
    for kernel, bias in hidden:
        features = np.maximum(features @ kernel + bias, 0.0)
        active.append(features > 0)
    if last.shape[1] == 1:  # a single logit, for the second of two classes
        gradient = np.where(classes == 1, 1.0, -1.0)[:, None] * last[:, 0]
    else:
        gradient = (last - last.mean(axis=1, keepdims=True)).T[classes]
    for (kernel, _), on in zip(reversed(hidden), reversed(active), strict=True):
        gradient = (gradient * on) @ kernel.T
    return np.asarray(gradient)


class Overlays:
    """Writes images under the heatmaps of their predictions to a folder, which must be new or empty
    so that no file of the user is replaced."""

    def __init__(self, folder: Path) -> None:
        if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
            raise UsageError(f"{folder} exists and is not empty; name a new folder for heatmaps.")
        self.folder, self.files, self.seconds = folder, list[Path](), 0.0

    def write(
        self,
        model: TrainedModel,
        images: Sequence[tuple[Path, Pixels]],
        maps: Array,
        classes: Array,
    ) -> list[str]:
        """Write one overlay per image, from its feature map and class; return the file names."""
        begun, first = time.perf_counter(), len(self.files)
        found = compute_heatmaps(model, maps, classes)
        for (path, pixels), heatmap in zip(images, found, strict=True):
            buffer = io.BytesIO()
            overlay(pixels, heatmap).save(buffer, "PNG")
            (name,) = file_names([path.stem]).values()
            self.files.append(self.folder / f"{len(self.files) + 1:05d}-{name}.png")
            write_atomic(self.files[-1], buffer.getvalue())
        self.seconds += time.perf_counter() - begun
        return list(map(str, self.files[first:]))

    @property
    def summary(self) -> str:
        """Return a sentence with the number of overlays, their folder and the time per image."""
        each = milliseconds(1000 * self.seconds / max(1, len(self.files)))
        return f"{quantity(len(self.files), 'heatmap')} in {self.folder}, {each} each"


def overlay(pixels: Pixels, heatmap: Array) -> Image.Image:
    """Return the decoded image, blended with the colours of the heatmap."""
    image = Image.fromarray(pixels).convert("RGB")
    edge = max(MIN_EDGE, image.width)
    image = image.resize((edge, edge), Image.Resampling.BICUBIC)
    small = Image.fromarray(normalise_heatmap(heatmap).astype(np.float32))
    strength = np.asarray(small.resize(image.size, Image.Resampling.BILINEAR))
    least, most = COLOURS
    colour = least + (most - least) * strength[..., None]
    mixed = np.asarray(image) * (1 - OPACITY) + colour * OPACITY
    return Image.fromarray(np.rint(mixed).astype(np.uint8))
