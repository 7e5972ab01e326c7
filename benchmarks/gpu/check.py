"""Measure every backbone on this machine's GPU, with the harness on JAX and with plain PyTorch.

    benchmarks/gpu_check.sh [--minutes 8.5] [--backbones all] [--out DIR] ...

Needs no network and no TensorFlow. Each backbone has two parts in processes of their own, first the
harness, then PyTorch; each part gets a share of the time, and parts without time left are reported.
Writes gpu_check.json and gpu_check.md after every part. Results of an earlier call with the same
options in the same folder are kept and not measured again. Exits with 0 if the harness measured
every backbone, with 3 if not, and with 1 if nothing could start.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import harness_side
import pictures
import torch_process
from budget import Budget
from harness_side import ROOT
from outcome import NOT_REACHED, Outcome, Side, last_line
from tables import Check, markdown

from bench.errors import BenchError
from bench.execution.plan import choose_backbones
from bench.models.backends.base import DeviceInfo
from bench.registry import load_plugins
from bench.system.environment import describe_environment, utc_now
from bench.system.files import to_json, write_atomic
from bench.types import Backbone

Measure = Callable[[Backbone, float], Outcome]

OF_ONE_CALL = ("out", "minutes", "backbones", "no_torch")  # options that may differ on one page
REFERENCE = ROOT / "results" / "reference"
PROBE = """
import json
from bench.models.backends.base import current_backend
device = current_backend().device()
print(json.dumps([device.kind, device.name, device.framework]))
"""


def main() -> int:
    begun = time.monotonic()
    arguments = _arguments()
    load_plugins(packages=("backbones",))
    backbones = choose_backbones(arguments.backbones)
    kind, name, framework = _device()
    print(f"{framework} on a {kind} {name}".rstrip(), flush=True)
    out = arguments.out or (REFERENCE if kind == "gpu" else None)
    if out is None:
        raise BenchError(
            f"{framework} finds no GPU here, and {REFERENCE.relative_to(ROOT)} holds figures of "
            f"GPUs alone; --out DIR tries the check on this CPU."
        )
    done = Check(
        started=utc_now(),
        options={k: str(v) for k, v in vars(arguments).items() if k not in OF_ONE_CALL},
        environment=describe_environment() | {"device": vars(DeviceInfo(kind, name, 1, framework))},
    )
    done.add(out / "gpu_check.json")
    earlier = done.seconds
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        data = arguments.data.resolve() if arguments.data else work / "drawn"
        if arguments.data is None:
            wanted = pictures.counts(arguments.images, arguments.batch_size)
            pictures.draw(data, wanted)
            print(f"{sum(wanted.values()):,} images drawn", flush=True)
        sides: dict[Side, Measure] = {
            "harness": partial(harness_side.measure, arguments, data, work)
        }
        if not arguments.no_torch:
            sides["PyTorch"] = partial(torch_process.measure, arguments, data, work)
        left = 60 * arguments.minutes - (time.monotonic() - begun)
        parts = [not done.has(side, each.name) for each in backbones for side in sides]
        budget = Budget(left, sum(parts))
        for backbone in backbones:
            for side, measure in sides.items():
                if done.has(side, backbone.name):
                    continue
                outcome = _part(measure, backbone, budget.next_share())
                done.outcomes[side][backbone.name] = outcome
                done.seconds = earlier + time.monotonic() - begun
                _tell(backbone.name, side, outcome)
                _write(done, out)
    print(f"\n{markdown(done)}\nwritten to {out}")
    return 0 if all(o.status == "ok" for o in done.outcomes["harness"].values()) else 3


def _part(measure: Measure, backbone: Backbone, seconds: float | None) -> Outcome:
    """Measure one backbone on one side; an error in it does not stop the others."""
    if seconds is None:
        return NOT_REACHED
    try:
        return measure(backbone, seconds)
    except Exception as error:
        return Outcome("failed", f"{type(error).__name__}: {error}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbones", default="all", metavar="NAMES")
    parser.add_argument("--images", type=int, default=2000, metavar="N", help="to draw (2000)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="carried ones: train/CLASS/... ")
    parser.add_argument("--weights", default="auto", metavar="FROM", help="as for run_bench.py")
    parser.add_argument("--input-size", type=int, metavar="PX", help="for all (each its own)")
    parser.add_argument("--batch-size", type=int, default=256, metavar="N", help="to train (256)")
    parser.add_argument(
        "--forward-batch", type=int, default=512, metavar="N", help="PyTorch's (512)"
    )
    parser.add_argument(
        "--precision", choices=("mixed_bfloat16", "float32"), default="mixed_bfloat16"
    )
    parser.add_argument("--latency-seconds", type=float, default=4.0, metavar="S")
    parser.add_argument("--minutes", type=float, default=8.5, metavar="M", help="in total (8.5)")
    parser.add_argument("--no-torch", action="store_true", help="leave PyTorch out")
    out = os.environ.get("OUT")
    parser.add_argument("--out", type=Path, default=Path(out) if out else None, metavar="DIR")
    return parser.parse_args()


def _device() -> tuple[str, str, str]:
    """Return the backend's device, found in another process, as this one would keep the GPU."""
    asked = subprocess.run(
        [sys.executable, "-c", PROBE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode:
        raise BenchError(f"Keras does not start here: {last_line(asked.stderr)}")
    kind, name, framework = json.loads(last_line(asked.stdout))
    return kind, name, framework


def _tell(backbone: str, side: str, outcome: Outcome) -> None:
    forward = outcome.figures.get("throughput_images_per_second")
    trained = outcome.figures.get("fine_tune_images_per_second")
    parts = [f"{outcome.seconds:.0f} s", outcome.reason]
    parts += [f"forward {forward:,.0f} images/s"] if forward else []
    parts += [f"fine-tune {trained:,.0f} images/s"] if trained else []
    print(f"{backbone:20} {side:8} {outcome.status}: {', '.join(filter(None, parts))}", flush=True)


def _write(done: Check, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / "gpu_check.json", to_json(done.as_json()) + "\n")
    write_atomic(out / "gpu_check.md", markdown(done))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
