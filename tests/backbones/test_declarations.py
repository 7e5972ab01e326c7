"""Tests of the shipped declarations that need no network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.registry import BACKBONES, load_plugins
from bench.types import Backbone

BROKEN = load_plugins(packages=["backbones"])
SHIPPED = BACKBONES.names


def test_all_are_registered() -> None:
    assert BROKEN == []
    assert len(SHIPPED) == 40 + 3  # of Keras, and EfficientNet-Lite


def test_the_default_choice_is_a_member_of_each_family_and_all_lites() -> None:
    assert sorted(name for name in SHIPPED if BACKBONES[name].in_all) == [
        "efficientnet_lite0",
        "efficientnet_lite1",
        "efficientnet_lite2",
        "efficientnetb0",
        "inceptionv3",
        "mobilenetv2",
        "resnet50",
        "vgg16",
    ]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_declaration_is_complete(name: str) -> None:
    backbone: Backbone = BACKBONES[name]

    assert backbone.minimum_size <= backbone.input_size
    assert backbone.parameters is not None
    assert backbone.layers is not None
    assert backbone.gmacs is not None
    assert backbone.preprocessed_range is not None
    assert backbone.preprocessed_range[0] < backbone.preprocessed_range[1]
    assert backbone.reference


def test_declaring_imports_no_framework() -> None:
    """`list` and the plan must start fast."""
    script = (
        "import sys; from bench.registry import load_plugins; load_plugins(packages=['backbones']);"
        "print([m for m in ('keras', 'tensorflow', 'jax', 'torch') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=True
    )

    assert done.stdout.strip() == "[]"
