"""Measure the time of the reports of 200 trials: 20 backbones, 10 seeds, generated predictions.

    python benchmarks/report_speed.py [--rounds 3] [--classes 2] [--backbones 20] [--seeds 10]
                                      [--images 60] [--run FOLDER]

Prints the processor time and the peak memory of rendering in a process of its own, of each round
and the lowest, and the size of report.html. With as many classes as ImageNet, ten test images each:

    python benchmarks/report_speed.py --classes 1000 --images 10000 --seeds 5 --run /tmp/large

writes 32 GB of predictions first; `--run` keeps them in a folder, or renders an existing one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "helpers"), str(ROOT)]

CODE = """
import sys, time
from pathlib import Path
from bench import reports
from bench.system.memory import peak_memory
reports.render(Path(sys.argv[1]))
print(time.process_time(), peak_memory())
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--backbones", type=int, default=20, metavar="N")
    parser.add_argument("--seeds", type=int, default=10, metavar="N")
    parser.add_argument("--classes", type=int, default=2, metavar="N")
    parser.add_argument("--images", type=int, metavar="N", help="in the test set; 2 a class")
    parser.add_argument("--run", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = arguments.run or Path(place) / "r"
        if not (folder / "records.jsonl").exists():
            _make(folder, arguments)
        rounds = [_render(folder) for _ in range(arguments.rounds)]
        size = (folder / "report.html").stat().st_size
        trials = len((folder / "records.jsonl").read_bytes().splitlines())
    seconds, peaks = zip(*rounds, strict=True)
    each = ", ".join(f"{one:.2f}" for one in seconds)
    print(f"{trials} trials: least {min(seconds):.2f} s of processor time ({each})")
    print(f"peak memory: {max(peaks) / 1e9:.2f} GB")
    print(f"report.html: {size / 1e6:.2f} MB")
    return 0


def _make(folder: Path, arguments: argparse.Namespace) -> None:
    from synthetic import Net, make_run

    make_run(
        folder,
        [Net(f"net{i}", 2 + i / 10, 10 + 3 * i) for i in range(arguments.backbones)],
        seeds=range(arguments.seeds),
        classes=tuple(f"class {i}" for i in range(arguments.classes)),
        images=arguments.images or max(60, 2 * arguments.classes),
    )


def _render(folder: Path) -> tuple[float, int]:
    """Return the processor time in seconds and the peak memory in bytes of rendering."""
    command = [sys.executable, "-c", CODE, str(folder)]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, peak = shown.stdout.split()
    return float(seconds), int(peak)


if __name__ == "__main__":
    sys.exit(main())
