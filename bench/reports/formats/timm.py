"""`timm.csv`: a row for each backbone, with the columns of timm's result files that apply here.

Accuracies are in percent, parameters in millions. `infer_step_time` is in milliseconds for a whole
batch. Random-init rows have times and sizes, but no accuracy. Columns that are not measured here
(crop, interpolation, training throughput) are left out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from bench.analysis.escape import csv_cell
from bench.analysis.findings import Findings
from bench.analysis.metrics import top_five
from bench.system.files import write_atomic


def write(findings: Findings) -> Path:
    """Write `timm.csv` into the run's folder; return the file."""
    path = findings.run.folder / "timm.csv"
    table = frame(findings)
    write_atomic(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    return path


def frame(findings: Findings) -> pd.DataFrame:
    """Return the rows in ranked order."""
    rows = [
        _row(findings, row) for _, row in findings.backbones.iterrows() if row["status"] == "ok"
    ]
    return pd.DataFrame(rows)


def _row(findings: Findings, row: pd.Series) -> dict[str, object]:
    records = [r for r in findings.records[row["label"]] if r.status == "ok"]
    top1 = 100 * row["accuracy"]
    found: dict[str, object] = {
        "model": csv_cell(str(row["backbone"])),
        "img_size": int(row["input_size"]),
        "top1": top1,
        "top1_err": 100 - top1,
    }
    if len(findings.run.dataset.classes) > top_five.NUMBER:
        top5 = 100 * row["top5_accuracy"]
        found |= {"top5": top5, "top5_err": 100 - top5}
    rate, batch = row["throughput_images_per_second"], row["throughput_batch"]
    return found | {
        "param_count": row["params"] / 1e6,
        "infer_samples_per_sec": rate,
        "infer_step_time": 1000 * batch / rate,
        "infer_batch_size": batch,
        "infer_img_size": int(row["input_size"]),
        "infer_gmacs": records[0].flops / 2e9 if records and records[0].flops else np.nan,
    }
