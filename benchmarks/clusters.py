"""Measure the overhead of Ray and Slurm: the same runs in turns, with and without, here.

    python benchmarks/clusters.py [--rounds 5] [--backbones NAMES] [--seeds 2]

Each round is a run in processes of this machine, one on a Ray cluster of this machine and one
through submitit's `local` cluster, in changing order: all from empty caches, a job at a time, with
all cores. As nothing else differs, probabilities and trained weights must be the same, bit for bit;
if they are not, the command stops. Times run from the start of a command to the lines that report
its first and its last trial as done. Options after `--` go to every run.
"""

from __future__ import annotations

import argparse
import os
import secrets
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from ours import Timed, run_bench, write_protocol

from bench.storage.arrays import TIMING_PREFIXES, weights_path
from bench.storage.records import read_run
from bench.system.environment import available_cores

LOCAL, CLUSTERS = "local", ("ray", "slurm")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--on", default=",".join(CLUSTERS), metavar="NAMES")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backbones", default="mobilenetv2,efficientnet_lite0", metavar="NAMES")
    parser.add_argument("--seeds", type=int, default=2, help="trials of each backbone (2)")
    parser.add_argument("options", nargs="*", help="for run_bench.py, after --")
    arguments = parser.parse_args()
    names = arguments.on.split(",")
    if unknown := set(names) - set(CLUSTERS):
        parser.error(f"unknown: {', '.join(unknown)}; known are {', '.join(CLUSTERS)}")
    with tempfile.TemporaryDirectory() as place, _ray(place if "ray" in names else "") as address:
        bench = _Bench(arguments, Path(place), address)
        bench.run(LOCAL)  # not counted: reads code from the disk for the first time
        rounds = []
        for number in range(arguments.rounds):
            places = [LOCAL, *names]
            first = number % len(places)
            timed = {on: bench.run(on) for on in places[first:] + places[:first]}
            rounds.append(timed)
            said = "  ".join(f"{on} {timed[on].seconds:.2f} s" for on in places)
            print(f"round {number + 1}: {said}", flush=True)
    for on in names:
        _say(on, rounds, bench.trials)


class _Bench:
    """Makes the same run with different executors."""

    def __init__(self, arguments: argparse.Namespace, folder: Path, address: str) -> None:
        cores, site = str(available_cores()), folder / "site.toml"
        site.write_text('cluster = "local"\n')
        granted = ["--per-trial", f"cpus={cores}", "--on"]
        self._places = {
            LOCAL: [],
            "ray": [*granted, f"ray:{address}"],
            "slurm": [*granted, "slurm", "--site", str(site)],
        }
        protocol = write_protocol(folder / "short.toml", head=2, fine_tune=1)
        self._options = ["--backbones", arguments.backbones, "--seeds", str(arguments.seeds)]
        self._options += ["--dataset", "demo", "--weights", "random", "--input-size", "64"]
        self._options += ["--protocol", str(protocol), "--keep-models", "all"]
        self._options += [*arguments.options, "--threads", cores]
        self._folder, self._expected, self.trials = folder, dict[str, bytes](), 0

    def run(self, on: str) -> Timed:
        """Time one run, and compare its contents with those of the first run."""
        with tempfile.TemporaryDirectory(dir=self._folder) as place:
            places = ["--cache", f"{place}/cache", "--results", place, "--run", "r"]
            timed = run_bench([*self._options, *places, *self._places[on]])
            run = read_run(Path(place) / "r")
            found = {}
            for evidence in run.evidence:
                trial = evidence.record.trial
                for name, content in _contents(
                    evidence.arrays, weights_path(run.folder, trial.key)
                ):
                    found[f"{name} of {trial.name}, seed {trial.seed}"] = content
        self._expected, self.trials = self._expected or found, len(run.evidence)
        if found != self._expected:
            wrong = [n for n, content in self._expected.items() if found.get(n) != content]
            sys.exit(
                f"{on}: not the same as without a cluster: {', '.join(wrong) or 'more arrays'}"
            )
        return timed


def _contents(arrays: Mapping[str, np.ndarray], weights: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the contents of a run that do not depend on timing."""
    for name, array in arrays.items():
        if not name.startswith(TIMING_PREFIXES):
            yield name, array.tobytes()
    with np.load(weights) as file:
        for name in file.files:
            yield f"weights {name}", file[name].tobytes()


@contextmanager
def _ray(folder: str) -> Iterator[str]:
    """Start a Ray cluster of this machine, which ends with this process; yield its address."""
    if not folder:
        yield ""
        return
    os.environ |= {"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex()}
    os.environ["RAY_TMPDIR"] = folder
    import ray

    context = ray.init("local", num_cpus=available_cores(), include_dashboard=False)
    try:
        yield context.address_info["gcs_address"]
    finally:
        ray.shutdown()


def _say(on: str, rounds: Sequence[Mapping[str, Timed]], trials: int) -> None:
    first = [timed[on].first_seconds - timed[LOCAL].first_seconds for timed in rounds]
    whole = [timed[on].seconds - timed[LOCAL].seconds for timed in rounds]
    later = [(all_ - one) / (trials - 1) for all_, one in zip(whole, first, strict=True)]
    each = [seconds / trials for seconds in whole]
    print(f"{on}, more than {LOCAL}: {_spread(each)} for each of {trials} trials;")
    print(
        f"    {_spread(first)} once, to the end of the first, and {_spread(later)} for each other"
    )


def _spread(seconds: Sequence[float]) -> str:
    median = statistics.median(seconds)
    return f"{median:+.2f} s ({min(seconds):+.2f} to {max(seconds):+.2f})"


if __name__ == "__main__":
    main()
