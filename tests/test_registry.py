"""Registries and plugins: messages, and a broken plugin that leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from bench.cli import main as cli
from bench.errors import BenchError, PluginError, UnknownNameError
from bench.registry import BACKBONES, Registry, load_plugins, resolve
from bench.types import Backbone

ROOT = Path(__file__).resolve().parent.parent
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
    yield
    for name in ("plugged", "half"):  # what is installed is imported once
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


def test_all_broken_plugins_are_reported_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "a_bad.py").write_text(
        GOOD.replace("plugged", "half") + "\nimport no_such_module\n"
    )
    (tmp_path / "b_syntax.py").write_text("\ndef\n")
    # What is raised in the harness has its cause in the plugin.
    (tmp_path / "c_clash.py").write_text("\n\n" + GOOD.strip() + "\n" + GOOD.split("Backbone\n")[1])
    (tmp_path / "d_text.py").write_text(
        "class Odd(Exception):\n    def __str__(self): return 1 / 0\nraise Odd\n"
    )
    (tmp_path / "good.py").write_text(GOOD)

    with pytest.raises(PluginError) as raised:
        load_plugins([tmp_path, tmp_path / "missing.py"])

    assert raised.value.exit_code == 2
    lines = str(raised.value).splitlines()
    assert [line.partition("could not be loaded: ")[2] for line in lines[:4]] == [
        "ModuleNotFoundError: No module named 'no_such_module' (line 6 of a_bad.py)",
        "SyntaxError: invalid syntax (line 2 of b_syntax.py)",
        "BenchError: backbone 'plugged' is registered twice; give one another name. "
        "(line 6 of c_clash.py)",
        "Odd: (its text raises ZeroDivisionError) (line 3 of d_text.py)",
    ]
    assert lines[4].endswith("missing.py does not exist; give a .py file or a folder.")
    assert len(lines) == 5
    assert "half" not in BACKBONES
    assert "plugged" in BACKBONES  # of the one that is right


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("input_size='224'", "input_size must be a whole number; got '224'"),
        ("input_size=0", "input_size and minimum_size must be 1 pixel or more; got 0 and 32"),
        ("input_size=True", "input_size must be a whole number; got True"),
        ("input_size=32, stages='output'", "stages must be a tuple; got 'output'"),
        ("input_size=32, weights='http://x'", "weights must be 'imagenet', PackagedWeights or"),
    ],
)
def test_a_declaration_of_another_type_is_refused(tmp_path: Path, given: str, said: str) -> None:
    file = tmp_path / "wrong.py"
    file.write_text(f"from bench.types import Backbone\nBackbone('x', 'a:b', 'a:c', {given})\n")
    with pytest.raises(PluginError, match=f"{said}.*line 2 of wrong.py"):
        load_plugins([file])


@pytest.mark.parametrize("name", ["", "a,b", " a", "a\n"])
def test_a_name_that_cannot_be_given_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name must be text without commas"):
        Backbone(name, "a:b", "a:c", 32)


def test_a_broken_plugin_leaves_nothing_in_any_registry(tmp_path: Path) -> None:
    things: Registry[Thing] = Registry("thing")
    things.add(Thing("old"))
    sys.modules["things_of_this_test"] = ModuleType("things_of_this_test")
    sys.modules["things_of_this_test"].THINGS = things  # type: ignore[attr-defined]
    plugin = tmp_path / "plugin.py"
    plugin.write_text(
        GOOD
        + "from types import SimpleNamespace\n"
        + "from things_of_this_test import THINGS\n"
        + "THINGS.add(SimpleNamespace(name='new'))\n"
        + "THINGS.remove('old')\n"
        + "1 / 0\n"
    )
    try:
        with pytest.raises(PluginError, match="ZeroDivisionError: division by zero"):
            load_plugins([plugin])
    finally:
        del sys.modules["things_of_this_test"]

    assert things.names == ("old",)
    assert "plugged" not in BACKBONES


def test_modules_of_bench_first_imported_by_a_broken_plugin_stay(tmp_path: Path) -> None:
    """Metrics are registered when their modules are imported, which is once in a process."""
    plugin = tmp_path / "plugin.py"
    plugin.write_text("import bench.analysis.metrics\n1 / 0\n")
    code = (
        "from pathlib import Path\n"
        "from bench.errors import PluginError\n"
        "from bench.registry import load_plugins\n"
        "try:\n"
        f"    load_plugins([Path({str(plugin)!r})])\n"
        "except PluginError:\n"
        "    from bench.analysis.metrics.base import METRICS\n"
        "    print(*METRICS.names)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)

    assert "accuracy" in result.stdout.split()


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--dry-run"],
        ["list"],
        ["check", "tiny"],
        ["verify", "r"],
        ["predict", "r", "x.png"],
        ["export", "r", "tiny"],
    ],
)
def test_a_named_plugin_that_fails_ends_the_command(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clash.py").write_text(GOOD + "BACKBONES.add(BACKBONES['plugged'])\n")

    assert cli.main([*words, "--plugin", str(tmp_path / "clash.py")]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("error: plugin ")
    assert "(line 5 of clash.py)" in told.err
    assert len(told.err.splitlines()) == 1
    assert told.out == ""


def test_of_many_names_only_similar_ones_are_listed() -> None:
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


def test_a_plugin_that_ends_the_process_is_named(tmp_path: Path) -> None:
    ending = tmp_path / "ending.py"
    ending.write_text("import os\n\nos._exit(0)\n")
    script = "import sys; from bench.cli.main import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", script, "list", "--plugin", str(ending)]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == (
        f"error: plugin {ending} could not be loaded: SystemExit: os._exit(0) (line 3 of "
        f"ending.py)\n"
    )
