"""What many tests share: a store in a temporary folder, a small run that was really trained, and
no chatter from the frameworks."""

from __future__ import annotations

import gc
import io
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from filelock import FileLock
from PIL import Image

from bench.storage.cache import Store

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
# What a user's terminal and network ask for would change what is printed and who is asked.
for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES"):
    os.environ.pop(name, None)
# What commands remember of their user is nothing for this user's home.
STATE = tempfile.TemporaryDirectory(prefix="backbone-bench-state-")
os.environ["BACKBONE_BENCH_STATE"] = STATE.name
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"

# Graphs and models are many objects that live on: to look through them as often as Python does by
# default takes a tenth of the time.
gc.set_threshold(50_000, 50, 50)


# The files that take longest, the longest first.
LONGEST = (
    "test_end_to_end.py",
    "test_ray_cluster.py",
    "test_faults.py",
    "test_retry.py",
    "test_check.py",
    "test_html_browser.py",
    "test_notebook.py",
    "test_frozen_training.py",
    "test_verify_command.py",
    "test_docs.py",
    "test_stage.py",
    "test_export_formats.py",
    "test_robust_run.py",
    "test_made_soup.py",
    "test_report_render.py",
    "test_run_command.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With pytest-xdist, begin with the longest files: one that began last would leave the other
    processes idle."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = {name: number for number, name in enumerate(LONGEST)}
        items.sort(key=lambda item: place.get(item.path.name, len(place)))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import files of which every test is slow: they import frameworks."""
    if config.option.markexpr != "not slow" or collection_path.suffix != ".py":
        return None
    text = collection_path.read_text(encoding="utf-8")
    return True if re.search(r"^pytestmark = \[?\s*pytest\.mark\.slow", text, re.M) else None


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


@pytest.fixture
def quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing in the pictures of this process's reports: to draw them takes longer than all
    else that a scripted run does. Tests of the pictures draw them, and so do other processes."""
    monkeypatch.setattr("bench.reports.figures.Picture.png", lambda picture: _empty_picture())


@cache
def _empty_picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def tiny_backbone() -> Iterator[None]:
    """The tiny backbone, registered as a plugin would."""
    from tiny import TINY

    from bench.registry import BACKBONES

    BACKBONES.add(TINY)
    yield
    BACKBONES.remove(TINY.name)


@pytest.fixture
def other_backbone() -> Iterator[None]:
    """The tiny backbone under another name."""
    from tiny import TINY

    from bench.registry import BACKBONES

    BACKBONES.add(replace(TINY, name="other"))
    yield
    BACKBONES.remove("other")


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with kept weights; read it, do not change it."""
    import trained_run as made
    from tiny import TINY

    from bench.registry import BACKBONES

    base = tmp_path_factory.getbasetemp()
    # Processes of pytest-xdist have a folder each, in one that they share: the first trains.
    home = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "trained"
    with FileLock(f"{home}.lock"):
        if not (home / "made").exists():
            BACKBONES.add(TINY)
            try:
                made.make(home)
            finally:
                BACKBONES.remove(TINY.name)
            (home / "made").touch()
    return home / "results" / "r"
