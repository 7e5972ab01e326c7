"""The weight soup of a backbone: one model whose weights are the mean of several seeds'.

One trial of the backbone holds it. Its record has the course of the averaging (`Soup`), its arrays
the answers, under the names of a trial's after `soup_`. The weights are not stored again:
`bench.models.rebuild` averages those of the seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from bench.storage.arrays import Array
from bench.system.files import fields_of
from bench.types import Record, SoupTrial

PREFIX = "soup_"
LABELS = ("validation_labels", "test_labels")


def soup_of(record: Record) -> Record | None:
    """Return the soup that a trial holds as the record of a model: no training and no timings of
    its own; `None` where there is none, or it is one seed alone."""
    seeds = record.soup.seeds if record.soup is not None else ()
    if len(seeds) < 2:
        return None
    trial = SoupTrial(**fields_of(record.trial), averaged=seeds)
    return replace(record, trial=trial, phases=(), tuning=(), runtimes=(), session=None)


def trained_as(records: Iterable[Record], model: Record) -> tuple[Record, ...]:
    """Return the trials whose weights a model has: its own or, of a soup, its `ingredients`."""
    return ingredients(records, model) if isinstance(model.trial, SoupTrial) else (model,)


def ingredients(records: Iterable[Record], holder: Record) -> tuple[Record, ...]:
    """Return the trials whose weights the soup of a record averages, the most accurate first; none
    where one of them was trained again since, or is gone."""
    place = holder.trial.backbone, holder.trial.input_size
    known = {
        (record.trial.seed, record.finished): record
        for record in records
        if (record.trial.backbone, record.trial.input_size) == place
    }
    taken = [one for one in holder.soup.tried if one.taken] if holder.soup is not None else []
    found = [known.get((one.seed, one.finished)) for one in taken]
    present = tuple(record for record in found if record is not None)
    return present if len(present) == len(taken) else ()


def soup_arrays(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays of the soup among those of the trial that holds it."""
    found = {n.removeprefix(PREFIX): a for n, a in arrays.items() if n.startswith(PREFIX)}
    return found | {name: arrays[name] for name in LABELS if name in arrays}
