"""Compare every registered network with its declaration, and optionally check and time it.

    python benchmarks/zoo.py                 # builds each, compares it, finds its stages
    python benchmarks/zoo.py NAMES --check   # also runs every check, with random weights
    python benchmarks/zoo.py --times         # also times it; run this on an idle machine

NAMES are as for `run --backbones`, by default `zoo`. Each network has a process of its own. The
table is printed, or with `--page docs/zoo.md` replaces that of the page. Exits with 1 if a figure
differs from its declaration, a check fails, or Keras' own loader requests another file than
`weights="imagenet"` means.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.errors import BenchError, UsageError
from bench.execution.plan import choose_backbones
from bench.registry import BACKBONES, load_plugins
from bench.types import Backbone

SECONDS = 3.0  # of each timing, at the least
QUERIES = 11  # of one image, at the least: their median is then known to be within their range
BEGIN, END = "<!-- table: benchmarks/zoo.py -->", "<!-- end of table -->"
COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "backbone": lambda row: str(row["name"]),
    "px": lambda row: str(row["px"]),
    "parameters (M)": lambda row: f"{row['parameters'] / 1e6:.3g}",
    "GMACs": lambda row: f"{row['gmacs']:.3g}",
    "stages": lambda row: str(len(row["stages"])),
}
TIMES: dict[str, Callable[[dict[str, Any]], str]] = {
    "frozen pass, images/s": lambda row: _rounded(row["images_per_second"]),
    "one image, ms": lambda row: _rounded(row["latency_ms"]),
}


def main() -> int:
    """Examine each network, print a line for each, and the table at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="?", default="zoo")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--times", action="store_true")
    parser.add_argument("--page", type=Path, metavar="FILE", help="a page whose table to replace")
    parser.add_argument("--one", metavar="NAME", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    load_plugins(packages=["backbones"])
    if arguments.one:
        print(json.dumps(_look(BACKBONES[arguments.one], arguments)))
        return 0
    rows, failed = [], 0
    for backbone in sorted(choose_backbones(arguments.names), key=lambda one: one.name):
        row = _in_a_process(backbone.name, arguments)
        faults = row.get("faults", [])
        failed += bool(faults)
        print(f"{backbone.name}: {'; '.join(faults) or 'as declared'}", file=sys.stderr, flush=True)
        if "stages" in row:
            print(f"    {', '.join(row['stages'])}", file=sys.stderr, flush=True)
            rows.append(row)
    table = _table(rows, COLUMNS | (TIMES if arguments.times else {}))
    if arguments.page:
        before, _, rest = arguments.page.read_text(encoding="utf-8").partition(BEGIN)
        _, end, after = rest.partition(END)
        if not end:
            raise UsageError(f"{arguments.page} has no lines {BEGIN!r} and {END!r}.")
        text = f"{before}{BEGIN}\n{table}\n{END}{after}"
        arguments.page.write_text(text, encoding="utf-8")
    else:
        print(table)
    return int(failed > 0)


def _in_a_process(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    options = [f"--{one}" for one in ("check", "times") if getattr(arguments, one)]
    done = subprocess.run(
        [sys.executable, __file__, "--one", name, *options],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"faults": [f"its process ended with {done.returncode}: {last}"]}
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def _look(backbone: Backbone, arguments: argparse.Namespace) -> dict[str, Any]:
    """Build one network; return its figures, and the differences from its declaration."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from bench.execution.check import run_checks
    from bench.execution.check.network import check_declaration
    from bench.execution.check.stages import check_stages
    from bench.execution.check.subject import Subject
    from bench.models.cuts import find_stages, operation_labels
    from bench.models.network import Network, count_macs

    faults = []
    if backbone.weights == "imagenet":
        faults += _wrong_file(backbone)
    subject = Subject(backbone)
    if arguments.check:
        results = list(run_checks(subject))
        faults += [f"{r.check.name}: {r.text}" for r in results if r.status != "passed"]
    else:
        for check in (check_declaration, check_stages):
            try:
                check(subject)
            except BenchError as error:
                faults.append(str(error))
    built = subject.declared_size_model
    called = operation_labels(built)
    row = {
        "name": backbone.name,
        "px": backbone.input_size,
        "parameters": built.count_params(),
        "gmacs": count_macs(built) / 1e9,
        "stages": [called[end] for end in find_stages(built)],
        "faults": faults,
    }
    if arguments.times:
        row |= _times(Network(backbone, backbone.input_size))
    return row


def _wrong_file(backbone: Backbone) -> list[str]:
    """Compare the published file with what Keras' own loader would download."""
    from keras.src.utils import file_utils

    from bench.models.published import files_for
    from bench.registry import resolve

    class AskedError(Exception):
        pass

    def ask(name: str, address: str, file_hash: str | None = None, **options: Any) -> None:
        raise AskedError(name, address, file_hash)

    file_utils.get_file = ask
    shape = (backbone.input_size, backbone.input_size, 3)
    file = files_for(backbone, backbone.input_size)[0]
    ours = (file.filename, file.url, file.checksum)
    try:
        resolve(backbone.build)(input_shape=shape, include_top=False, weights="imagenet")
    except AskedError as asked:
        return [] if asked.args == ours else [f"Keras loads {asked.args}, not {ours}"]
    return ["Keras asks for no file"]


def _times(network: Any) -> dict[str, float]:
    """Time the frozen pass over batches, and the whole model on one image, both compiled."""
    import numpy as np

    from bench.models.backends.base import current_backend
    from bench.models.cuts import FEATURES, PIXELS
    from bench.models.network import build_head
    from bench.protocol import Head
    from bench.training.prepared import FORWARD_BATCH, ForwardPassCache

    size = network.input_size
    shape = (FORWARD_BATCH, size, size, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype="uint8")
    frozen = ForwardPassCache(network, current_backend()).get(PIXELS, [FEATURES])
    head = build_head(Head(output="softmax"), network.features_shape, 2)
    whole = current_backend().forward(network.classifier(head))
    return {
        "images_per_second": FORWARD_BATCH / _median(lambda: frozen(pixels), 1),
        "latency_ms": 1e3 * _median(lambda: whole(pixels[:1]), QUERIES),
    }


def _median(call: Callable[[], Any], least: int) -> float:
    call()  # compiles
    seconds: list[float] = []
    while len(seconds) < least or sum(seconds) < SECONDS:
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _rounded(value: float) -> str:
    """Return three significant digits, never as a power of ten."""
    return f"{float(f'{value:.3g}'):,.10g}"


def _table(rows: list[dict[str, Any]], columns: dict[str, Callable[[dict[str, Any]], str]]) -> str:
    lines = [" | ".join(columns), " | ".join(["---", *["---:"] * (len(columns) - 1)])]
    lines += [" | ".join(cell(row) for cell in columns.values()) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
