"""Maps of images by their features, with a stand-in for the optional package UMAP."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bench.inference.measuring.maps import NEIGHBOURS, principal_components, umap
from bench.models.backends.base import Array


def test_the_first_component_is_the_one_that_varies_most() -> None:
    places = np.array([[4.0, 0], [-2, 0], [-2, 0], [0, 2], [0, -1], [0, -1]])
    found, shares = principal_components(places[:, ::-1] + 1)
    np.testing.assert_allclose(found, places, atol=1e-12)
    np.testing.assert_allclose(shares, [0.8, 0.2])


class StandIn:
    """The used part of UMAP's interface, which returns the features as positions."""

    asked: Any = None
    fails = False

    def __init__(self, **asked: Any) -> None:
        StandIn.asked = asked

    def fit_transform(self, features: Array) -> Array:
        if self.fails:
            raise ValueError("no places")
        return features


def test_umap_is_used_with_a_seed_if_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    features = np.random.default_rng(0).random((NEIGHBOURS + 1, 2))
    monkeypatch.setitem(sys.modules, "umap", None)
    assert umap(features) is None
    module = ModuleType("umap")
    module.UMAP = StandIn  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "umap", module)
    found = umap(features)
    assert found is not None
    np.testing.assert_array_equal(found, features)
    assert StandIn.asked == {"n_neighbors": NEIGHBOURS, "random_state": 0, "n_jobs": 1}
    assert umap(features[1:]) is None  # each has fewer others than UMAP looks for
    monkeypatch.setattr(StandIn, "fails", True)
    assert umap(features) is None
