"""A new data source is one file: help, `list` and `--dataset` find it without other changes."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bench.data.sources
from bench.cli.main import main
from bench.data import preparation
from bench.data.sources import SOURCES, describe_usage, list_dataset
from bench.errors import UsageError
from bench.registry import import_modules
from bench.storage.cache import Store

pytestmark = pytest.mark.slow  # it loads a framework

DUMMY = """
from dataclasses import replace

from bench.data.sources import SOURCES, Source
from bench.data.sources.demo import list_demo

def list_images(name, options):
    return replace(list_demo(), name=f"dummy-{name}")

SOURCES.add(Source("dummy:", "dummy:NAME", "a source of one file", list_images, own_images=False))
SOURCES.add(
    Source("away:", "away:NAME", "needs more", list_images, modules=("no_such",), install="no-such")
)
"""


@pytest.fixture
def dummy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "dummy.py").write_text(DUMMY, encoding="utf-8")
    package = bench.data.sources
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    import_modules("bench.data.sources")
    yield
    SOURCES.remove("dummy:")
    SOURCES.remove("away:")
    del sys.modules["bench.data.sources.dummy"]


@pytest.mark.usefixtures("dummy")
def test_a_source_of_one_file_lists_images(store: Store) -> None:
    listing = list_dataset("dummy:three", store=store)
    assert listing.name == "dummy-three"
    assert preparation.prepare(listing, [32], store=store).classes == ("cats", "dogs")


@pytest.mark.usefixtures("dummy")
def test_help_and_list_show_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    assert "dummy:NAME" in " ".join(capsys.readouterr().out.split())
    main(["list", "--json"])
    datasets = json.loads(capsys.readouterr().out)["datasets"]
    assert {"name": "dummy:NAME", "summary": "a source of one file", "available": "yes"} in datasets
    missing = next(row["available"] for row in datasets if row["name"] == "away:NAME")
    assert missing == "data source away needs no_such; install it with `pip install 'no-such'`."


@pytest.mark.usefixtures("dummy")
def test_a_missing_package_is_named_with_its_pip_install(store: Store) -> None:
    with pytest.raises(
        UsageError, match="away needs no_such; install it with `pip install 'no-such'`"
    ):
        list_dataset("away:x", store=store)


def test_all_sources_are_registered() -> None:
    assert describe_usage() == "auto, demo, DIR, FILE.zip or tfds:NAME"
