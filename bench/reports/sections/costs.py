"""What a trained model costs where it runs: arithmetic, memory, energy and, if a price is given,
money."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.reports.blocks import Cell, Section, Show, Table, figure, figures, words

PLACE = 100
FIGURES: tuple[tuple[str, str, Show], ...] = (
    ("Parameters", "params", fmt.count),
    ("GFLOP an image", "gflops", fmt.significant),
    ("Utilisation", "utilisation", fmt.percent),
    ("Memory, training", "training_memory_mb", fmt.megabytes),
    ("GPU memory, training", "training_gpu_memory_mb", fmt.megabytes),
    ("Memory, inference", "inference_memory_mb", fmt.megabytes),
    ("GPU memory, inference", "inference_gpu_memory_mb", fmt.megabytes),
    ("J for 1,000 images", "energy_j_per_1000", fmt.significant),
    ("Best batch", "throughput_batch", fmt.count),
    ("Images/s", "throughput_images_per_second", fmt.significant),
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
    shown = [one for one in FIGURES if not ok[one[1]].isna().all()]
    price = findings.run.meta.price_per_hour
    titles = [title for title, _, _ in shown]
    titles += ["Cost of training", "Cost of 1 M images"] if price else []
    rows = tuple(
        (
            Cell(row["label"]),
            *(figure(row[name], show) for _, name, show in shown),
            *(_money(row, price) if price else ()),
        )
        for _, row in ok.iterrows()
    )
    about = f"{ABOUT} Costs are at {price:g} an hour." if price else ABOUT
    table = Table("Costs", (*words("Backbone"), *figures(*titles)), rows)
    return Section("costs", "Costs", about, [table])


def _money(row: pd.Series[Any], price: float) -> tuple[Cell, Cell]:
    images = row["throughput_images_per_second"]
    per_million = None if pd.isna(images) else 1e6 / images / 3600 * price
    return figure(row["train_seconds"] / 3600 * price, _amount), figure(per_million, _amount)


def _amount(value: float) -> str:
    return f"{value:,.4f}" if value < 0.1 else f"{value:,.2f}"
