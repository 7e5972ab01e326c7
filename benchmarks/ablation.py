"""Measure the effect of each optimisation on a whole run, by switching it off alone.

    python benchmarks/ablation.py --rounds 5
    python benchmarks/ablation.py --settings resnet50 --only folding -- --dataset photos/

A pair is two runs of `run_bench.py` with the same seed, one with everything on and one with
`BACKBONE_BENCH_WITHOUT=NAME`; which of the two goes first alternates. Both start from an empty
results folder and from a copy of one cache that holds decoded images and no activations: the frozen
part is computed, trained and measured again each time. Options after `--` go to every run.

Prints for each optimisation the time without it divided by the time with it (above 1: it helps), by
wall clock and by processor time, each as the median over the pairs with the smallest and largest;
and whether accuracies are equal. `folding` changes the last digits of floating-point results, so an
accuracy may differ by a borderline image.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from ours import ROOT

from bench.storage.records import StoredRun, read_run
from bench.system.ablation import OPTIMISATIONS, VARIABLE

SETTINGS = {
    "mobilenetv2_160": ("--backbones", "mobilenetv2", "--input-size", "160"),
    "resnet50": ("--backbones", "resnet50"),
    "demo": ("--backbones", "all", "--dataset", "demo"),
}


@dataclass(frozen=True)
class Measured:
    """One whole run: wall-clock and processor seconds, and the test accuracies of its trials."""

    wall: float
    processor: float
    accuracies: tuple[float, ...]


Pairs = Mapping[str, list[tuple[Measured, Measured]]]
"""By optimisation: a run with everything on, and one without it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--settings", default=",".join(SETTINGS), metavar="NAMES")
    parser.add_argument("--only", default=",".join(OPTIMISATIONS), metavar="NAMES")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of each optimisation (5)")
    parser.add_argument("--json", type=Path, help="also write every run's figures to this file")
    parser.add_argument("options", nargs="*", help="for run_bench.py, after --")
    arguments = parser.parse_args()
    settings, names = arguments.settings.split(","), arguments.only.split(",")
    if unknown := set(settings) - set(SETTINGS) | set(names) - set(OPTIMISATIONS):
        known = ", ".join([*SETTINGS, *OPTIMISATIONS])
        parser.error(f"unknown: {', '.join(unknown)}; known are {known}")
    figures: dict[str, Pairs] = {}
    for setting in settings:
        pairs: Pairs = {name: [] for name in names}
        with tempfile.TemporaryDirectory() as folder:
            bench = _Bench([*SETTINGS[setting], *arguments.options], Path(folder))
            for number in range(arguments.rounds):
                for name in names:
                    pairs[name].append(bench.pair(name, on_first=number % 2 == 0))
                    print(f"{setting} {name:20}{_ratios(pairs[name][-1:])}", flush=True)
        _summary(setting, pairs)
        figures[setting] = pairs
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, default=asdict, indent=1))


class _Bench:
    """Makes runs of one setting, each from the same cache of decoded images."""

    def __init__(self, options: Sequence[str], folder: Path) -> None:
        self._options, self._folder, self._images = options, folder, folder / "images"
        # One run that is not counted fills the cache, and warms the disk and Python's bytecode.
        self._run("", folder / "cache")
        shutil.move(folder / "cache", self._images)
        shutil.rmtree(self._images / "entries" / "features", ignore_errors=True)

    def pair(self, name: str, *, on_first: bool) -> tuple[Measured, Measured]:
        """Return a run with everything on and one without the optimisation."""
        runs = {}
        for without in ("", name) if on_first else (name, ""):
            cache = self._folder / "cache"
            shutil.copytree(self._images, cache, copy_function=os.link)
            try:
                runs[without] = self._run(without, cache)
            finally:
                shutil.rmtree(cache)
        return runs[""], runs[name]

    def _run(self, without: str, cache: Path) -> Measured:
        results = self._folder / "results"
        command = [sys.executable, str(ROOT / "run_bench.py"), *self._options, "--quiet"]
        command += ["--cache", str(cache), "--results", str(results), "--run", "one"]
        env = {**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: without}
        begun, used = time.perf_counter(), _children_seconds()
        subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL)
        wall, processor = time.perf_counter() - begun, _children_seconds() - used
        try:
            run = read_run(results / "one")
            if failed := [r.reason for r in run.records if r.status != "ok"]:
                sys.exit(f"a trial failed: {failed[0]}")
            return Measured(wall, processor, tuple(_accuracies(run)))
        finally:
            shutil.rmtree(results)


def _children_seconds() -> float:
    """Return the processor time of all child processes that have ended and been waited for."""
    times = psutil.Process().cpu_times()
    return float(times.children_user + times.children_system)


def _accuracies(run: StoredRun) -> Iterator[float]:
    for evidence in run.evidence:
        arrays = evidence.arrays
        right = arrays["test_probabilities"].argmax(axis=1) == arrays["test_labels"]
        yield float(right.mean())


def _summary(setting: str, pairs: Pairs) -> None:
    print(f"\n{setting}: time without / time with, median of pairs (smallest to largest)")
    for name, of_name in pairs.items():
        print(f"  {name:20}{_ratios(of_name)}")
    print(flush=True)


def _ratios(pairs: Sequence[tuple[Measured, Measured]]) -> str:
    wall = sorted(off.wall / on.wall for on, off in pairs)
    processor = sorted(off.processor / on.processor for on, off in pairs)
    differences = [
        abs(a - b) for on, off in pairs for a, b in zip(on.accuracies, off.accuracies, strict=True)
    ]
    largest = max(differences)
    same = "accuracies equal" if not largest else f"accuracies differ by up to {largest:.2%}"
    return f"wall {_spread(wall)}  processor {_spread(processor)}  {same}"


def _spread(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"


if __name__ == "__main__":
    main()
