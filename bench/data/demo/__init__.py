"""A picture of the demo: a cluttered background, the animal, objects in front, a poor camera.

This module draws all that makes the task harder without information about the species.
"""

from __future__ import annotations

from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from bench.data.demo.cartoon import draw_animal, draw_traits
from bench.data.demo.pen import Colour, Pen, darken, mix

SIDE = 320  # pixels of the finished picture; it is drawn at twice that, to smooth edges


def draw_scene(species: str, random: Random) -> Image.Image:
    """Draw one picture of a cat or a dog."""
    canvas = Image.new("RGB", (2 * SIDE, 2 * SIDE))
    draw = ImageDraw.Draw(canvas)
    _draw_background(draw, random)
    pose = random.choice(("sitting", "standing", "close"))
    scale = {"sitting": 0.16, "standing": 0.15, "close": 0.27}[pose] * random.uniform(0.85, 1.3)
    pixels = 2 * SIDE * scale
    centre = complex(random.uniform(0.34, 0.66), random.uniform(0.3, 0.5)) * 2 * SIDE
    mirrored = random.random() < 0.5
    if pose == "standing":
        centre -= pixels * (-1.2 if mirrored else 1.2)
    tilt = random.gauss(0, 0.12)
    pen = Pen(draw, centre, pixels, tilt, mirrored, outline=max(2.0, pixels * 0.045))
    draw_animal(pen, draw_traits(species, random), pose, random)
    _draw_foreground(draw, random)
    return _apply_camera(canvas.reduce(2), random)


def _random_colour(random: Random) -> Colour:
    return random.randrange(40, 236), random.randrange(40, 236), random.randrange(40, 236)


def _draw_background(draw: ImageDraw.ImageDraw, random: Random) -> None:
    side = 2 * SIDE
    wall, floor = _random_colour(random), _random_colour(random)
    horizon = round(side * random.uniform(0.45, 0.8))
    bands = 8
    for k in range(bands):
        top = horizon * k // bands
        draw.rectangle((0, top, side, horizon), fill=mix(wall, (255, 255, 255), 0.4 * k / bands))
        low = horizon + (side - horizon) * k // bands
        draw.rectangle((0, low, side, side), fill=darken(floor, 1 - 0.35 * k / bands))
    for _ in range(random.randrange(3, 10)):
        _draw_object(draw, random, 0.03, 0.16)


def _draw_object(draw: ImageDraw.ImageDraw, random: Random, least: float, most: float) -> None:
    """Draw an object that resembles parts of an animal: a ball, a box, a leaf or a wave."""
    side = 2 * SIDE
    size = side * random.uniform(least, most)
    centre = complex(random.uniform(0, side), random.uniform(0, side))
    pen = Pen(draw, centre, size, random.uniform(-3, 3), outline=random.choice((0, 3)))
    fill = _random_colour(random)
    kind = random.randrange(5)
    if kind == 0:
        pen.blob(0, 1, 1, fill)
        pen.stroke(
            (-0.85 - 0.3j, -0.45 + 0.12j, 0.25j, 0.45 + 0.12j, 0.85 - 0.3j), 0.12, darken(fill, 0.7)
        )
    elif kind == 1:
        pen.shape(np.array((-1 - 0.6j, 1 - 0.6j, 1 + 0.6j, -1 + 0.6j)), fill)
    elif kind == 2:
        pen.leaf((-0.6 + 0.6j, -0.1 - 1j, 0.1 - 1j, 0.6 + 0.6j), fill)
    elif kind == 3:
        pen.leaf((-0.4 - 1j, 0.4 - 1j, 0.5 + 0.8j, 1j, -0.5 + 0.8j), fill)
    else:
        pen.stroke((-1.2, -0.75 + 0.4j, -0.3, 0.15 - 0.4j, 0.6, 1.05 + 0.4j), 0.22, fill)


def _draw_foreground(draw: ImageDraw.ImageDraw, random: Random) -> None:
    side = 2 * SIDE
    kind = random.randrange(4)
    if kind == 0:  # grass
        green = mix((70, 140, 60), _random_colour(random), 0.3)
        for _ in range(random.randrange(10, 40)):
            root = complex(random.uniform(0, side), side)
            blade = Pen(draw, root, side * random.uniform(0.1, 0.4), random.gauss(0, 0.15))
            shade = mix(green, _random_colour(random), 0.2)
            blade.shape(np.array((-0.08, 0.08, 0.06 - 0.6j, -1j)), shade)
    elif kind == 1:  # a fence
        wood, gap = _random_colour(random), side / random.randrange(4, 8)
        x = random.uniform(0, gap)
        while x < side:
            draw.rectangle((x, 0, x + gap * 0.13, side), fill=wood)
            x += gap
    for _ in range(random.randrange(0, 3)):
        _draw_object(draw, random, 0.03, 0.08)


def _apply_camera(image: Image.Image, random: Random) -> Image.Image:
    if random.random() < 0.15:
        image = image.convert("L").convert("RGB")
    image = ImageEnhance.Contrast(image).enhance(random.uniform(0.7, 1.15))
    image = ImageEnhance.Brightness(image).enhance(random.uniform(0.75, 1.2))
    if random.random() < 0.5:
        image = image.filter(ImageFilter.BoxBlur(random.uniform(0.4, 1.2)))
    strength = random.uniform(0.0, 0.12)
    # Unlike numpy's distributions, `randbytes` gives the same bytes in every version.
    grain = Image.frombytes("L", image.size, random.randbytes(SIDE * SIDE)).convert("RGB")
    return Image.blend(image, grain, strength)
