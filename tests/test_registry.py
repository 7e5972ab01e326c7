"""Registries and plugins: good errors, and one broken plugin takes nothing with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.errors import BenchError, UnknownNameError
from bench.registry import BACKBONES, Registry, load_plugins, resolve

GOOD = """
from bench.registry import BACKBONES
from bench.types import Backbone
BACKBONES.add(Backbone("plugged", "a:b", "a:b", 32, ("end",)))
"""


@dataclass
class Thing:
    name: str


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    before = set(BACKBONES.names)
    yield
    for name in set(BACKBONES.names) - before:
        BACKBONES.remove(name)


def test_names_are_unique_and_unknown_ones_are_explained() -> None:
    things: Registry[Thing] = Registry("thing")
    things.add(Thing("resnet50"))
    things.add(Thing("vgg16"))
    assert things.names == ("resnet50", "vgg16")
    with pytest.raises(BenchError, match="'vgg16' is registered twice"):
        things.add(Thing("vgg16"))
    with pytest.raises(UnknownNameError) as error:
        things["ResNet-50"]
    assert str(error.value) == (
        "unknown thing 'ResNet-50'. Did you mean 'resnet50'? Known: resnet50, vgg16."
    )


def test_resolve() -> None:
    assert resolve("pathlib:Path") is Path
    assert resolve(len) is len
    with pytest.raises(BenchError, match="has no ':'"):
        resolve("pathlib.Path")


def test_a_file_and_a_folder_of_plugins(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "_helper.py").write_text("raise RuntimeError('not a plugin')")
    assert load_plugins([tmp_path]) == []
    assert BACKBONES["plugged"].input_size == 32
    assert load_plugins([tmp_path / "good.py"]) == []  # the same file again: not twice


def test_a_broken_plugin_is_named_and_the_rest_loads(tmp_path: Path) -> None:
    bad = tmp_path / "a_bad.py"
    bad.write_text(GOOD.replace("plugged", "half") + "\nimport no_such_module\n")
    syntax = tmp_path / "b_syntax.py"
    syntax.write_text("def\n")
    (tmp_path / "good.py").write_text(GOOD)
    broken = [str(error) for error in load_plugins([tmp_path, tmp_path / "missing.py"])]
    assert "plugged" in BACKBONES
    assert "half" not in BACKBONES
    assert len(broken) == 3
    assert "a_bad.py" in broken[0]
    assert "ModuleNotFoundError: No module named 'no_such_module' (line 6 of a_bad.py)" in broken[0]
    assert "SyntaxError" in broken[1]
    assert "(line 1)" in broken[1]
    assert "does not exist" in broken[2]


def test_of_many_names_only_the_nearest_are_told() -> None:
    many: Registry[Thing] = Registry("thing", listed_by="`list`")
    for number in range(20):
        many.add(Thing(f"net-b{number}"))
    many.add(Thing("vgg16"))
    with pytest.raises(UnknownNameError) as error:
        many["vgg19"]
    assert str(error.value) == ("unknown thing 'vgg19'. Did you mean 'vgg16'? `list` shows all 21.")
    with pytest.raises(UnknownNameError, match=r"'net-b\d+', 'net-b\d+' or 'net-b\d+'\? `list` "):
        many["net-b"]
    with pytest.raises(UnknownNameError, match=r"unknown thing 'qqq'. `list` shows all 21.$"):
        many["qqq"]
