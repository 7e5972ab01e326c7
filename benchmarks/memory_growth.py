"""Test whether memory grows with the number of images, by a run with ten times as many.

    python benchmarks/memory_growth.py --images 400 --backbone mobilenetv2 --input-size 96

Draws the images itself. Prints the peak resident memory of the command and its worker together.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from ours import run_bench, write_protocol
from PIL import Image

TIMES = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--backbone", default="mobilenetv2")
    parser.add_argument("--input-size", type=int, default=96)
    arguments = parser.parse_args()
    peaks = []
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        protocol = write_protocol(work / "short.toml", 1, 1)
        for count in (arguments.images, TIMES * arguments.images):
            _draw(work / str(count), count, arguments.input_size)
            options = ["--backbones", arguments.backbone, "--weights", "random"]
            options += ["--dataset", str(work / str(count)), "--protocol", str(protocol)]
            options += ["--input-size", str(arguments.input_size), "--cache", str(work / "cache")]
            options += ["--results", str(work / "results"), "--run", str(count)]
            timing = run_bench(options, watched=True)
            peaks.append(timing.peak_mb)
            print(
                f"{count:7,} images: {timing.seconds:6.1f} s, {timing.peak_mb:7.0f} MB", flush=True
            )
    print(f"{TIMES} times the images: {peaks[1] / peaks[0]:.2f} times the memory")


def _draw(folder: Path, count: int, size: int) -> None:
    """Write images of noise in two classes; their content does not affect memory."""
    rng = np.random.default_rng(0)
    for number in range(count):
        path = folder / ("even", "odd")[number % 2] / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (size, size, 3), dtype="uint8")
        Image.fromarray(pixels).save(path)


if __name__ == "__main__":
    main()
