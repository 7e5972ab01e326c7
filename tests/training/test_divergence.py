"""The cause that is reported when the loss becomes NaN."""

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
def test_nan_of_an_untrained_network_is_not_blamed_on_the_learning_rate(
    tmp_path: Path, store: Store, tune: int
) -> None:
    def nothing(pixels: Any) -> Any:
        return pixels * float("nan")

    dataset = workbench.make_dataset(tmp_path / "data", store)
    backbone = replace(tiny.TINY, preprocess=nothing)
    why = "before any training tiny gives NaN for 12 of 12 validation images"
    settings = replace(workbench.SETTINGS, tune=tune)
    with pytest.raises(AssertionError, match=why):
        workbench.run(dataset, store, tmp_path / "r", settings=settings, backbone=backbone)


def test_divergence_is_blamed_on_the_learning_rate(tmp_path: Path, store: Store) -> None:
    dataset = workbench.make_dataset(tmp_path / "data", store)
    high = workbench.with_rate(workbench.PROTOCOL, 1e30)
    with pytest.raises(AssertionError, match=r"the learning rate .* is too high for this"):
        workbench.run(dataset, store, tmp_path / "r", protocol=high)
