"""Options and the run of the harness, shared by the benchmarks with planted faults."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.analysis.findings import Findings, analyse_run
from bench.storage.records import read_run

ROOT = Path(__file__).resolve().parent.parent


def options(
    about: str, *, share: float, of: str, input_size: int, seeds: int
) -> argparse.ArgumentParser:
    """Return a parser of the shared options; `of` names what the planted fraction is taken from."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--share", type=float, default=share, help=f"of {of} ({share:g})")
    parser.add_argument("--input-size", type=int, default=input_size)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--seed", type=int, default=0, help="of what is planted")
    return parser


def run(
    name: str,
    images: Path,
    place: Path,
    arguments: argparse.Namespace,
    asked: Mapping[str, object],
    *,
    results: Path | None = None,
) -> Findings:
    """Make one run of the harness in `place`, as a user does; `asked` are its further options."""
    results = results or place / "results"
    words = {
        "--dataset": images,
        "--input-size": arguments.input_size,
        "--seeds": arguments.seeds,
        "--latency-seconds": 0.1,
        "--keep-models": "none",
        "--cache": place / "cache",
        "--results": results,
        "--run": name,
        **asked,
    }
    given = [str(word) for pair in words.items() for word in pair]
    subprocess.run(
        [sys.executable, ROOT / "run_bench.py", "--quiet", "--fresh", *given],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return analyse_run(read_run(results / name))
