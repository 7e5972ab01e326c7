"""A fixture that builds the evidence of one trial from arrays and record fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.storage.arrays import write_arrays
from bench.storage.records import SCHEMA, Evidence
from bench.types import Record, Settings, Trial

TRIAL = Trial("net", 32, "data", "f" * 8, "default", "d" * 8, 1, Settings(), key="k1")

MakeEvidence = Callable[..., Evidence]


@pytest.fixture
def make_evidence(tmp_path: Path) -> MakeEvidence:
    def make(
        arrays: Mapping[str, Any] | None = None,
        classes: tuple[str, ...] = ("cats", "dogs"),
        **measured: Any,
    ) -> Evidence:
        if arrays is not None:
            write_arrays(tmp_path, TRIAL.key, {k: np.asarray(v) for k, v in arrays.items()})
        record = Record(schema=SCHEMA, trial=TRIAL, status="ok", **measured)
        return Evidence(record, classes, tmp_path)

    return make
