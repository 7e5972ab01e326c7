"""Test whether latencies measured on this machine are reliable. Run it while the machine is idle.

Times six backbones with random weights in one process, in the same rounds: with the harness's
timing, twice, and with a bare loop over the same compiled function. Then tests that the calibration
detects a busy core. Exits with 1 if any of this fails.

    python benchmarks/latency_check.py [--seconds 2]
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.analysis.statistics.timing import MAX_DRIFT, drift
from bench.execution.plan import choose_backbones
from bench.inference.measuring.hardware import Calibration
from bench.inference.measuring.timing import TimedCall, interleave
from bench.models.backends.base import current_backend
from bench.models.network import Network, build_head
from bench.protocol import Head
from bench.registry import load_plugins

MAX_DIFFERENCE = 0.05
MIN_QUERIES = 32
BARE_QUERIES = 8  # of each backbone between two rounds
CALIBRATIONS = 8
AGAIN = " again"

Times = dict[str, list[float]]
Calls = dict[str, tuple[Callable[[NDArray[np.uint8]], object], NDArray[np.uint8]]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    seconds = parser.parse_args().seconds
    load_plugins(packages=("backbones",))
    calibration = Calibration()
    calls = _calls()
    for call, image in calls.values():
        call(image)
    bare: Times = {name: [] for name in calls}

    def between() -> None:
        calibration.sample()
        _bare_loop(calls, bare)

    times = _measured(calls | {name + AGAIN: calls[name] for name in calls}, seconds, between)
    print(f"{'backbone':20} {'p50':>9} {'again':>9} {'bare loop':>10} {'again':>7} {'bare':>7}")
    failed = False
    for name in calls:
        found = times[name], times[name + AGAIN], bare[name]
        one, two, plain = (1000 * float(np.median(seconds)) for seconds in found)
        again, against = two / one - 1, (one + two) / 2 / plain - 1
        failed |= abs(again) > MAX_DIFFERENCE or abs(against) > MAX_DIFFERENCE
        print(
            f"{name:20} {one:6.2f} ms {two:6.2f} ms {plain:7.2f} ms {again:+7.1%} {against:+7.1%}"
        )
    quiet = drift(calibration.samples)
    loaded = _loaded(calibration)
    print(f"calibration: drift {quiet:.1%} while timing, {loaded:.1%} with one core loaded")
    print(f"the flag fires above {MAX_DRIFT:.0%}")
    return int(failed or quiet > MAX_DRIFT or loaded <= MAX_DRIFT)


def _calls() -> Calls:
    calls: Calls = {}
    for backbone in choose_backbones("all"):
        network = Network(backbone, backbone.input_size)
        model = network.classifier(build_head(Head(), network.features_shape, 2))
        shape = (1, backbone.input_size, backbone.input_size, 3)
        image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        calls[backbone.name] = current_backend().forward(model), image
    return calls


def _measured(calls: Calls, seconds: float, between: Callable[[], None]) -> Times:
    subjects = {
        name: TimedCall(call=call, images=image, seconds=seconds, min_queries=MIN_QUERIES)  # type: ignore[arg-type]
        for name, (call, image) in calls.items()
    }
    interleave(list(subjects.values()), between=between)
    return {name: subject.timed for name, subject in subjects.items()}


def _bare_loop(calls: Calls, found: Times) -> None:
    for name, (call, image) in calls.items():
        call(image)  # the first finds the processor's caches full of another's data
        for _ in range(BARE_QUERIES):
            start = time.perf_counter()
            call(image)
            found[name].append(time.perf_counter() - start)


def _loaded(calibration: Calibration) -> float:
    """Return the drift of calibration samples, the second half taken next to a busy process."""
    calibration.samples.clear()
    for _ in range(CALIBRATIONS):
        calibration.sample()
    busy = multiprocessing.get_context("spawn").Process(target=_spin, daemon=True)
    busy.start()
    time.sleep(1.0)
    for _ in range(CALIBRATIONS):
        calibration.sample()
    busy.terminate()
    busy.join()
    return drift(calibration.samples)


def _spin() -> None:
    while True:
        pass


if __name__ == "__main__":
    sys.exit(main())
