"""Corruptions: their declared effect, determinism, and increasing strength."""

from __future__ import annotations

import numpy as np
import pytest

from bench.training.robustness import CORRUPTIONS, KINDS, STRENGTHS, Pixels


def photograph(size: int = 64) -> Pixels:
    """Return an image with soft shapes and an edge, which every corruption changes."""
    across = np.linspace(0, 3 * np.pi, size)
    waves = 110 + 60 * np.sin(across)[:, None] * np.cos(across)[None, :]
    image = np.stack([waves, waves[::-1], waves.T], axis=-1)
    image[:, size // 2 :] *= 0.5
    return image.astype(np.uint8)


def distance(one: Pixels, other: Pixels) -> float:
    return float(np.abs(one.astype(float) - other).mean())


def test_kinds_lists_all_corruptions() -> None:
    assert tuple(CORRUPTIONS) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_corruptions_grow_with_strength_and_are_deterministic(kind: str) -> None:
    image = photograph()
    before = image.copy()
    changed = [CORRUPTIONS[kind](image, strength, 4) for strength in STRENGTHS]
    for one in changed:
        assert one.shape == image.shape
        assert one.dtype == np.uint8
    far = [distance(image, one) for one in changed]
    assert 0 < far[0] < far[1] < far[2]
    for strength, one in zip(STRENGTHS, changed, strict=True):
        np.testing.assert_array_equal(CORRUPTIONS[kind](image, strength, 4), one)
    np.testing.assert_array_equal(image, before)


def test_brightness_adds_and_does_not_wrap_around() -> None:
    image = np.full((8, 8, 3), (0, 100, 250), np.uint8)
    brighter = CORRUPTIONS["brightness"](image, 2, 0)
    assert brighter[0, 0].tolist() == [76, 176, 255]  # 30% of 255 is 76.5, to even


def test_contrast_shrinks_around_the_mean() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[:4] = 200
    assert set(CORRUPTIONS["contrast"](image, 1, 0).ravel().tolist()) == {50, 150}


def test_noise_has_its_declared_deviation_and_differs_between_images() -> None:
    grey = np.full((128, 128, 3), 128, np.uint8)
    noisy = CORRUPTIONS["noise"](grey, 1, 0).astype(float)
    assert noisy.mean() == pytest.approx(128, abs=0.5)
    assert noisy.std() == pytest.approx(0.06 * 255, rel=0.03)
    assert distance(CORRUPTIONS["noise"](grey, 1, 0), CORRUPTIONS["noise"](grey, 1, 1)) > 10


def test_rotation_alternates_and_leaves_no_black_corner() -> None:
    white = np.full((40, 40, 3), 255, np.uint8)
    for strength in STRENGTHS:
        assert CORRUPTIONS["rotation"](white, strength, 0).min() == 255
    dot = np.zeros((41, 41, 3), np.uint8)
    dot[20, 34] = 255  # 14 to the right of the middle; 40 degrees left of it is 11 over, 9 up
    left = np.unravel_index(CORRUPTIONS["rotation"](dot, 3, 0)[..., 0].argmax(), (41, 41))
    right = np.unravel_index(CORRUPTIONS["rotation"](dot, 3, 1)[..., 0].argmax(), (41, 41))
    np.testing.assert_array_equal(left, (11, 31))
    np.testing.assert_array_equal(right, (29, 31))


def test_blur_scales_with_the_image_size() -> None:
    small, large = photograph(64), photograph(256)
    edges = [
        np.abs(np.diff(CORRUPTIONS["blur"](image, 3, 0)[:, :, 0].astype(float))).max() * len(image)
        for image in (small, large)
    ]
    assert edges[0] == pytest.approx(edges[1], rel=0.25)
