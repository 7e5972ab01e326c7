"""What many tests share: a store in a temporary folder, and no chatter from the frameworks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.store import Store

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")
