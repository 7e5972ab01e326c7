"""Cartoon cats and dogs: random traits by species, and the drawing of the animal.

The species differ mostly in shape and by degree, as in reality. Cats tend to have upright ears, a
short muzzle, whiskers and slit pupils; dogs hanging ears, a long muzzle and a big nose. But there
are dogs with upright ears and cats with folded ones. Coat, colour, pose and size carry no
information.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from bench.data.demo.pen import Colour, Pen, darken, mix

COATS: tuple[Colour, ...] = (
    (222, 150, 80),
    (120, 82, 56),
    (70, 66, 70),
    (160, 158, 160),
    (236, 214, 178),
    (246, 242, 236),
    (184, 118, 72),
    (98, 104, 120),
)
EYES: tuple[Colour, ...] = ((120, 160, 60), (200, 150, 50), (90, 60, 40), (90, 140, 190))
BLACK, WHITE, PINK = (28, 24, 26), (250, 250, 248), (226, 138, 140)


@dataclass(frozen=True)
class Traits:
    """The traits of one animal. Numbers are lengths in units of the head's radius, or 0..1."""

    coat: Colour
    second: Colour  # muzzle, belly, paws
    marking: str  # "plain", "stripes", "patches", "mask"
    iris: Colour
    ears: str  # "upright", "folded", "hanging"
    ear_length: float
    ear_width: float
    head_width: float
    muzzle_width: float
    muzzle_length: float
    nose: float
    nose_colour: Colour
    eye: float
    pupil: float  # width of the pupil: 1 round, near 0 a slit
    whiskers: float
    tongue: bool
    collar: Colour | None
    tail: float
    look: float  # direction in which the head turns, -1..1


def draw_traits(species: str, random: Random) -> Traits:
    """Return random traits of an animal: most differ on average, none identifies the species."""
    dog = species == "dogs"

    def lean(for_cats: float, for_dogs: float, spread: float) -> float:
        return max(0.02, random.gauss(for_dogs if dog else for_cats, spread))

    coat = random.choice(COATS)
    second = mix(coat, WHITE, random.choice((0.0, 0.45, 0.8)))
    upright = random.random() < (0.1 if dog else 0.93)
    return Traits(
        coat=coat,
        second=second,
        marking=random.choice(("plain", "stripes", "patches", "mask")),
        iris=random.choice(EYES),
        ears="upright"
        if upright
        else random.choice(("folded", "hanging", "hanging", "hanging") if dog else ("folded",)),
        ear_length=lean(0.9, 1.0, 0.12),
        ear_width=lean(0.52, 0.50, 0.08),
        head_width=lean(1.1, 0.92, 0.07),
        muzzle_width=lean(0.46, 0.56, 0.06),
        muzzle_length=lean(0.30, 0.54, 0.08),
        nose=lean(0.12, 0.22, 0.035),
        nose_colour=PINK if random.random() < (0.25 if dog else 0.6) else BLACK,
        eye=lean(0.23, 0.19, 0.04),
        pupil=min(1.0, lean(0.4, 0.85, 0.2)),
        whiskers=random.random() if random.random() < (0.12 if dog else 0.9) else 0.0,
        tongue=random.random() < (0.3 if dog else 0.06),
        collar=random.choice(((200, 50, 50), (50, 90, 190), (240, 190, 40)))
        if random.random() < 0.35
        else None,
        tail=lean(1.9, 1.3, 0.35),
        look=random.uniform(-1, 1),
    )


def draw_animal(pen: Pen, animal: Traits, pose: str, random: Random) -> None:
    """Draw an animal with its head at the pen's origin; `pose`: "sitting", "standing", "close"."""
    if pose == "sitting":
        _draw_sitting(pen, animal, random)
    elif pose == "standing":
        _draw_standing(pen, animal, random)
    _draw_head(pen.at(0, turn=random.gauss(0, 0.16)), animal)


def _draw_sitting(pen: Pen, a: Traits, random: Random) -> None:
    side = random.choice((-1, 1))
    tip = complex(side * (1.3 + 0.3 * random.random()), 3.0 - a.tail * random.uniform(0.2, 0.9))
    pen.stroke((side * 0.5 + 2.9j, side * 1.2 + 3.0j, tip), 0.26, a.coat)
    for s in (-1, 1):
        pen.blob(s * 0.62 + 2.75j, 0.52, 0.5, a.coat)
    pen.leaf((-0.5 + 0.5j, 0.5 + 0.5j, 0.92 + 2.1j, 0.7 + 3.1j, -0.7 + 3.1j, -0.92 + 2.1j), a.coat)
    _plain(pen).blob(1.75j, 0.48, 0.75, a.second)
    _draw_coat(pen.at(1.9j, 0.8), a, random)
    for s in (-1, 1):
        pen.stroke((s * 0.34 + 1.9j, s * 0.36 + 3.0j), 0.36, a.coat)
        pen.blob(s * 0.38 + 3.1j, 0.26, 0.17, a.second)
    if a.collar:
        pen.stroke((-0.62 + 0.82j, 0.98j, 0.62 + 0.82j), 0.16, a.collar)


def _draw_standing(pen: Pen, a: Traits, random: Random) -> None:
    lift = random.uniform(-1.0, 0.7)
    end = complex(2.9 + a.tail * 0.45, 0.5 + lift)
    pen.stroke((2.6 + 1.0j, 3.1 + 0.8j, end), 0.25, a.coat)
    for x, shade in ((0.75, 0.8), (2.45, 0.8), (0.4, 1.0), (2.15, 1.0)):
        step = random.uniform(-0.2, 0.2)
        pen.stroke((x + 1.3j, x + step + 2.4j), 0.34, darken(a.coat, shade))
        pen.blob(x + step - 0.06 + 2.5j, 0.24, 0.15, a.second)
    pen.leaf(
        (0.1 + 0.3j, 1.2 + 0.5j, 2.4 + 0.5j, 2.8 + 1.2j, 2.2 + 1.75j, 0.9 + 1.75j, 0.1 + 1.3j),
        a.coat,
    )
    _draw_coat(pen.at(1.5 + 1.05j, 0.75), a, random)
    if a.collar:
        pen.stroke((-0.2 + 0.95j, 0.35 + 0.95j, 0.72 + 0.6j), 0.16, a.collar)


def _draw_coat(pen: Pen, a: Traits, random: Random) -> None:
    """Draw stripes or patches on the body."""
    if a.marking == "stripes":
        dark = darken(a.coat, 0.62)
        for x in (-0.7, -0.25, 0.25, 0.7):
            pen.stroke((x - 0.7j, x * 1.1 - 0.1j), 0.11, dark)
    elif a.marking == "patches":
        patch = mix(a.coat, random.choice(COATS), 0.7)
        for _ in range(3):
            centre = complex(random.uniform(-0.8, 0.8), random.uniform(-0.5, 0.5))
            _plain(pen).blob(centre, random.uniform(0.2, 0.45), random.uniform(0.15, 0.35), patch)


def _draw_head(pen: Pen, a: Traits) -> None:
    shift = 0.16 * a.look  # the face moves as the head turns
    if a.ears == "upright":
        _draw_upright_ears(pen, a)
    pen.leaf(
        (
            *(-0.9j, 0.62 * a.head_width - 0.66j, a.head_width, 0.66 * a.head_width + 0.66j),
            *(0.86j, -0.66 * a.head_width + 0.66j, -a.head_width, -0.62 * a.head_width - 0.66j),
        ),
        a.coat,
    )
    _draw_face_marking(pen, a, shift)
    for s in (-1, 1):
        _draw_eye(pen.at(shift + s * 0.42 - 0.12j), a)
    _draw_muzzle(pen.at(shift * 1.7 + 0.38j), a)
    if a.ears == "folded":
        _draw_folded_ears(pen, a)
    elif a.ears == "hanging":
        _draw_hanging_ears(pen, a)


def _draw_upright_ears(pen: Pen, a: Traits) -> None:
    for s in (-1, 1):
        ear = pen.at(s * 0.58 * a.head_width - 0.55j, turn=s * 0.25)
        w, tip = a.ear_width, -1j * a.ear_length
        ear.leaf((-w + 0.1j, -0.55 * w + tip * 0.6, tip, 0.55 * w + tip * 0.6, w + 0.1j), a.coat)
        inner = mix(PINK, a.coat, 0.3)
        _plain(ear).leaf((-0.5 * w, 0.75 * tip, 0.5 * w), inner)


def _draw_folded_ears(pen: Pen, a: Traits) -> None:
    for s in (-1, 1):
        ear = pen.at(s * 0.6 * a.head_width - 0.62j)
        w, drop = s * a.ear_width, 0.5j * a.ear_length
        ear.leaf((-0.8 * w, -0.1 * w - 0.36j, 0.75 * w - 0.1j, 0.7 * w + drop), darken(a.coat, 0.8))


def _draw_hanging_ears(pen: Pen, a: Traits) -> None:
    for s in (-1, 1):
        ear = pen.at(s * 0.78 * a.head_width - 0.5j)
        w, drop = s * a.ear_width, 1.35j * a.ear_length
        ear.leaf(
            (-0.5 * w - 0.1j, 0.2 * w - 0.26j, 0.8 * w + drop * 0.4, 0.5 * w + drop, drop * 0.6),
            darken(a.coat, 0.78),
        )


def _draw_face_marking(pen: Pen, a: Traits, shift: float) -> None:
    bare = _plain(pen)
    if a.marking == "stripes":
        for x in (-0.22, 0.0, 0.22):
            bare.stroke((shift + x - 0.8j, shift + x * 0.8 - 0.45j), 0.09, darken(a.coat, 0.62))
    elif a.marking == "patches":
        bare.blob(shift + 0.42 - 0.12j, 0.34, 0.38, darken(a.coat, 0.7))
    elif a.marking == "mask":
        bare.leaf((shift - 0.7j, shift + 0.26 + 0.2j, shift + 0.5j, shift - 0.26 + 0.2j), a.second)


def _draw_eye(pen: Pen, a: Traits) -> None:
    pen.blob(0, a.eye, a.eye * 1.05, WHITE)
    bare = _plain(pen)
    gaze = 0.3 * a.eye * a.look
    bare.blob(gaze, a.eye * 0.82, a.eye * 0.9, a.iris)
    bare.blob(gaze, a.eye * 0.6 * max(0.25, a.pupil), a.eye * 0.72, BLACK)
    bare.blob(gaze - 0.3 * a.eye - 0.35j * a.eye, a.eye * 0.2, a.eye * 0.2, WHITE)


def _draw_muzzle(pen: Pen, a: Traits) -> None:
    w, h, n = a.muzzle_width, a.muzzle_length, a.nose
    if a.tongue:
        root, tip = 0.6j * h, 1j * (h + 0.2)
        pen.leaf((root - 0.14, root + 0.14, tip + 0.15, tip - 0.15), PINK)
    pen.blob(0.1j, w, h, a.second)
    top = complex(0, 0.1 - h * 0.55)
    mouth = darken(a.second, 0.4)
    bare = _plain(pen)
    bare.stroke((top + 1j * n * 0.5, top + 1j * (n * 0.5 + h * 0.55)), 0.045, mouth)
    low = top + 1j * (n * 0.5 + h * 0.55)
    for s in (-1, 1):
        bare.stroke((low, low + s * 0.4 * w + 0.1j, low + s * 0.72 * w - 0.02j), 0.045, mouth)
        for k in range(3 if a.whiskers else 0):
            start = s * w * 0.6 + 1j * (0.05 + 0.08 * k)
            end = start + s * (0.5 + 0.4 * a.whiskers) + 1j * (0.18 * (k - 1))
            bare.stroke((start, end), 0.028, mix(WHITE, BLACK, 0.2 + 0.3 * (k % 2)))
    pen.leaf((top - n - 0.4j * n, top + n - 0.4j * n, top + 0.75j * n), a.nose_colour)


def _plain(pen: Pen) -> Pen:
    """Return the pen without an outline."""
    return Pen(pen.draw, pen.origin, pen.scale, pen.turn, pen.mirrored)
