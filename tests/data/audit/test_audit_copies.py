"""The whole search from thumbnails: it finds copies, and no unrelated pictures."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from trees import Picture

from bench.data.audit.copies import (
    MARGIN,
    MIN_SIMILARITY,
    Chance,
    Copies,
    chance_threshold,
    find_near_copies,
)
from bench.data.audit.hashing import make_thumbnails

STRANGERS = 30


def encoded(image: Image.Image, quality: int) -> Image.Image:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return Image.open(data)


ALTERED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG at quality 50": lambda image: encoded(image, 50),
    "half the size": lambda image: image.resize((48, 48)),
    "twice the size": lambda image: image.resize((192, 192)),
    "5 % off every side": lambda image: ImageOps.crop(image, 5),
    "5 % off one corner": lambda image: image.crop((5, 5, 96, 96)),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.85),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.15),
    "mirrored": ImageOps.mirror,
    "grey": lambda image: image.convert("L"),
}


def search(images: list[Image.Image]) -> Copies:
    squares = [np.asarray(image.convert("RGB").resize((64, 64))) for image in images]
    small = make_thumbnails(np.stack(squares))
    return find_near_copies(small, lambda stage, done, total: None)


def pairs_of(copies: Copies) -> list[tuple[int, int]]:
    return list(zip(copies.pairs.query.tolist(), copies.pairs.target.tolist(), strict=True))


def test_all_altered_copies_and_no_unrelated_pairs_are_found(picture: Picture) -> None:
    strangers = [picture(seed) for seed in range(STRANGERS)]
    altered = [alter(picture(seed)) for seed, alter in enumerate(ALTERED.values())]
    found = search(strangers + altered)
    assert pairs_of(found) == [(n, STRANGERS + n) for n in range(len(ALTERED))]
    assert found.pairs.mirrored.tolist() == [name == "mirrored" for name in ALTERED]
    assert found.threshold == MIN_SIMILARITY


def test_a_copy_altered_in_every_way_at_once(picture: Picture) -> None:
    image = ImageOps.mirror(picture(3)).crop((4, 2, 96, 94)).convert("L").resize((60, 60))
    altered = encoded(ImageEnhance.Brightness(image).enhance(0.85), 60)
    assert pairs_of(search([picture(seed) for seed in range(8)] + [altered])) == [(3, 8)]


def on_white(image: Image.Image) -> Image.Image:
    """Return the picture small on a white page, so that unrelated pictures look similar."""
    page = Image.new("RGB", (96, 96), "white")
    page.paste(image.resize((40, 40)), (28, 28))
    return page


@pytest.mark.slow
def test_for_similar_images_the_threshold_rises_and_copies_are_still_found(
    picture: Picture,
) -> None:
    pages = [on_white(picture(seed)) for seed in range(STRANGERS)]
    found = search([*pages, encoded(pages[0], 95)])
    assert found.threshold > MIN_SIMILARITY
    assert pairs_of(found) == [(0, STRANGERS)]


def test_upside_down_copies_do_not_raise_the_threshold(picture: Picture) -> None:
    upright = [picture(seed) for seed in range(STRANGERS)]
    turned = [ImageOps.flip(image) for image in upright[:10]]
    found = search([*upright, *turned, encoded(upright[0], 80)])
    assert found.threshold == MIN_SIMILARITY
    assert found.upside_down >= 20  # both of each ten
    assert pairs_of(found) == [(0, STRANGERS + 10)]


def test_the_threshold_is_above_unrelated_pairs() -> None:
    best, low = (np.linspace(0, top, 100, dtype=np.float32) for top in (0.85, 0.425))
    none = np.zeros(100, np.intp)
    assert chance_threshold(best, none).threshold == pytest.approx(0.85 + MARGIN)
    assert chance_threshold(low, none).threshold == MIN_SIMILARITY
    # Twenty more have a twin upside down, or else a crowd of them.
    best = np.concatenate([low, np.full(20, 0.97, np.float32)])
    twins, crowds = (np.concatenate([none, np.full(20, sure)]) for sure in (1, 9))
    assert chance_threshold(best, twins) == Chance(MIN_SIMILARITY, upside_down=20)
    assert chance_threshold(best, crowds).threshold == pytest.approx(0.97 + MARGIN)


def test_one_image_or_none_has_no_copies(picture: Picture) -> None:
    assert pairs_of(search([picture(0)])) == []
    nothing = np.empty((0, 48, 48), np.uint8)
    assert pairs_of(find_near_copies(nothing, lambda stage, done, total: None)) == []
