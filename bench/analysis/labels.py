"""What a trial is called in tables and pictures.

Trials under one label are averaged and drawn together, so a label tells apart what must not be
mixed: random weights from pretrained ones, and one input size from another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.types import Record

RANDOM_INIT = "random init"


def labels(records: Sequence[Record]) -> Mapping[str, str]:
    """The label of each trial, by its key; failed trials go by the name of those that succeeded."""
    sizes: dict[str, set[int]] = {}
    succeeded: dict[tuple[str, int], str] = {}
    for record in records:
        sizes.setdefault(record.trial.backbone, set()).add(record.trial.input_size)
    found: dict[str, str] = {}
    for record in records:
        trial = record.trial
        label = trial.backbone
        if len(sizes[label]) > 1:
            label = f"{label} {trial.input_size} px"
        if record.weights is not None and not record.weights.pretrained:
            label = f"{label} ({RANDOM_INIT})"
        found[trial.key] = label
        if record.status == "ok":
            succeeded.setdefault((trial.backbone, trial.input_size), label)
    for record in records:
        if record.status == "failed":
            where = (record.trial.backbone, record.trial.input_size)
            found[record.trial.key] = succeeded.get(where, found[record.trial.key])
    return found
