"""`summary.parquet`: the columns of `summary.csv`, typed, for data frames and databases."""

from __future__ import annotations

import io
from pathlib import Path

from bench.analysis.findings import Findings
from bench.reports.formats import import_optional
from bench.system.files import write_atomic


def write(findings: Findings) -> Path:
    """Write `summary.parquet` into the run's folder; return the file."""
    import_optional("pyarrow", "parquet")
    buffer = io.BytesIO()
    table = findings.with_standings(findings.trials)
    table.reset_index(drop=True).to_parquet(buffer, engine="pyarrow", index=False)
    path = findings.run.folder / "summary.parquet"
    write_atomic(path, buffer.getvalue())
    return path
