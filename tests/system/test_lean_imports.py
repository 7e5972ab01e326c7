"""Packages that are hidden, and garbage collection that is disabled, during an import."""

from __future__ import annotations

import gc
import importlib
import sys

import pytest

from bench.system.frameworks import disable_gc, hide_packages


def test_hidden_packages_cannot_be_imported_inside_but_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with hide_packages("colorsys"), pytest.raises(ImportError):
        importlib.import_module("colorsys")
    assert importlib.import_module("colorsys").rgb_to_hsv(1, 0, 0) == (0, 1, 1)


def test_packages_that_are_already_imported_stay() -> None:
    with hide_packages("json"):
        assert importlib.import_module("json").loads("[1]") == [1]
    assert sys.modules["json"] is not None


def test_garbage_is_collected_again_after_the_import() -> None:
    before = gc.get_freeze_count()
    try:
        with disable_gc():
            assert not gc.isenabled()
            kept: list[list[int]] = [[] for _ in range(100)]
        assert gc.isenabled()
        assert gc.get_freeze_count() >= before + len(kept)
    finally:
        gc.unfreeze()
