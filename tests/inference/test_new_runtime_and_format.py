"""A runtime or an export format is added with one file: it is in `--help`, in `list`, and works."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import trained_run as made

from bench.cli.main import main
from bench.inference.export import EXPORT_FORMATS
from bench.inference.runtimes import RUNTIMES
from bench.registry import BACKBONES, Registry, import_modules
from bench.storage.records import read_run

pytestmark = pytest.mark.slow  # it loads a framework

RUNTIME = """
from bench.inference.runtimes import RUNTIMES, Runtime


class Eager(Runtime):
    name = "eager"
    help = "the Keras model, called layer by layer"

    def load(self, source):
        return lambda images: source.model(images, training=False)


class Quantum(Eager):
    name = "quantum"
    modules = ("no_such_package",)
    install = "quantum-runtime"


RUNTIMES.add(Eager())
RUNTIMES.add(Quantum())
"""
FORMAT = """
import shutil

from bench.inference.export import EXPORT_FORMATS, Format


class Zipped(Format):
    name = "zipped"
    help = "a Keras file under another name"
    suffix = ".zipped"

    def write(self, model, folder, about):
        made = EXPORT_FORMATS["keras"].write(model, folder, about)
        return made.rename(folder / "model.zipped")

    def load(self, path):
        copy = shutil.copy(path, path.with_name("copy.keras"))
        return EXPORT_FORMATS["keras"].load(copy)


class Lacking(Zipped):
    name = "lacking"
    modules = ("no_such_package",)
    install = "backbone-bench[lacking]"


EXPORT_FORMATS.add(Zipped())
EXPORT_FORMATS.add(Lacking())
"""


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One file more in each of the two folders."""
    registries: list[Registry[Any]] = [RUNTIMES, EXPORT_FORMATS]
    before = [registry.snapshot() for registry in registries]
    for package, text in (("runtimes", RUNTIME), ("export", FORMAT)):
        folder = tmp_path / package
        folder.mkdir()
        (folder / f"one_more_{package}.py").write_text(text)
        module = import_module(f"bench.inference.{package}")
        monkeypatch.setattr(module, "__path__", [*module.__path__, str(folder)])
        import_modules(module.__name__)
    yield
    for registry, items in zip(registries, before, strict=True):
        for name in set(registry.names) - set(items):
            registry.remove(name)
    for package in ("runtimes", "export"):
        del sys.modules[f"bench.inference.{package}.one_more_{package}"]


@pytest.mark.usefixtures("added")
def test_help_and_list_show_them(capsys: pytest.CaptureFixture[str]) -> None:
    for command, name in (("run", "eager"), ("export", "zipped: a Keras file under another")):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert name in " ".join(capsys.readouterr().out.split())
    assert main(["list", "--json"], packages=["backbones"]) == 0
    listed = json.loads(capsys.readouterr().out)
    runtimes = {row["name"]: row for row in listed["runtimes"]}
    assert runtimes["eager"]["available"] == "yes"
    assert runtimes["eager"]["summary"] == "the Keras model, called layer by layer"
    assert "`pip install 'quantum-runtime'`" in runtimes["quantum"]["available"]
    formats = {row["name"]: row for row in listed["export formats"]}
    assert formats["zipped"]["available"] == "yes"
    assert "`pip install 'backbone-bench[lacking]'`" in formats["lacking"]["available"]


@pytest.mark.usefixtures("added", "tiny_backbone")
def test_the_runtime_is_timed(trained_run: Path, tmp_path: Path) -> None:
    home = shutil.copytree(trained_run.parent.parent, tmp_path / "home")
    measuring = replace(made.MEASURING, runtimes="eager")
    for evidence in read_run(made.make(home, measuring=measuring)).evidence:
        assert [(r.name, r.status) for r in evidence.record.runtimes] == [
            ("keras", "ok"),
            ("eager", "ok"),
        ]
        assert len(evidence.arrays["latency_eager_b1"])


@pytest.mark.usefixtures("added")
def test_the_format_is_written_and_checked(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tiny import TINY

    folder = shutil.copytree(trained_run, tmp_path / "results" / "r")
    words = ["export", "r", "tiny", "--results", str(tmp_path / "results")]
    words += ["--cache", str(trained_run.parent.parent / "cache")]
    BACKBONES.add(TINY)
    try:
        assert main([*words, "--format", "zipped"]) == 0
        assert "24 of 24" in capsys.readouterr().out
        assert (folder / "exported" / "tiny.zipped").is_file()
        assert main([*words, "--format", "lacking"]) == 2
    finally:
        BACKBONES.remove(TINY.name)
    told = capsys.readouterr().err
    assert (
        "export format lacking needs no_such_package; install it with `pip install 'backbone-"
        in told
    )
