"""What a trained model costs where it runs: arithmetic, memory, energy and, where a price is given,
money."""

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
    "Utilisation is that arithmetic at the best throughput, over what a matrix product does on "
    "this device in the same process; large convolutions can do better than that, above 100%. "
    "Memory for training is the whole process at its peak; for inference it is by how much a "
    "process grows at most that has loaded the framework and makes this model answer one image, "
    "the libraries' own code left out."
)


def text(findings: Findings) -> str:
    """A row for each backbone that finished; columns that nothing was measured for are left out."""
    ok = findings.backbones[findings.backbones["status"] == "ok"]
    if not len(ok) or ok["gflops"].isna().all():
        return ""
    figures = [figure for figure in FIGURES if not ok[figure[1]].isna().all()]
    price = findings.run.meta.get("price_per_hour")
    titles = ["Backbone", *(title for title, _, _ in figures)]
    titles += ["Cost of training", "Cost of 1 M images"] if price else []
    lines = [
        [safe(row["label"])]
        + [_cell(row[name], show) for _, name, show in figures]
        + (_money(row, float(price)) if price else [])
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
