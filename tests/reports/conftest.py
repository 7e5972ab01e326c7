"""Pictures are drawn only in the test files that look at them; elsewhere they are empty."""

from __future__ import annotations

import pytest

DRAWN = (
    "test_conformance.py",
    "test_report_figures.py",
    "test_report_formats.py",
    "test_report_learning.py",
    "test_report_mistakes.py",
    "test_report_render.py",
    "test_sections.py",
)


@pytest.fixture(autouse=True)
def _quick_pictures(request: pytest.FixtureRequest) -> None:
    if request.path.name not in DRAWN:
        request.getfixturevalue("quick_pictures")
