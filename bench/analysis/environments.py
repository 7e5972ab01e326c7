"""The environments that trials ran in: which fields differ between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bench.types import Record

WHICH_GPU = "variables CUDA_VISIBLE_DEVICES"


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the innermost values of nested mappings, by their joined keys."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key} ")
        elif value not in ("", None):
            yield f"{prefix}{key}", str(value)


def differing(records: Iterable[Record]) -> list[str]:
    """Return the environment fields that differ between the trials that finished."""
    seen = [dict(flat(record.environment)) for record in records if record.status == "ok"]
    # Which of several GPUs a trial used does not count as a difference; their names do.
    keys = dict.fromkeys(key for values in seen for key in values if key != WHICH_GPU)
    return [key for key in keys if len({values.get(key) for values in seen}) > 1]
