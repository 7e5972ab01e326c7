"""Augmentation: drawn by NumPy from a seed, applied to a whole batch at a time.

A flip is exact: the columns are reversed. Rotation, shift, shear and zoom are one affine map per
image, so that pixels are interpolated only once. A seed gives the same images on every backend,
cached or not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.models.backends.base import Array
from bench.protocol import Augment


@dataclass(frozen=True)
class View:
    """One deterministic transformation of every image of a split."""

    name: str
    flip: bool = False
    augment: Augment | None = None
    seed: tuple[int, ...] = ()

    def key(self) -> dict[str, object]:
        """Return the view's part of the cache address of activations."""
        if self.augment is None:
            return {"flip": self.flip}
        parameters = {**vars(self.augment), "seed": list(self.seed)}
        del parameters["views"]  # the number of views does not change any of them
        return parameters

    def apply(self, images: Array, indices: Array) -> Array:
        """Return the view of `images`; `indices` are their indices in the split."""
        if self.augment is None:
            return images[:, :, ::-1] if self.flip else images
        return _warp(images, _draw_transforms(self.augment, images.shape[1], self.seed, indices))


PLAIN = View("plain")
FLIPPED = View("flip", flip=True)


def fixed_views(augment: Augment) -> tuple[View, ...]:
    """Return the views of a phase that are the same in every epoch; none if each epoch draws its
    own."""
    if augment.continuous:
        return tuple(View(f"drawn {i}", augment=augment, seed=(i,)) for i in range(augment.views))
    return (PLAIN, FLIPPED) if augment.flip else (PLAIN,)


def describe_views(augment: Augment, *, cached: bool) -> str:
    """Describe the views of a phase with this augmentation, and whether they are cached."""
    how = "cached" if cached else "not cached"
    fixed = fixed_views(augment)
    if not fixed:
        return "drawn anew every epoch; the frozen part ran each time"
    if len(fixed) == 1:
        return f"one view, {how}"
    return f"{len(fixed)} views, {how}, drawn per image and epoch"


def _draw_transforms(augment: Augment, size: int, seed: tuple[int, ...], indices: Array) -> Array:
    """Draw a transform for each image: 8 projective coefficients, from output to input pixels."""
    # Drawn for all indices up to the largest, so that a draw does not depend on the image's batch.
    rng = np.random.default_rng([2, *seed])
    draws = rng.uniform(-1, 1, (int(indices.max()) + 1, 7))[indices]
    angle = np.deg2rad(augment.rotation) * draws[:, 0]
    shear = np.deg2rad(augment.shear) * draws[:, 1]
    zoom_x, zoom_y = 1 + augment.zoom * draws[:, 2], 1 + augment.zoom * draws[:, 3]
    if augment.flip:
        zoom_x = np.where(draws[:, 6] > 0, -zoom_x, zoom_x)
    a, b = np.cos(angle) / zoom_x, -np.sin(angle + shear) / zoom_y
    c, d = np.sin(angle) / zoom_x, np.cos(angle + shear) / zoom_y
    centre = (size - 1) / 2
    shift_x, shift_y = augment.shift * size * draws[:, 4], augment.shift * size * draws[:, 5]
    x = centre - a * centre - b * centre + shift_x
    y = centre - c * centre - d * centre + shift_y
    zero = np.zeros_like(a)
    return np.stack([a, b, x, c, d, y, zero, zero], axis=1).astype("float32")


def _warp(images: Array, transforms: Array) -> Array:
    from keras import ops

    warped = ops.image.affine_transform(
        images.astype("float32"), transforms, interpolation="bilinear", fill_mode="nearest"
    )
    rounded: Array = np.rint(np.clip(ops.convert_to_numpy(warped), 0, 255)).astype("uint8")
    return rounded
