"""The costs of a trained model: arithmetic, memory, energy and, with `--price-per-hour`, money."""

from __future__ import annotations

from dataclasses import replace

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.reports.blocks import Column, Section, metric_column, metrics_table

PLACE = 100


def _amount(value: float) -> str:
    return f"{value:,.4f}" if value < 0.1 else f"{value:,.2f}"


FIGURES = (
    metric_column("params", "Parameters", fmt.count),
    metric_column("gflops", "GFLOP an image", fmt.significant),
    metric_column("utilisation", "Utilisation", fmt.percent),
    metric_column("training_memory_mb", "Memory, training", fmt.megabytes),
    metric_column("training_gpu_memory_mb", "GPU memory, training", fmt.megabytes),
    metric_column("inference_memory_mb", "Memory, inference", fmt.megabytes),
    metric_column("inference_gpu_memory_mb", "GPU memory, inference", fmt.megabytes),
    metric_column("energy_j_per_1000", "J for 1,000 images", fmt.significant),
    metric_column("throughput_batch", "Best batch", fmt.count),
    metric_column("throughput_images_per_second", "Images/s", fmt.significant),
)
AMOUNTS = (
    Column("Cost of training", _amount, "training_cost", better="lower"),
    Column("Cost of 1 M images", _amount, "images_cost", better="lower"),
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
    """Return a row for each backbone that finished, without the empty columns."""
    ok = findings.backbones[findings.backbones["status"] == "ok"]
    if not len(ok) or ok["gflops"].isna().all():
        return None
    shown = list(FIGURES)
    price = findings.run.meta.price_per_hour
    about = ABOUT
    if price:
        about += f" Costs are computed at {price:g} per hour."
        shown += AMOUNTS
        second = price / 3600
        images = 1e6 / ok["throughput_images_per_second"]
        ok = ok.assign(training_cost=second * ok["train_seconds"], images_cost=second * images)
    table = metrics_table("Costs", shown, (row for _, row in ok.iterrows()))
    return Section("costs", "Costs", "", [replace(table, about=about)])
