"""Suppression of standard error below Python, inside the context only."""

from __future__ import annotations

import os

import pytest

from bench.system.frameworks import suppress_stderr


def test_only_output_inside_is_discarded(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before, ")
    with suppress_stderr():
        os.write(2, b"inside, ")
    os.write(2, b"after")
    assert capfd.readouterr().err == "before, after"


def test_an_error_passes_through(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError, match="no such thing"), suppress_stderr():
        raise ImportError("no such thing")
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"
