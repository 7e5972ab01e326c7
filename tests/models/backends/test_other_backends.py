"""A real backbone on the demo data, from the command to the report, without TensorFlow.

The rest of the suite does this on TensorFlow; here it is the environment that is under test.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.analysis.metrics.base import METRICS
from bench.storage.records import read_run

BACKEND = os.environ.get("KERAS_BACKEND", "tensorflow")
ROOT = Path(__file__).resolve().parents[3]

# Programs of which JAX would compile one for every shape of the initial weights.
MADE_BY_NUMPY = {"_uniform", "_normal", "_truncated_normal", "broadcast_in_dim", "multiply", "add"}
PROTOCOL = """
[head]
[[phases]]
name = "head"
epochs = 3
learning_rate = 1e-2
[[phases]]
name = "fine-tune"
epochs = 2
learning_rate = 1e-5
unfreeze = { stages = 1 }
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BACKEND == "tensorflow", reason="KERAS_BACKEND names no other backend"),
]


def test_tensorflow_is_not_installed() -> None:
    assert importlib.util.find_spec("tensorflow") is None


def _bench(folder: Path, *words: str) -> str:
    """Run a command in its own process; return its standard output."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "run_bench.py"), *words, "--results", str(folder / "results")],
        cwd=folder,
        env={**os.environ, "JAX_LOG_COMPILES": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_demo_trial(tmp_path: Path) -> None:
    (tmp_path / "short.toml").write_text(PROTOCOL)
    _bench(
        tmp_path,
        *("run", "--backbones", "mobilenetv2", "--weights", "random", "--protocol", "short.toml"),
        *("--dataset", "demo", "--limit", "40", "--input-size", "64", "--latency-seconds", "0.2"),
        *("--deterministic", "--keep-models", "best", "--run", "demo", "--cache", "cache"),
    )
    run = read_run(tmp_path / "results" / "demo")
    (evidence,) = run.evidence
    assert evidence.record.status == "ok"
    assert evidence.record.environment["keras_backend"] == BACKEND
    assert "tensorflow" not in evidence.record.environment["versions"]
    assert [phase.name for phase in evidence.record.phases] == ["head", "fine-tune"]
    assert evidence.arrays["test_probabilities"].shape == (192, 2)  # of 480, cut like train
    np.testing.assert_allclose(evidence.arrays["test_probabilities"].sum(axis=1), 1, atol=1e-6)
    assert (METRICS["latency_p50_ms"].compute(evidence) or 0) > 0
    assert (run.folder / "report.html").stat().st_size > 0
    if BACKEND == "jax":
        logs = "".join(path.read_text() for path in (run.folder / "logs").glob("*.log"))
        compiled = set(re.findall(r"Finished XLA compilation of jit\((\w+)\)", logs))
        assert "step" in compiled
        assert not compiled & MADE_BY_NUMPY

    # In the same test: another process of pytest would train again.
    Image.fromarray(np.full((64, 64, 3), 127, np.uint8)).save(tmp_path / "grey.png")
    words = ("--explain", "heatmaps", "--format", "csv")
    answers = _bench(tmp_path, "predict", "demo", "mobilenetv2", "grey.png", *words)
    assert answers.splitlines()[1].startswith(("grey.png,cat", "grey.png,dog"))
    assert len(list((tmp_path / "heatmaps").iterdir())) == 1
    assert "The same probabilities, bit for bit" in _bench(tmp_path, "verify", "demo")
