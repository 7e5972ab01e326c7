"""What a trained model costs where it runs: arithmetic, memory, energy and, if a price is given,
money."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.reports.blocks import Column, Section, Table, measured

PLACE = 100
FIGURES = (
    ("params", "Parameters", fmt.count),
    ("gflops", "GFLOP an image", fmt.significant),
    ("utilisation", "Utilisation", fmt.percent),
    ("training_memory_mb", "Memory, training", fmt.megabytes),
    ("training_gpu_memory_mb", "GPU memory, training", fmt.megabytes),
    ("inference_memory_mb", "Memory, inference", fmt.megabytes),
    ("inference_gpu_memory_mb", "GPU memory, inference", fmt.megabytes),
    ("energy_j_per_1000", "J for 1,000 images", fmt.significant),
    ("throughput_batch", "Best batch", fmt.count),
    ("throughput_images_per_second", "Images/s", fmt.significant),
)
ABOUT = (
    "Arithmetic is counted from the shapes of the layers, two operations for each "
    "multiply-accumulate of a convolution or dense layer, for one image through the whole model. "
    "Utilisation is that arithmetic at the best throughput, relative to a matrix product on this "
    "device in the same process; large convolutions can exceed 100%. Memory for training is the "
    "peak of the whole process; for inference it is the peak growth of a process that has loaded "
    "the framework and predicts one image with this model, without the libraries' own code."
)


def section(findings: Findings) -> Section | None:
    """Return a row for each backbone that finished; columns without figures are left out."""
    ok = findings.backbones[findings.backbones["status"] == "ok"]
    if not len(ok) or ok["gflops"].isna().all():
        return None
    shown = [one for one in FIGURES if not ok[one[0]].isna().all()]
    price = findings.run.meta.price_per_hour
    columns = [Column("Backbone"), *(measured(*one) for one in shown)]
    if price:
        columns.append(Column("Cost of training", _amount, better="lower"))
        columns.append(Column("Cost of 1 M images", _amount, better="lower"))
    rows = tuple(
        (row["label"], *(row[name] for name, _, _ in shown), *(_money(row, price) if price else ()))
        for _, row in ok.iterrows()
    )
    about = f"{ABOUT} Costs are at {price:g} an hour." if price else ABOUT
    table = Table("Costs", tuple(columns), rows)
    return Section("costs", "Costs", about, [table])


def _money(row: pd.Series[Any], price: float) -> tuple[float, float | None]:
    images = row["throughput_images_per_second"]
    per_million = None if pd.isna(images) else 1e6 / images / 3600 * price
    return row["train_seconds"] / 3600 * price, per_million


def _amount(value: float) -> str:
    return f"{value:,.4f}" if value < 0.1 else f"{value:,.2f}"
