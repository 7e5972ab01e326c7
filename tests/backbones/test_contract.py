"""The contract of every registered backbone: it passes `check`, without weights and offline, and
the same weights and images give the same probabilities on every Keras backend.

Larger members of a family differ from the smallest only in size, width and depth; for them, only
the checks of names and counts run, on TensorFlow, as they do not depend on the backend.

`make test` names a folder in the environment variable ANSWERS: the probabilities on TensorFlow are
written to it, and those on another backend are compared with them.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from bench.execution.check import CHECKS, run_checks
from bench.execution.check.subject import Subject, to_array
from bench.models.network import initialise_head, restore, snapshot
from bench.registry import BACKBONES, load_plugins

pytestmark = pytest.mark.slow  # it loads a framework

load_plugins(packages=["backbones"])
LARGER = ("efficientnet_lite1", "efficientnet_lite2", "efficientnetb1")
ANSWERS = os.environ.get("ANSWERS", "")
BACKEND = os.environ.get("KERAS_BACKEND", "tensorflow")
TOLERANCE = 1e-4
MIN_SPREAD = 10 * TOLERANCE  # between images, so that agreement within TOLERANCE means something


@pytest.mark.parametrize("name", [b.name for b in BACKBONES if b.in_all and b.name not in LARGER])
def test_a_backbone_passes_every_check(name: str) -> None:
    subject = Subject(BACKBONES[name])

    results = list(run_checks(subject))

    assert [f"{r.check.name}: {r.text}" for r in results if r.status != "passed"] == []
    assert len(results) == len(CHECKS)
    if ANSWERS:
        _check_answers(subject, Path(ANSWERS) / f"{name}.npz")


@pytest.mark.skipif(BACKEND != "tensorflow", reason="names and counts are those on TensorFlow")
@pytest.mark.parametrize("name", LARGER)
def test_a_larger_variant_is_what_it_declares(name: str) -> None:
    upto_stages = [check.name for check in CHECKS].index("stages") + 1

    results = list(islice(run_checks(Subject(BACKBONES[name])), upto_stages))

    assert [f"{r.check.name}: {r.text}" for r in results if r.status != "passed"] == []
    assert {"build", "declaration", "stages"} <= {r.check.name for r in results}


def _check_answers(subject: Subject, path: Path) -> None:
    """Compare the probabilities of the whole deployed model with TensorFlow's."""
    network = subject.network
    initialise_head(subject.head, seed=0)
    if subject.backend.device().framework.startswith("tensorflow"):
        found = to_array(subject.classifier(subject.images))
        weights = {f"weight_{n:04}": w for n, w in enumerate(snapshot(network.base.weights))}
        np.savez(path, images=subject.images, probabilities=found, **weights)  # type: ignore[arg-type]
        return
    with np.load(path) as kept:
        np.testing.assert_array_equal(subject.images, kept["images"])
        expected = kept["probabilities"]
        restore(network.base.weights, [kept[name] for name in sorted(kept) if "weight" in name])
    found = to_array(subject.classifier(subject.images))
    assert np.ptp(expected[:, 0]) > MIN_SPREAD
    assert np.abs(found - expected).max() < TOLERANCE
