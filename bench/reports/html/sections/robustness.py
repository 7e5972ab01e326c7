"""Accuracy on corrupted test images."""

from __future__ import annotations

from collections.abc import Mapping

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.reports.html.evidence import Seen
from bench.reports.html.values import Json, cell, table, text


def data(findings: Findings, seen: Mapping[str, Seen]) -> Json | None:
    found = findings.robustness
    if found is None:
        return None
    rows = [
        [text(label), _share(row.clean), _share(row.mean)]
        + [_share(float(share)) for share in row.corrupted.mean(axis=1)]
        for label, row in found.rows.items()
    ]
    titles = ["Backbone", "As they are", "Corrupted", *map(text, found.corruptions)]
    images = next(iter(found.rows.values())).images
    about = (
        f"Accuracy on {images:,} test images, clean and corrupted, each corruption the mean "
        f"over {found.strengths} strengths; robustness.csv has every strength with its 95% "
        f"interval. Noise and JPEG are applied to the pixels at the network's input size, so "
        f"compare backbones of the same input size."
    )
    return {"about": about, "table": table(titles, rows, left=(0,)), "heat": [1, len(titles)]}


def _share(share: float) -> Json:
    return cell(fmt.percent(share), share)
