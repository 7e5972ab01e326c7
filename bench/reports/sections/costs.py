"""The cost of inference: arithmetic, memory, energy and, if a price is given, money."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from bench.analysis import format as fmt
from bench.analysis.escape import markdown as safe
from bench.analysis.findings import Findings
from bench.reports.markdown_parts import table

FIGURES: tuple[tuple[str, str, Callable[[float], str]], ...] = (
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


def text(findings: Findings) -> str:
    """Return a row for each backbone that finished; columns without figures are left out."""
    ok = findings.backbones[findings.backbones["status"] == "ok"]
    if not len(ok) or ok["gflops"].isna().all():
        return ""
    figures = [figure for figure in FIGURES if not ok[figure[1]].isna().all()]
    price = findings.run.meta.price_per_hour
    titles = ["Backbone", *(title for title, _, _ in figures)]
    titles += ["Cost of training", "Cost of 1 M images"] if price else []
    lines = [
        [safe(row["label"])]
        + [_cell(row[name], show) for _, name, show in figures]
        + (_money(row, price) if price else [])
        for _, row in ok.iterrows()
    ]
    about = f"{ABOUT} Costs are at {price:g} an hour." if price else ABOUT
    return "\n\n".join(["## Costs", table(titles, lines), about])


def _money(row: pd.Series[Any], price: float) -> list[str]:
    images = row["throughput_images_per_second"]
    per_million = float("nan") if pd.isna(images) else 1e6 / images / 3600 * price
    return [_cell(row["train_seconds"] / 3600 * price, _amount), _cell(per_million, _amount)]


def _amount(value: float) -> str:
    return f"{value:,.4f}" if value < 0.1 else f"{value:,.2f}"


def _cell(value: float, show: Callable[[float], str]) -> str:
    return fmt.MISSING if pd.isna(value) else show(value)
