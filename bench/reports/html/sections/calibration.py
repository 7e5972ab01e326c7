"""Calibration: confidence against accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.scores import RANDOM_INIT
from bench.analysis.statistics import wilson
from bench.reports.html.evidence import Seen
from bench.reports.html.values import Json, numbers, text


def data(findings: Findings, seen: Mapping[str, Seen]) -> Json | None:
    rows = {row["label"]: row for _, row in findings.backbones.iterrows()}
    backbones = [
        _backbone(label, one, rows[label])
        for label, one in seen.items()
        # The confidence of random weights is meaningless.
        if one.predicted and not label.endswith(f"({RANDOM_INIT})")
    ]
    return {"backbones": backbones} if backbones else None


def _backbone(label: str, one: Seen, row: pd.Series[Any]) -> Json:
    count, sure, right = one.reliability
    ends = []
    for answers, share in zip(count, right, strict=True):
        # The seeds answered the same images: one sample of images, not several.
        images = max(1, round(answers / len(one.predicted)))
        ends.append(numbers(wilson(float(share) * images, images)) if answers else None)
    words = [f"calibration error {fmt.percent(row['ece'])}"]
    words += [f"exact probabilities would show about {fmt.percent(row['ece_chance'])}"]
    if pd.notna(row["scaled_ece"]):
        words.append(f"{fmt.percent(row['scaled_ece'])} after temperature scaling")
    return {
        "label": text(label),
        "count": count.tolist(),
        "sure": numbers(sure),
        "right": numbers(right),
        "ends": ends,
        "words": words,
    }
