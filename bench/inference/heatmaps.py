"""Which parts of an image speak for an answer, from the last feature map of a trained network.

The heatmap is gradient times activation, summed over the channels. The gradient stops at the
feature map, so it needs no backend: after the pooling there are only dense layers. With a head of
one dense layer the sum over the places of the map is exactly what the image adds to the logit, and
after average pooling the map is that of CAM and Grad-CAM.

The logit is taken relative to the mean of all classes': what is common to all changes no answer.
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
from bench.analysis.explanations import COLOURS, OPACITY, shares
from bench.analysis.format import counted, milliseconds
from bench.data.decode import Pixels
from bench.errors import UsageError
from bench.models.backends.base import Array
from bench.models.rebuild import TrainedModel
from bench.system.files import write_atomic

SMALLEST_EDGE = 320  # pixels of a picture


def heatmaps(model: TrainedModel, maps: Array, answers: Array) -> Array:
    """Return what each place of the feature maps (images x rows x columns x channels) adds to the
    logit of each image's answer."""
    pooling = model.network.pooling
    count, rows, columns, channels = maps.shape
    flat = maps.reshape(count, rows * columns, channels).astype(np.float64)  # from any precision
    if pooling == "average":
        gradient = _gradients(model.head, flat.mean(axis=1), answers)[:, None] / flat.shape[1]
    elif pooling == "max":
        strongest = np.arange(flat.shape[1])[None, :, None] == flat.argmax(axis=1)[:, None]
        gradient = _gradients(model.head, flat.max(axis=1), answers)[:, None] * strongest
    else:
        gradient = _gradients(model.head, flat.reshape(count, -1), answers).reshape(flat.shape)
    found: Array = (gradient * flat).sum(axis=2).reshape(count, rows, columns)
    return found


def _gradients(head: Any, features: Array, answers: Array) -> Array:
    """Return the gradient of each answer's logit, relative to the mean, at the pooled features."""
    weights = [[np.asarray(w) for w in layer.get_weights()] for layer in head.layers]
    *hidden, (last, _) = [pair for pair in weights if len(pair) == 2]  # dropout has none
    active = []
    for kernel, bias in hidden:
        features = np.maximum(features @ kernel + bias, 0.0)
        active.append(features > 0)
    if last.shape[1] == 1:  # one logit for the second of two classes
        gradient = np.where(answers == 1, 1.0, -1.0)[:, None] * last[:, 0]
    else:
        gradient = (last - last.mean(axis=1, keepdims=True)).T[answers]
    for (kernel, _), on in zip(reversed(hidden), reversed(active), strict=True):
        gradient = (gradient * on) @ kernel.T
    return np.asarray(gradient)


class Overlays:
    """Pictures of images under the heatmaps of their answers, written into a folder that is new or
    empty: no file of the user is replaced."""

    def __init__(self, folder: Path) -> None:
        if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
            raise UsageError(f"{folder} is there and not empty; name a new folder for heatmaps.")
        self.folder, self.files, self.seconds = folder, list[Path](), 0.0

    def write(
        self, model: TrainedModel, images: Sequence[tuple[Path, Pixels]], maps: Array, found: Array
    ) -> list[str]:
        """Write the pictures of some images for these answers; return their files."""
        begun, first = time.perf_counter(), len(self.files)
        for (path, pixels), heatmap in zip(images, heatmaps(model, maps, found), strict=True):
            buffer = io.BytesIO()
            overlay(pixels, heatmap).save(buffer, "PNG")
            (name,) = file_names([path.stem]).values()
            self.files.append(self.folder / f"{len(self.files) + 1:05d}-{name}.png")
            write_atomic(self.files[-1], buffer.getvalue())
        self.seconds += time.perf_counter() - begun
        return list(map(str, self.files[first:]))

    @property
    def summary(self) -> str:
        """Say where they are, and what they took."""
        each = milliseconds(1000 * self.seconds / max(1, len(self.files)))
        return f"{counted(len(self.files), 'heatmap')} in {self.folder}, {each} each"


def overlay(pixels: Pixels, heatmap: Array) -> Image.Image:
    """Return the image as the network saw it, under the colours of the heatmap."""
    image = Image.fromarray(pixels).convert("RGB")
    edge = max(SMALLEST_EDGE, image.width)
    image = image.resize((edge, edge), Image.Resampling.BICUBIC)
    small = Image.fromarray(shares(heatmap).astype(np.float32))
    strength = np.asarray(small.resize(image.size, Image.Resampling.BILINEAR))
    least, most = COLOURS
    colour = least + (most - least) * strength[..., None]
    mixed = np.asarray(image) * (1 - OPACITY) + colour * OPACITY
    return Image.fromarray(np.rint(mixed).astype(np.uint8))
