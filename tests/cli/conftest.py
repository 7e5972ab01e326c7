"""Fixtures for the tests of commands, which draw no pictures in reports."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _quick_pictures(quick_pictures: None) -> None: ...
