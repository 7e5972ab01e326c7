"""Measure the effect of a planted leak on the accuracy, and whether the report corrects for it.

    python benchmarks/planted_leak.py FOLDER [--share 0.2] [--backbone efficientnet_lite0]

FOLDER has train/ and validation/ with a folder per class; validation/ is the test set. Three runs
on the same test images: as they are; with re-encoded copies of a fraction of the test images added
to train; and the latter with --on-leak drop. Images are small, so that there are mistakes, and the
head is trained for long, so that it memorises its images. The four accuracies are those of the
reports.
"""

from __future__ import annotations

import argparse
import io
import random
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from planted import options, run

from bench.analysis.findings import Findings
from bench.analysis.leaks import LeakEstimate, estimate_accuracy, leak_effects

PROTOCOL = """
summary = "a head trained until it knows its images by heart"

[head]
pooling = "average"
output = "auto"

[[phases]]
name = "head"
epochs = 100
optimizer = "adam"
learning_rate = 3e-3
unfreeze = "none"
"""


def plant(folder: Path, target: Path, share: float, seed: int) -> int:
    """Copy the folder and add copies of a fraction of its test images to train; return how many."""
    for split in ("train", "validation"):
        shutil.copytree(folder / split, target / split)
    images = sorted(path for path in (folder / "validation").rglob("*") if path.is_file())
    rng = random.Random(seed)
    chosen = rng.sample(images, round(share * len(images)))
    for number, path in enumerate(chosen):
        data = io.BytesIO()
        with Image.open(path) as image:
            image.convert("RGB").save(data, "JPEG", quality=rng.randint(50, 95))
        place = target / "train" / path.parent.name / f"planted-{number:04d}.jpg"
        place.write_bytes(data.getvalue())
    return len(chosen)


def train(images: Path, name: str, place: Path, arguments: argparse.Namespace) -> Findings:
    """Make one run with a head that memorises its images."""
    asked = {
        "--backbones": arguments.backbone,
        "--protocol": place / "by-heart.toml",
        "--on-leak": "drop" if name == "dropped" else "warn",
    }
    return run(name, images, place, arguments, asked)


def say(what: str, found: LeakEstimate | None) -> None:
    if found is None:
        raise SystemExit(f"{what}: no figure; did training fail, or are there no weights?")
    print(
        f"{what:40} {found.accuracy:6.1%}  95% interval {found.low:.1%} to {found.high:.1%}"
        f"  ({found.images} images)"
    )


def estimated(findings: Findings, images: Sequence[int] | None = None) -> LeakEstimate:
    (predictions,) = findings.predictions.values()
    return estimate_accuracy(predictions, None if images is None else np.array(images))


def main() -> None:
    about = __doc__.split("\n")[0]
    parser = options(about, share=0.2, of="the test images", input_size=32, seeds=5)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        (place / "by-heart.toml").write_text(PROTOCOL)
        planted = plant(arguments.folder, place / "leaky", arguments.share, arguments.seed)
        honest = train(arguments.folder, "honest", place, arguments)
        leaky = train(place / "leaky", "leaky", place, arguments)
        dropped = train(place / "leaky", "dropped", place, arguments)
        ids = leaky.run.dataset.splits["test"].ids
        (leak,) = leak_effects(leaky.audit, ids, leaky.predictions)
        assert leaky.audit is not None
        print(f"{planted} copies planted, {len(leaky.audit.leaked)} test images named as leaked")
        clean = [n for n, id in enumerate(ids) if id not in leaky.audit.leaked]
        say("honest", estimated(honest))
        say("honest, on the images that stay clean", estimated(honest, clean))
        say("with the leak, as reported", leak.every)
        say("with the leak, without leaked images", leak.clean)
        say("with --on-leak drop", estimated(dropped))


if __name__ == "__main__":
    main()
