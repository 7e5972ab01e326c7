"""`audit`: what is wrong with a data set, told before anything is trained on it."""

from __future__ import annotations

import argparse
import dataclasses

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bench import datasets
from bench.audit import (
    Audit,
    audit,
    contact_sheet,
    leaked_test_ids,
    train_ids_to_drop,
    validation_ids_to_drop,
)
from bench.audit.terminal import show
from bench.files import to_json
from bench.store import Store

SIZE = 160  # enough for 48-pixel thumbnails and for looking at the pairs
LEAKS_FOUND = 3


def main(arguments: argparse.Namespace) -> int:
    """Audit a data set and say what was found; 3 where `on_leak` is fail and there is a leak."""
    errors = Console(stderr=True, highlight=False)
    store = Store(arguments.cache, int(arguments.cache_gb * 1e9))
    listing = datasets.list_dataset(
        arguments.dataset,
        store=store,
        split_seed=arguments.split_seed,
        limit=arguments.limit,
        say=lambda text: errors.print(text, style="yellow", markup=False, soft_wrap=True),
    )
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    # On the error stream: what is asked for, JSON above all, is alone on the other.
    with Progress(*columns, console=errors, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage)
            bars.update(tasks[stage], completed=done, total=total)

        dataset = datasets.prepare(
            listing,
            [SIZE],
            store=store,
            progress=lambda done, total: report("decoding images", done, total),
        )
        found = audit(dataset, store, size=SIZE, reader=listing.reader, progress=report)
    if arguments.sheet is not None:
        drawn = contact_sheet(found, dataset, store, arguments.sheet, size=SIZE)
        errors.print(f"pairs     {drawn or 'none to draw'}", markup=False, soft_wrap=True)
    if arguments.json:
        print(to_json(_for_programs(found), indent=2))
    else:
        show(Console(highlight=False), found)
    harmful = leaked_test_ids(found) or found.conflicts
    return LEAKS_FOUND if harmful and arguments.on_leak == "fail" else 0


def _for_programs(found: Audit) -> dict[str, object]:
    """The findings, and what follows from them."""
    return {
        **dataclasses.asdict(found),
        "leaked_test_ids": leaked_test_ids(found),
        "train_ids_to_drop": train_ids_to_drop(found),
        "validation_ids_to_drop": validation_ids_to_drop(found),
    }
