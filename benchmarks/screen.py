"""Measure the time that screening saves, and test whether it keeps the best backbone.

    python benchmarks/screen.py time [--backbones zoo] [--input-size 96] [--limit 300] [--seeds 3]
    python benchmarks/screen.py keeps FOLDER [--backbones NAMES] [--input-size 96,128,160]

`time` uses random weights, as it only measures time: a screening to three finalists, and then a
full run of all backbones, each from a cold cache; the ratio of the wall times should be at most a
sixth. Without pretrained weights there is no head round, so its time is not in the ratio. Start-up,
which both need for every backbone, matters more for small and few images.

`keeps` uses your photographs and pretrained weights. For each of ten splits all backbones run in
full and are then screened; no trial is trained twice. The best backbone on the test images, or one
within a point of it, should be among the finalists of every split.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from ours import ROOT

import bench
from bench.analysis.screening import load_screening, rank_correlation
from bench.registry import load_plugins

FINALISTS = "3"
WITHIN = 0.01


def measure(arguments: argparse.Namespace, work: Path) -> None:
    """Time a screening to three finalists, and a run of all backbones."""
    took = {}
    for name, words in (("screen", ["screen", "--budget", FINALISTS]), ("all", ["run"])):
        command = [sys.executable, str(ROOT / "run_bench.py"), *words]
        command += ["--backbones", arguments.backbones, "--weights", "random", "--run", name]
        command += ["--dataset", arguments.dataset, "--limit", str(arguments.limit)]
        command += ["--input-size", arguments.input_size, "--seeds", str(arguments.seeds)]
        command += ["--results", str(work / "results"), "--cache", str(work / f"cache-{name}")]
        begun = time.perf_counter()
        code = subprocess.run([*command, "--latency-seconds", "0.5"], check=False).returncode
        took[name] = time.perf_counter() - begun
        if code not in (0, 3):
            sys.exit(f"{name} ended with exit code {code}")
    ratio = took["screen"] / took["all"]
    print(f"screen {took['screen']:.0f} s, all {took['all']:.0f} s: ratio {ratio:.3f}")


def keeps(arguments: argparse.Namespace, work: Path) -> None:
    """Run and screen each split; say whether the best is among the finalists."""
    load_plugins(packages=("backbones",))
    kept, correlations = [], []
    for split in range(arguments.first, arguments.first + arguments.splits):
        choices = {
            "backbones": arguments.backbones,
            "dataset": arguments.dataset,
            "input_size": tuple(map(int, arguments.input_size.split(","))),
            "seeds": arguments.seeds,
            "split_seed": split,
            "limit": arguments.limit,
            "latency_seconds": 0.1,
            "keep_models": "none",
            "run": f"split{split}",
            "results": work / "results",
            "cache": work / "cache",
            "packages": ("backbones",),
        }
        table = bench.run(**choices, progress=False).findings.backbones
        final = dict(zip(table["label"], table["accuracy"], strict=True))
        run = bench.screen(**choices, progress=False)
        found = load_screening(run.folder)
        assert found is not None  # it was made just now
        left = found.rounds[-1].remaining
        best = max(final, key=lambda label: final[label])
        lost = final[best] - max(final[name] for name in left)
        kept.append(lost <= WITHIN)
        ranks = [rank_correlation(one, final) for one in found.rounds]
        correlations.append([np.nan if rank is None else rank for rank in ranks])
        after = [len(one.remaining) for one in found.rounds]
        chance = found.dropped_best or 0.0
        print(
            f"split {split}: best {best} {final[best]:.2%}; left of {len(final)}: {after}; lost "
            f"{100 * lost:.2f} points; chance {chance:.1%}; rank correlations "
            f"{', '.join(f'{rank:.2f}' for rank in correlations[-1])}",
            flush=True,
        )
    means = ", ".join(f"{rank:.2f}" for rank in np.nanmean(correlations, axis=0))
    print(f"kept in {sum(kept)} of {len(kept)}; mean rank correlation of each round: {means}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, work in (("time", measure), ("keeps", keeps)):
        one = commands.add_parser(name)
        one.set_defaults(work=work)
        timed = name == "time"
        if timed:
            one.add_argument("--dataset", default="demo")
        else:
            one.add_argument("dataset", metavar="FOLDER")
            one.add_argument("--splits", type=int, default=10)
            one.add_argument("--first", type=int, default=0, help="seed of the first split (0)")
        names = "zoo" if timed else "efficientnet_lite0,efficientnet_lite1,efficientnet_lite2"
        one.add_argument("--backbones", default=names)
        one.add_argument("--input-size", default="96" if timed else "96,128,160")
        one.add_argument("--limit", type=int, default=300 if timed else None)
        one.add_argument("--seeds", type=int, default=3 if timed else 1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        arguments.work(arguments, Path(folder))


if __name__ == "__main__":
    main()
