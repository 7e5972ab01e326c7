"""The code digest changes when a plugin is edited, so that its trials are trained again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType

import edited
import pytest
import tiny

from bench.models import code_digest as module
from bench.models.code_digest import code_digest
from bench.registry import BACKBONES, load_plugins
from bench.system.plugin_files import module_name
from bench.types import PackagedWeights

LAZY = """
from bench.registry import BACKBONES
from bench.types import Backbone

def build(**options):
    {imports}

BACKBONES.add(Backbone("lazy", {build}, lambda images: images, 32))
"""
# What a builder imports when it is called, the files that there are, and one that is then run.
IMPORTED = {
    "a module": ("import part", ["part.py"], "part.py"),
    "a compiled module": ("import part", ["part.pyc"], "part.pyc"),
    "a module of a package": (
        "import pack.part",
        ["pack/__init__.py", "pack/part.py"],
        "pack/part.py",
    ),
    "its package": ("import pack.part", ["pack/__init__.py", "pack/part.py"], "pack/__init__.py"),
    "a package without a file": (
        "from pack.low import part",
        ["pack/low/part.py"],
        "pack/low/part.py",
    ),
    "a package before a module": (
        "import part",
        ["part.py", "part/__init__.py"],
        "part/__init__.py",
    ),
    "one or the other": (
        "try:\n        import absent\n    except ImportError:\n        import part",
        ["part.py"],
        "part.py",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", edited.EDITS)
def test_an_edit_changes_the_digest(tmp_path: Path, name: str) -> None:
    plugin = edited.write(tmp_path)
    before = code_digest(edited.load(plugin))
    assert code_digest(edited.load(plugin)) == before
    edited.edit(tmp_path, name)
    assert code_digest(edited.load(plugin)) != before


def test_the_digest_does_not_depend_on_the_plugin_path(tmp_path: Path) -> None:
    before = code_digest(edited.load(edited.write(tmp_path / "here")))
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert code_digest(edited.load(tmp_path / "there" / "plugin.py")) == before


@pytest.mark.slow
def test_another_process_computes_the_same_digest() -> None:
    code = (
        "import tiny; from bench.models.code_digest import code_digest as digest; "
        "print(digest(tiny.TINY))"
    )
    path = f"{Path(tiny.__file__).parent}:{Path(__file__).parents[2]}"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": path, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == code_digest(tiny.TINY)


def test_bound_arguments_and_declared_fields_change_the_digest() -> None:
    def deep(depth: int) -> Callable[..., int]:
        return lambda **options: depth

    variants = [
        tiny.TINY,
        replace(tiny.TINY, build=partial(tiny.build, include_top=False)),
        replace(tiny.TINY, build=partial(tiny.build, include_top=True)),
        replace(tiny.TINY, build=deep(1)),
        replace(tiny.TINY, build=deep(2)),
        replace(tiny.TINY, stages=("one_add", "four_add")),
        replace(tiny.TINY, weights=PackagedWeights("p", "m", "w", tiny.preprocess)),
    ]
    assert len({code_digest(backbone) for backbone in variants}) == len(variants)


def test_the_version_of_an_installed_package_changes_the_digest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named = replace(tiny.TINY, build="keras.applications:VGG16", preprocess="keras.ops:abs")
    before = code_digest(named)
    assert before != code_digest(replace(named, build="keras.applications:VGG19"))
    monkeypatch.setattr(module, "version", lambda package: f"another {package}")
    assert code_digest(named) != before


def test_a_package_next_to_its_dist_info_counts_as_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pip install --target` and `--user` use other folders than this Python's own."""

    def digest_of(source: str, said: str | None) -> str:
        site = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        (site / "netlib").mkdir(parents=True)
        (site / "netlib" / "__init__.py").write_text(source)
        if said is not None:
            (site / f"netlib-{said}.dist-info").mkdir()
            metadata = f"Metadata-Version: 2.1\nName: netlib\nVersion: {said}\n"
            (site / f"netlib-{said}.dist-info" / "METADATA").write_text(metadata)
        with monkeypatch.context() as patched:
            patched.syspath_prepend(site)
            return code_digest(replace(tiny.TINY, build="netlib:make"))

    assert digest_of("make = 1", "1.0") == digest_of("make = 2", "1.0")
    assert digest_of("make = 1", "1.0") != digest_of("make = 1", "1.1")
    assert digest_of("make = 1", None) != digest_of("make = 2", None)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A source folder; modules imported from it and backbones are removed afterwards."""
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield tmp_path / "source"
    BACKBONES.remove("lazy")
    for name in ("lazily", "lazily.net", "named_by_plugin"):
        sys.modules.pop(name, None)


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def _as_a_file(source: Path, imports: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(source, {"plugin.py": LAZY.format(imports=imports, build="build")})
    load_plugins([source / "plugin.py"])


def _as_a_module(source: Path, imports: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Load a plugin by an entry point of a package whose source is elsewhere."""
    monkeypatch.syspath_prepend(source)
    _write(source, {"lazily.py": LAZY.format(imports=imports, build="'lazily:build'")})
    points = "[backbone_bench.backbones]\nlazy = lazily\n"
    metadata = "Metadata-Version: 2.1\nName: lazily\nVersion: 1.0\n"
    _write(
        source.parent / "site" / "lazily-1.0.dist-info",
        {"METADATA": metadata, "entry_points.txt": points},
    )
    assert load_plugins() == []


def _in_a_package(source: Path, imports: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(source)
    _write(
        source,
        {"lazily/__init__.py": "", "lazily/net.py": LAZY.format(imports=imports, build="build")},
    )
    load_plugins(packages=["lazily"])


@pytest.mark.parametrize("given", [_as_a_file, _as_a_module, _in_a_package])
@pytest.mark.parametrize("case", IMPORTED)
def test_lazy_imports_are_covered_whether_loaded_or_not(
    source: Path,
    case: str,
    given: Callable[[Path, str, pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The plan precedes all building; models are measured after others were built."""
    imports, files, run = IMPORTED[case]
    _write(source, dict.fromkeys(files, "X = 1"))
    given(source, imports, monkeypatch)
    before = code_digest(BACKBONES["lazy"])

    for name in ("part", "pack", "pack.part", "pack.low", "pack.low.part", "absent"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
        vars(sys.modules[name])["__file__"] = tiny.__file__
    assert code_digest(BACKBONES["lazy"]) == before

    _write(source, {run: "X = 12"})
    assert code_digest(BACKBONES["lazy"]) != before


def test_relative_imports_are_followed(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "pack/__init__.py": "X = 1",
        "pack/part.py": "from . import X, last",
        "pack/last.py": "Y = 1",
    }
    _write(source, files)
    _as_a_file(source, "import pack.part", monkeypatch)
    found = [code_digest(BACKBONES["lazy"])]
    for file in files:
        _write(source, {file: "X = 12"})
        found.append(code_digest(BACKBONES["lazy"]))
        _write(source, files)
    assert len(set(found)) == len(found)


def test_a_submodule_without_a_file_counts_as_its_installed_package(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Like `tensorflow.keras`, which exists only after TensorFlow is loaded."""
    _as_a_file(source, "import numpy.made", monkeypatch)
    before = code_digest(BACKBONES["lazy"])
    monkeypatch.setitem(sys.modules, "numpy.made", ModuleType("numpy.made"))
    vars(sys.modules["numpy.made"])["__file__"] = tiny.__file__
    assert code_digest(BACKBONES["lazy"]) == before
    monkeypatch.setattr(module, "version", lambda package: f"another {package}")
    assert code_digest(BACKBONES["lazy"]) != before


def test_a_file_that_a_plugin_loads_under_its_own_name_is_covered(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
import sys
from importlib.util import module_from_spec, spec_from_file_location

spec = spec_from_file_location("named_by_plugin", __file__.replace("plugin.py", "hidden.py"))
sys.modules["named_by_plugin"] = module_from_spec(spec)
spec.loader.exec_module(sys.modules["named_by_plugin"])
"""
    for build in ("'named_by_plugin:build'", "sys.modules['named_by_plugin'].build"):
        _write(source, {"hidden.py": "def build(): pass"})
        _write(source, {"plugin.py": text + LAZY.format(imports="pass", build=build)})
        load_plugins([source / "plugin.py"])
        before = code_digest(BACKBONES["lazy"])
        _write(source, {"hidden.py": "def build(): return 1"})
        assert code_digest(BACKBONES["lazy"]) != before
        BACKBONES.remove("lazy")
        del sys.modules[module_name(source / "plugin.py")]
