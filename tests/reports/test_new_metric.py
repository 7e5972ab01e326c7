"""A metric is one file: it appears in every report without a change elsewhere."""

from __future__ import annotations

import csv
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from synthetic import SIX, make_run

import bench.analysis.metrics
from bench import reports
from bench.analysis.metrics.base import METRICS
from bench.registry import import_modules
from bench.reports.sections import leaderboard, sections
from bench.reports.terminal import table

pytestmark = pytest.mark.slow  # it loads a framework

DUMMY = """
from bench.analysis.metrics.base import METRICS, Metric, MetricColumn

column = MetricColumn("Letters", lambda value: f"{value:.0f} letters", 95)
count = lambda evidence: len(evidence.record.trial.backbone)
METRICS.add(Metric("letters", "letters of the name", "letters", "lower", count, column=column))
"""


@pytest.fixture
def dummy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "metrics"
    folder.mkdir()
    (folder / "dummy.py").write_text(DUMMY, encoding="utf-8")
    package = bench.analysis.metrics
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    importlib.invalidate_caches()
    import_modules("bench.analysis.metrics")
    yield
    METRICS.remove("letters")
    del sys.modules["bench.analysis.metrics.dummy"]


@pytest.mark.usefixtures("dummy")
def test_a_metric_in_one_file_appears_in_every_report(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    found = reports.read(folder)
    reports.write(found, sections(found), latex=True)
    rows = csv.DictReader((folder / "summary.csv").read_text(encoding="utf-8").splitlines())
    assert {float(row["letters"]) for row in rows if row["letters"]} >= {float(len(SIX[0].name))}
    for name in ("report.md", "report.html", "table.tex"):
        text = (folder / name).read_text(encoding="utf-8")
        assert "Letters" in text, name
        assert f"{len(SIX[0].name)} letters" in text, name
    drawn = table(leaderboard.table(found), 200)
    assert "Letters" in [str(column.header) for column in drawn.columns]
