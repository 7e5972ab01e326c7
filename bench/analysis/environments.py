"""Differences between the environments of trials."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bench.types import Record

WHICH_GPU = "variables CUDA_VISIBLE_DEVICES"
NOT_RECORDED = "not recorded"


def flatten(
    values: Mapping[str, Any], prefix: str = "", *, empty: bool = False
) -> Iterator[tuple[str, str]]:
    """Yield the leaves of nested mappings, as joined keys and text.

    Values that are "" or None are left out unless `empty` is set.
    """
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key} ", empty=empty)
        elif empty or value not in ("", None):
            yield f"{prefix}{key}", str(value)


def differing_fields(records: Iterable[Record]) -> list[str]:
    """Return the environment fields that differ between the trials that finished."""
    seen = [dict(flatten(record.environment)) for record in records if record.status == "ok"]
    # Which of several GPUs a trial used does not count as a difference; their names do.
    keys = dict.fromkeys(key for values in seen for key in values if key != WHICH_GPU)
    return [key for key in keys if len({values.get(key) for values in seen}) > 1]


@dataclass(frozen=True)
class ChangedFact:
    """One field that changed when a trial was trained again."""

    fact: str
    before: str
    after: str


def changes(before: Record, after: Record) -> list[ChangedFact]:
    """Return the fields of weights and environment that differ between two runs of one trial."""
    old, new = _facts(before), _facts(after)
    return [
        ChangedFact(fact, old.get(fact, NOT_RECORDED), new.get(fact, NOT_RECORDED))
        for fact in sorted({*old, *new})
        if old.get(fact) != new.get(fact)
    ]


def _facts(record: Record) -> dict[str, str]:
    weights = {} if record.weights is None else asdict(record.weights)
    return dict(flatten({"weights": weights, **record.environment}, empty=True))
