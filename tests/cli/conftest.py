"""Commands are tested here, not the pictures of their reports."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _quick_pictures(quick_pictures: None) -> None: ...
