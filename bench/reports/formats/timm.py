"""`timm.csv`: the columns of timm's result files that have the same meaning here; one row a
backbone.

Shares are in percent and parameters in millions. `infer_step_time` is milliseconds for a whole
batch. Random-init rows have times and sizes, but no accuracy. What this program does not measure
(crop, interpolation, training throughput) is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bench.analysis.escape import csv_cell
from bench.analysis.findings import Findings
from bench.analysis.metrics.classification import answers
from bench.analysis.scores import RANDOM_INIT
from bench.storage.records import Evidence
from bench.system.files import write_atomic
from bench.types import Record

TOP = 5


def write(findings: Findings) -> Path:
    """Write it into the run's folder."""
    path = findings.run.folder / "timm.csv"
    table = frame(findings)
    write_atomic(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    return path


def frame(findings: Findings) -> pd.DataFrame:
    """Return the rows, in the order of the ranking."""
    rows = [
        _row(findings, row) for _, row in findings.backbones.iterrows() if row["status"] == "ok"
    ]
    return pd.DataFrame(rows)


def _row(findings: Findings, row: pd.Series) -> dict[str, object]:
    ranked = row["weights"] != RANDOM_INIT
    records = [r for r in findings.records[row["label"]] if r.status == "ok"]
    top1 = 100 * row["accuracy"] if ranked else np.nan
    found: dict[str, object] = {
        "model": csv_cell(str(row["backbone"])),
        "img_size": int(row["input_size"]),
        "top1": top1,
        "top1_err": 100 - top1,
    }
    if len(findings.run.dataset.classes) > TOP:
        top5 = 100 * _top5(findings, records) if ranked else np.nan
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


def _top5(findings: Findings, records: Sequence[Record]) -> float:
    """Return the share of test images whose class is among the five most probable."""
    shares = []
    for record in records:
        found = answers(Evidence(record, findings.run.dataset.classes, findings.run.folder), "test")
        if found is not None:
            labels, probabilities = found
            best = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP]
            shares.append(float((best == labels[:, None]).any(axis=1).mean()))
    return float(np.mean(shares)) if shares else np.nan
