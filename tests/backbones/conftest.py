"""Fixtures for the tests of KerasHub's backbones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from set_aside import set_aside

import backbones.kerashub as kerashub
from bench.registry import BACKBONES


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty package folder that replaces KerasHub, in an empty working folder."""
    package = tmp_path / "packages" / "keras_hub"
    package.mkdir(parents=True)
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(BACKBONES, "_described", {})
    kerashub._catalogue.cache_clear()
    with set_aside("keras_hub"):
        yield package
    kerashub._catalogue.cache_clear()
