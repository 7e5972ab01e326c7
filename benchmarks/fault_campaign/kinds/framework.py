"""Faults in real processes that load a framework, train and measure; they take seconds per case."""

from __future__ import annotations

import signal
from collections.abc import Sequence

import psutil

from .. import judging
from ..case import ERROR, INTERRUPTED, OK, PARTLY, Case, kind
from ..hostile_images import plant
from ..real import RealCommand, reference, words

KILLED = -signal.SIGKILL
BUILDS = {
    "reads its input": "import sys; sys.stdin.read()",
    "leaves": "import os; os._exit(0)",
    "raises": "raise SystemExit(3)",
    "is killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "prints": "print('x' * 1000000)",
    "writes to all it has": "import os\n    [os.write(n, b'x') for n in (1, 2)]",
    "returns nothing": "return None",
}


@kind(0.25, framework=True)
def training_killed(case: Case) -> None:
    seconds, figures = reference(case)
    instant = seconds * case.rng.uniform(0, 1)
    _disturb(case, instant, workers=False)
    _whole(case, figures)


@kind(0.25, framework=True)
def training_worker_killed(case: Case) -> None:
    seconds, figures = reference(case)
    instant = seconds * case.rng.uniform(0.2, 1)
    _disturb(case, instant, workers=True)
    _whole(case, figures)


@kind(0.1, framework=True)
def training_interrupted(case: Case) -> None:
    seconds, figures = reference(case)
    instant = seconds * case.rng.uniform(0.1, 1)
    case.note(f"SIGINT after {instant:.1f} s")
    command = RealCommand(words(case))
    if command.running_after(instant):
        command.kill(signal.SIGINT)
    command.judge(case, (OK, INTERRUPTED))
    _whole(case, figures)


@kind(0.1, framework=True)
def hostile_build(case: Case) -> None:
    """Add a plugin whose network cannot be built; other backbones must be trained."""
    how = case.rng.choice(sorted(BUILDS))
    case.note(how)
    path = case.home.data / "hostile.py"
    path.write_text(
        "from bench.registry import BACKBONES\nfrom bench.types import Backbone\n"
        f"def build(input_shape, include_top=False, weights=None):\n    {BUILDS[how]}\n"
        "BACKBONES.add(Backbone('hostile', build, build, 32, ('one',)))\n"
    )
    asked = words(case, "--plugin", str(path))
    given = ["hostile,small" if word == "small,tiny" else word for word in asked]
    RealCommand(given).judge(case, (PARTLY,))


@kind(0.1, framework=True)
def damaged_keras_weights(case: Case) -> None:
    folder = case.home.data / "weights"
    folder.mkdir()
    for name in ("small", "tiny"):
        content = case.rng.choice((b"", b"\x89HDF\r\n\x1a\n" + case.rng.randbytes(2000), b"PK\3\4"))
        (folder / f"{name}.h5").write_bytes(content)
    given = words(case)
    given[given.index("--weights") + 1] = str(folder)
    RealCommand(given).judge(case, (PARTLY,))


@kind(0.1, framework=True)
def predict_hostile_images(case: Case) -> None:
    reference(case)
    case.home.restore("trained")
    folder = case.home.root / "data" / "new"
    folder.mkdir()
    for number in range(5):
        case.note(plant(folder, str(number), case.rng))
    given = ["predict", "r", "small", "data/new", "--results", "results"]
    RealCommand(given).judge(case, (OK, PARTLY, ERROR, 2))


def _disturb(case: Case, instant: float, *, workers: bool) -> None:
    command = RealCommand(words(case))
    if command.running_after(instant):
        victims = psutil.Process(command.pid).children(recursive=True) if workers else []
        if victims:
            place = case.rng.randrange(len(victims))
            case.note(f"kill worker {place} of {len(victims)} after {instant:.1f} s")
            victims[place].kill()
        elif not workers:
            case.note(f"kill after {instant:.1f} s")
            command.kill(signal.SIGKILL)
    codes: Sequence[int] = (OK, PARTLY) if workers else (OK, KILLED)
    command.judge(case, codes)


def _whole(case: Case, figures: judging.Figures) -> None:
    command = RealCommand(words(case))
    if command.judge(case, (OK,)) == OK:
        case.check_run(figures=figures)
