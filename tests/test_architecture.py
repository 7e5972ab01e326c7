"""The rooms and the direction of the data: who may import whom, and what start-up may cost."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {"keras", "tensorflow", "jax", "torch", "pandas", "matplotlib", "scipy"}
TENSORFLOW_FILES = {
    "bench/models/backends/tensorflow_accumulation.py",
    "bench/models/backends/tensorflow_adam.py",
    "bench/models/backends/tensorflow_gradients.py",
    "bench/models/backends/tensorflow_backend.py",
    "bench/data/sources/tfds.py",
    "bench/inference/export/saved_model.py",
    "bench/inference/runtimes/frozen.py",
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


def test_the_harness_never_imports_backbones() -> None:
    for path in FILES:
        assert not any(n.split(".")[0] == "backbones" for n in _imports(path)), path


def test_tensorflow_stays_in_its_own_files() -> None:
    for path in FILES:
        if any(n.split(".")[0].startswith("tensorflow") for n in _imports(path)):
            assert path.relative_to(ROOT).as_posix() in TENSORFLOW_FILES


@pytest.mark.parametrize(
    ("room", "may_not"),
    [
        ("types.py", ("bench",)),
        ("store.py", ("bench.types", "bench.data", "bench.execution.run")),
        ("metrics", ("keras", "bench.training.train", "bench.execution.run", "bench.reports")),
        (
            "report",
            (
                "keras",
                "bench.training.train",
                "bench.training.trial",
                "bench.execution.run",
                "bench.models.network",
            ),
        ),
        (
            "statistics",
            ("keras", "pandas", "bench.storage.records", "bench.analysis.metrics", "bench.reports"),
        ),
        ("datasets", ("keras", "bench.training.train", "bench.execution.run", "bench.reports")),
        (
            "train.py",
            (
                "bench.execution.run",
                "bench.execution.plan",
                "bench.cli.main",
                "bench.reports",
                "bench.data",
            ),
        ),
        (
            "trial.py",
            ("bench.execution.run", "bench.execution.plan", "bench.cli.main", "bench.reports"),
        ),
        (
            "run.py",
            (
                "bench.cli.main",
                "bench.reports",
                "bench.cli.commands",
                "bench.training.trial",
                "keras",
            ),
        ),
        (
            "plan.py",
            (
                "bench.execution.run",
                "bench.cli.main",
                "bench.training.trial",
                "bench.models.network",
                "keras",
            ),
        ),
    ],
)
def test_data_flows_one_way(room: str, may_not: tuple[str, ...]) -> None:
    target = ROOT / "bench" / room
    for path in sorted(target.rglob("*.py")) if target.is_dir() else [target]:
        wrong = [n for n in _imports(path) for bad in may_not if f"{n}.".startswith(f"{bad}.")]
        assert not wrong, f"{path} imports {wrong}"


@pytest.mark.parametrize(
    "words", [["--help"], ["list"], ["run", "--help"], ["audit", "--help"], ["cache"]]
)
def test_quick_commands_import_no_framework(words: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from bench.cli.main import main\n"
        "try:\n"
        "    main(sys.argv[1:], packages=('backbones',))\n"
        "except SystemExit:\n"
        "    pass\n"
        f"heavy = sorted({HEAVY!r} & set(sys.modules))\n"
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
