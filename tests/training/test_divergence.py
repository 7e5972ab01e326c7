"""What is to blame where the loss is no longer a number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
import workbench

from bench.storage.cache import Store

pytestmark = pytest.mark.slow  # it loads a framework


@pytest.mark.parametrize("tune", [0, 2])
def test_a_network_that_gives_no_numbers(tmp_path: Path, store: Store, tune: int) -> None:
    def nothing(pixels: Any) -> Any:
        return pixels * float("nan")

    dataset = workbench.make_dataset(tmp_path / "data", store)
    backbone = replace(tiny.TINY, preprocess=nothing)
    why = "before any training tiny gives NaN for 12 of 12 validation images"
    settings = replace(workbench.SETTINGS, tune=tune)
    with pytest.raises(AssertionError, match=why):
        workbench.run(dataset, store, tmp_path / "r", settings=settings, backbone=backbone)


def test_a_learning_rate_that_is_too_high(tmp_path: Path, store: Store) -> None:
    dataset = workbench.make_dataset(tmp_path / "data", store)
    high = workbench.with_rate(workbench.PROTOCOL, 1e30)
    with pytest.raises(AssertionError, match=r"the learning rate .* is too high for this"):
        workbench.run(dataset, store, tmp_path / "r", protocol=high)
