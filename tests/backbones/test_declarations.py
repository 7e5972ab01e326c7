"""What can be said of the shipped declarations without building a network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.registry import BACKBONES, load_plugins
from bench.types import Backbone, PackagedWeights

BROKEN = load_plugins(packages=["backbones"])
SHIPPED = [
    *(f"efficientnet_lite{number}" for number in range(3)),
    *(f"efficientnetb{number}" for number in range(8)),
    "inceptionv3",
    "mobilenetv2",
    "resnet50",
    "vgg16",
]


def test_all_are_registered() -> None:
    assert BROKEN == []
    assert set(SHIPPED) <= set(BACKBONES.names)


def test_the_default_choice_is_a_member_of_each_family_and_all_lites() -> None:
    assert [name for name in SHIPPED if BACKBONES[name].in_all] == [
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

    assert len(backbone.stages) >= 3
    assert len(set(backbone.stages)) == len(backbone.stages)
    assert backbone.minimum_size <= backbone.input_size
    assert backbone.parameters is not None
    assert backbone.layers is not None
    assert backbone.gmacs is not None
    assert backbone.preprocessed_range is not None
    assert backbone.preprocessed_range[0] < backbone.preprocessed_range[1]
    assert backbone.reference


@pytest.mark.parametrize("name", SHIPPED)
def test_weights_are_published_with_something_to_check_them_by(name: str) -> None:
    backbone: Backbone = BACKBONES[name]

    if isinstance(backbone.weights, PackagedWeights):
        return
    assert backbone.weights
    for file in backbone.weights:
        assert file.url.startswith("https://storage.googleapis.com/")
        assert file.filename.endswith(("_notop.h5", "_no_top.h5"))
        assert len(file.md5 or "") == 32 or file.nbytes
    # The size that is trained by default has its file.
    assert any(file.input_size in (None, backbone.input_size) for file in backbone.weights)


def test_declaring_imports_no_framework() -> None:
    """So that `list` and the plan answer at once."""
    script = (
        "import sys; from bench.registry import load_plugins; load_plugins(packages=['backbones']);"
        "print([m for m in ('keras', 'tensorflow', 'jax', 'torch') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=True
    )

    assert done.stdout.strip() == "[]"
