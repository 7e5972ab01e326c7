"""The contract that every registered backbone keeps: `check`, without weights and offline.

Larger members of a family differ from the smallest in size and depth alone; one of them is taken
for all, up to where its layers are named and counted.
"""

from __future__ import annotations

from itertools import islice

import pytest

from bench.execution.check import CHECKS, run_checks
from bench.registry import BACKBONES, load_plugins

pytestmark = pytest.mark.slow  # it loads a framework

load_plugins(packages=["backbones"])


@pytest.mark.parametrize("name", [backbone.name for backbone in BACKBONES if backbone.in_all])
def test_a_backbone_passes_every_check(name: str) -> None:
    results = list(run_checks(BACKBONES[name]))

    assert [f"{r.check.name}: {r.text}" for r in results if r.status != "passed"] == []
    assert len(results) == len(CHECKS)


def test_a_larger_variant_is_what_it_declares() -> None:
    upto_stages = [check.name for check in CHECKS].index("stages") + 1

    results = list(islice(run_checks(BACKBONES["efficientnetb1"]), upto_stages))

    assert [f"{r.check.name}: {r.text}" for r in results if r.status != "passed"] == []
    assert {"build", "declaration", "stages"} <= {r.check.name for r in results}
