"""How long the reports of 200 trials take: 20 backbones, 10 seeds, made-up answers.

    python benchmarks/report_speed.py [--rounds 3] [--classes 2] [--backbones 20] [--seeds 10]

Prints the processor time of rendering in a process of its own, each round's and the least, and the
size of report.html.
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
reports.render(Path(sys.argv[1]))
print(time.process_time())
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--backbones", type=int, default=20, metavar="N")
    parser.add_argument("--seeds", type=int, default=10, metavar="N")
    parser.add_argument("--classes", type=int, default=2, metavar="N")
    arguments = parser.parse_args()
    from synthetic import Net, make_run  # type: ignore[import-not-found]

    nets = [Net(f"net{i}", 2 + i / 10, 10 + 3 * i) for i in range(arguments.backbones)]
    classes = tuple(f"class {i}" for i in range(arguments.classes))
    images = max(60, 2 * arguments.classes)
    with tempfile.TemporaryDirectory() as place:
        folder = make_run(
            Path(place) / "r",
            nets,
            seeds=range(arguments.seeds),
            classes=classes,
            images=images,
        )
        seconds = []
        for _ in range(arguments.rounds):
            shown = subprocess.run(
                [sys.executable, "-c", CODE, str(folder)],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            )
            seconds.append(float(shown.stdout))
        size = (folder / "report.html").stat().st_size
    each = ", ".join(f"{one:.2f}" for one in seconds)
    trials = arguments.backbones * arguments.seeds
    print(f"{trials} trials: least {min(seconds):.2f} s of processor time ({each})")
    print(f"report.html: {size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
