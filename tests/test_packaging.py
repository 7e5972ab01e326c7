"""What is said of packages in several places agrees."""

from __future__ import annotations

import re
import subprocess
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from bench.data.sources import SOURCES
from bench.execution.executors import EXECUTORS
from bench.inference.export import EXPORT_FORMATS
from bench.inference.runtimes import RUNTIMES
from bench.registry import BACKBONE_SOURCES, Registry, load_plugins

ROOT = Path(__file__).resolve().parent.parent


def _pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _name(requirement: str) -> str:
    return re.split(r"[<>=;\[]", requirement)[0].strip().lower().replace("_", "-")


def test_the_core_is_the_dependencies_without_tensorflow() -> None:
    content = _pyproject()
    lines = content["project"]["dependencies"]
    wanted = [line for line in lines if not line.startswith("tensorflow")]

    assert content["dependency-groups"]["core"] == wanted


def test_every_package_that_make_installs_has_its_version() -> None:
    content = _pyproject()
    groups, extras = content["dependency-groups"], content["project"]["optional-dependencies"]
    installed = [*content["project"]["dependencies"], *groups["test"]]
    for extra in ("dev", "litert", "onnx", "parquet", "tfds"):
        installed += extras[extra]
    installed += [line for line in groups["jax"] if isinstance(line, str)]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert all("==" in line for line in lines)
    known = {_name(line) for line in lines}
    missing = {_name(one) for one in installed} - known - {"backbone-bench"}
    assert not missing


def test_the_wheel_holds_the_harness_and_the_backbones_and_nothing_else() -> None:
    setuptools = _pyproject()["tool"]["setuptools"]
    patterns = setuptools["packages"]["find"]["include"]
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for top in ROOT.iterdir()
        if top.name.isidentifier()
        for path in top.rglob("*.py")
    }

    installed = {f for f in folders if any(fnmatchcase(f, pattern) for pattern in patterns)}

    assert {f.partition(".")[0] for f in folders} >= {"bench", "backbones", "benchmarks", "tests"}
    assert {f.partition(".")[0] for f in installed} == {"bench", "backbones"}
    assert {f for f in folders if f.partition(".")[0] in ("bench", "backbones")} == installed


def test_the_wheel_holds_every_file_that_is_no_code() -> None:
    patterns = _pyproject()["tool"]["setuptools"]["package-data"]["bench"]
    files = {
        path.relative_to(ROOT / "bench").as_posix()
        for path in (ROOT / "bench").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    for pattern in patterns:
        matched = {file for file in files if PurePosixPath(file).match(pattern)}
        assert matched, pattern
        files -= matched
    assert not files


def test_what_messages_say_to_install_exists() -> None:
    load_plugins(packages=["backbones"])
    extras = _pyproject()["project"]["optional-dependencies"]
    known: list[Registry[Any]] = [SOURCES, RUNTIMES, EXPORT_FORMATS, EXECUTORS, BACKBONE_SOURCES]
    named = {
        extra
        for registry in known
        for item in registry
        for extra in re.findall(r"^backbone-bench\[(\w+)\]$", item.install)
    }
    assert {"kerashub", "litert", "onnx", "openvino", "tfds"} <= named <= extras.keys()


def test_no_file_holds_what_a_merge_left() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("no git here")
    marks = re.compile(rb"^(<<<<<<<|>>>>>>>) ", re.MULTILINE)
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    assert [path for path in paths if path.is_file() and marks.search(path.read_bytes())] == []
