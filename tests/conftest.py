"""What many tests share: a store in a temporary folder, a small run that was really trained, and
no chatter from the frameworks."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With pytest-xdist, begin with the files that have the most slow tests: one that began last
    would leave the other processes idle."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
        items.sort(key=lambda item: -slow[item.path])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


@pytest.fixture
def tiny_backbone() -> Iterator[None]:
    """The tiny backbone, registered as a plugin would."""
    from tiny import TINY

    from bench.registry import BACKBONES

    BACKBONES.add(TINY)
    yield
    BACKBONES.remove(TINY.name)


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
