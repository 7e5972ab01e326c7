"""Alignment, similarity and hashes of single pictures."""

from __future__ import annotations

import imagehash
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from trees import Picture

from bench.data.audit.copies import align, similarity, warp
from bench.data.audit.hashing import EDGE, hash_images, is_blank, make_thumbnails


def small(image: Image.Image) -> NDArray[np.uint8]:
    return make_thumbnails(np.asarray(image)[None])


def test_a_register_is_found_again(picture: Picture) -> None:
    fixed = small(picture(1)).astype(np.float32)
    moving = small(picture(1).crop((0, 0, 90, 90)).resize((96, 96))).astype(np.float32)
    start = np.zeros((1, 4), np.float32)
    found = align(fixed, moving, align(fixed, moving, start, 8), 8)
    # 90 of 96 pixels make the whole: stretched by 96 / 90, so that the picture's left and upper
    # edges stay. In half edges, x -> (1 + 0.067) x + 0.067 keeps x = -1 where it is.
    assert found[0] == pytest.approx([0.067, 0.067, 0.067, 0.067], abs=0.01)


def test_a_warp_that_moves_by_one_pixel() -> None:
    column = np.zeros((1, 4, 4), np.float32)
    column[:, :, 2] = 9
    moved, inside = warp(column, np.array([[0, 0.5, 0, 0]], np.float32))  # half edge: 2 pixels
    assert moved[0, 0].tolist() == [0, 9, 0, 0]
    assert inside[0, 0].tolist() == [1, 1, 1, 0]


def test_similarity_is_one_for_copies_and_low_for_unrelated_pictures(picture: Picture) -> None:
    pictures = np.concatenate([small(picture(seed)) for seed in range(8)])
    assert similarity(pictures, pictures) == pytest.approx(1, abs=0.001)
    assert similarity(pictures[:4], pictures[4:]).max() < 0.5


def test_brightness_and_contrast_do_not_count(picture: Picture) -> None:
    before = small(picture(1))
    after = (before * 0.5 + 20).astype(np.uint8)
    assert similarity(before, after)[0] > 0.98


def test_a_shared_frame_adds_little_similarity(picture: Picture) -> None:
    framed = [picture(seed) for seed in (1, 2)]
    for image in framed:
        for box in ((0, 0, 96, 16), (0, 80, 96, 96), (0, 0, 16, 96), (80, 0, 96, 96)):
            image.paste("white", box)
    assert similarity(small(framed[0]), small(framed[1]))[0] < 0.75


def test_pictures_without_detail_have_no_similarity() -> None:
    grey = np.full((1, EDGE, EDGE), 128, np.uint8)
    assert similarity(grey, grey)[0] == 0


def test_hashes_are_those_of_imagehash(picture: Picture) -> None:
    thumbnail = small(picture(1))
    image = Image.fromarray(thumbnail[0])
    bits = np.unpackbits(hash_images(thumbnail).view(np.uint8))
    assert bits[:64].tolist() == imagehash.phash(image).hash.ravel().tolist()
    assert bits[64:].tolist() == imagehash.dhash(image).hash.ravel().tolist()


def test_pictures_without_detail_are_blank(picture: Picture) -> None:
    even = np.full((EDGE, EDGE), 128, np.uint8)
    sky = np.linspace(100, 200, EDGE).astype(np.uint8)[:, None] * np.ones(EDGE, np.uint8)
    images = np.stack([even, sky, small(picture(1))[0]])
    assert is_blank(images).tolist() == [True, True, False]
