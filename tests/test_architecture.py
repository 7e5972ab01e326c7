"""The layers match their description, imports follow the rules, and start-up stays cheap."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {"keras", "tensorflow", "jax", "torch", "pandas", "matplotlib", "scipy"}
TENSORFLOW_FILES = {
    "bench/models/backends/tensorflow_backend.py",
    "bench/data/sources/tfds.py",
    "bench/inference/export/keras_file.py",
    "bench/inference/runtimes/__init__.py",
    "bench/inference/runtimes/litert.py",
    "bench/inference/runtimes/xla.py",
}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


FILES = sorted((ROOT / "bench").rglob("*.py"))


@pytest.mark.slow
def test_tensorflow_stays_in_its_own_files() -> None:
    for path in FILES:
        if any(n.split(".")[0].startswith("tensorflow") for n in _imports(path)):
            assert path.relative_to(ROOT).as_posix() in TENSORFLOW_FILES


# The published schema of report.json has these names.
IN_THE_SCHEMA = ROOT / "bench" / "reports" / "formats" / "json_report.py"


def test_a_class_has_a_name_of_its_own() -> None:
    where: dict[str, list[str]] = {}
    for path in set(FILES) - {IN_THE_SCHEMA}:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())
    assert {name: files for name, files in where.items() if len(files) > 1} == {}


def test_the_tree_in_contributing_is_that_of_the_folders() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    tree = re.search(r"## The layers\n\n(.*?)\n\nA layer imports", text, re.DOTALL)
    assert tree is not None
    named: list[Path] = []
    parents: dict[int, Path] = {0: ROOT}
    for line in tree[1].splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        path = parents[max(d for d in parents if d < depth or d == 0)] / name
        parents = {d: p for d, p in parents.items() if d < depth or d == 0} | {depth: path}
        named.append(path)
        assert path.is_dir() if name.endswith("/") else path.is_file(), path
    bench = {path for path in named if path.parent == ROOT / "bench"}
    # A folder that was moved may leave one with nothing but compiled files.
    there = (
        path for path in (ROOT / "bench").iterdir() if path.is_file() or any(path.rglob("*.py"))
    )
    assert bench == set(there)


def test_imports_keep_to_the_layers() -> None:
    lint = pytest.importorskip("importlinter.cli")
    assert lint.lint_imports(config_filename=str(ROOT / "pyproject.toml")) == 0


LEAN = (["--help"], *([c, "--help"] for c in COMMANDS if c not in ("list", "choose", "cache")))


@pytest.mark.parametrize("words", [*LEAN, ["list"], ["cache"]])
def test_quick_commands_import_no_framework(words: list[str], tmp_path: Path) -> None:
    avoided = HEAVY | ({"numpy"} if words in LEAN else set())
    code = (
        "import sys\n"
        "from bench.cli.main import main\n"
        "try:\n"
        "    main(sys.argv[1:], packages=('backbones',))\n"
        "except SystemExit:\n"
        "    pass\n"
        f"heavy = sorted({avoided!r} & set(sys.modules))\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PATH": "", "BACKBONE_BENCH_CACHE": str(tmp_path), "HOME": str(tmp_path)},
    )
    assert result.returncode == 0, result.stderr
    assert "backbone" in result.stdout or words == ["cache"]


@pytest.mark.parametrize("command", ["run", "screen"])
def test_a_run_loads_pandas_without_pyarrow(command: str, tmp_path: Path) -> None:
    """For a run it is loaded late, while a worker builds its network."""
    (tmp_path / "pyarrow.py").write_text("open('loaded', 'w').close()\nraise ImportError\n")
    code = (
        "import sys\n"
        "from bench.cli.commands.run_command import _load_reports\n"
        "from bench.cli.main import main\n"
        "main(sys.argv[1:])\n"
        "assert ('pandas' in sys.modules) == (sys.argv[1] == 'screen')\n"
        "_load_reports()\n"
        "sys.exit('pandas' not in sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, command, "--dataset", "nowhere", "--dry-run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])},
    )
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "loaded").exists()
