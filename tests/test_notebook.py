"""The notebook of the docs runs from its first cell to its last, and shows progress."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # it loads a framework

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

# What takes most of the notebook's minute: epochs, and the timing.
SHORT = """
[head]
[[phases]]
name = "head"
epochs = 3
learning_rate = 1e-2
"""
ASKED = "limit=60,"
ASKED_HERE = 'limit=24, protocol="short.toml", latency_seconds=0.05,'
NOTEBOOK = Path(__file__).resolve().parent.parent / "docs" / "quickstart.ipynb"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_quickstart_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKBONE_BENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "short.toml").write_text(SHORT)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (run,) = (cell for cell in notebook.cells if ASKED in cell.source)
    run.source = run.source.replace(ASKED, ASKED_HERE)
    nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": tmp_path}}
    ).execute()
    shown = {
        cell.source.splitlines()[0]: cell.outputs
        for cell in notebook.cells
        if cell.cell_type == "code"
    }
    (progress,) = (out for out in shown["run = bench.run("] if out.output_type == "display_data")
    assert progress.data["text/html"].count("<td>efficientnet_lite0</td>") == 2  # a row a seed
    (answers,) = shown['run.predict("new_images", backbone="efficientnet_lite0")']
    assert answers.data["text/plain"].count(".png") == 4
    (sentence,) = shown["run.verdict.sentence"]
    assert "efficientnet_lite0 is the only pretrained backbone" in sentence.data["text/plain"]
