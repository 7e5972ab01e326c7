"""Measure one backbone with `torch_side.py` in a process of its own."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from pathlib import Path

from budget import run
from outcome import Outcome, last_line

from bench.types import Backbone

PROGRAM = Path(__file__).with_name("torch_side.py")


def measure(
    arguments: argparse.Namespace, data: Path, work: Path, backbone: Backbone, seconds: float
) -> Outcome:
    """Return the figures that it printed, or the reason for none, within the given seconds."""
    if importlib.util.find_spec("torch") is None:
        return Outcome("skipped", "torch is not installed")
    command = [
        *(sys.executable, str(PROGRAM), backbone.name, str(data)),
        *("--size", str(arguments.input_size or backbone.input_size)),
        *("--batch", str(arguments.batch_size), "--precision", arguments.precision),
        *("--forward-batch", str(arguments.forward_batch)),
    ]
    ran = run(command, seconds, os.environ, work)
    if ran.code is None:
        return Outcome("timed out", f"{seconds:.0f} s were not enough", ran.seconds)
    if ran.code:
        return Outcome("failed", last_line(ran.output), ran.seconds)
    found = json.loads(last_line(ran.output))
    if "skipped" in found:
        return Outcome("skipped", found["skipped"], ran.seconds)
    return Outcome("ok", "", ran.seconds, found["figures"], found["facts"])
