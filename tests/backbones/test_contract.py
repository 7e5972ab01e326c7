"""The contract that every registered backbone keeps: `check`, without weights and offline.

Larger members of a family differ from the smallest in size, width and depth alone; they are taken
up to where their layers are named and counted.
"""

from __future__ import annotations

from itertools import islice

import pytest

from bench.execution.check import CHECKS, run_checks
from bench.registry import BACKBONES, load_plugins

pytestmark = pytest.mark.slow  # it loads a framework

load_plugins(packages=["backbones"])
LARGER = ("efficientnet_lite1", "efficientnet_lite2", "efficientnetb1")


@pytest.mark.parametrize("name", [b.name for b in BACKBONES if b.in_all and b.name not in LARGER])
def test_a_backbone_passes_every_check(name: str) -> None:
    results = list(run_checks(BACKBONES[name]))

    assert [f"{r.check.name}: {r.text}" for r in results if r.status != "passed"] == []
    assert len(results) == len(CHECKS)


@pytest.mark.parametrize("name", LARGER)
def test_a_larger_variant_is_what_it_declares(name: str) -> None:
    upto_stages = [check.name for check in CHECKS].index("stages") + 1

    results = list(islice(run_checks(BACKBONES[name]), upto_stages))

    assert [f"{r.check.name}: {r.text}" for r in results if r.status != "passed"] == []
    assert {"build", "declaration", "stages"} <= {r.check.name for r in results}
