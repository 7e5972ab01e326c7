"""`cache`: show what the cache holds, or clear it."""

from __future__ import annotations

import argparse
from collections import defaultdict
from datetime import datetime

from rich.console import Console
from rich.table import Table

from bench.cli.shared_options import add_cache
from bench.errors import BenchError
from bench.storage.cache import Entry, Store
from bench.storage.shared_folder import EXTRACTED


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "action",
        nargs="?",
        choices=("summary", "list", "clear"),
        default="summary",
        help="show a summary by kind, list every entry, or delete all entries not in use (summary)",
    )
    add_cache(parser)


def main(arguments: argparse.Namespace) -> int:
    """Show a summary by kind, list every entry, or delete all entries not in use."""
    console = Console(highlight=False, markup=False)
    store = Store(arguments.cache, int(arguments.cache_gb * 1e9))
    if arguments.action == "clear":
        cleared = store.clear()
        console.print(f"freed {cleared.freed / 1e6:,.0f} MB in {store.root}", soft_wrap=True)
        if cleared.in_use:
            text = f"kept {cleared.in_use:,} entries that a running process uses; clear again later"
            console.print(text, style="yellow", soft_wrap=True)
        if cleared.refused:
            raise BenchError(f"{cleared.refused:,} entries in {store.root} cannot be deleted.")
        return 0
    entries = store.entries()
    extracted = [nbytes for _, nbytes in store.extracted_archives()]
    console.print(_each(entries) if arguments.action == "list" else _by_kind(entries, extracted))
    total = sum(entry.nbytes for entry in entries) + sum(extracted)
    limit = f"limit {store.limit_bytes / 1e9:,.0f} GB"
    console.print(f"{total / 1e6:,.0f} MB in {store.root}, {limit}", soft_wrap=True)
    return 0


def _by_kind(entries: list[Entry], extracted: list[int]) -> Table:
    table = _table("kind", "entries", "MB", "made in", "last used")
    kinds: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        kinds[entry.kind if entry.readable else "unreadable"].append(entry)
    for kind, found in sorted(kinds.items()):
        table.add_row(
            kind,
            f"{len(found):,}",
            _megabytes(sum(entry.nbytes for entry in found)),
            f"{sum(entry.cost_seconds for entry in found):,.1f} s",
            _date(max(entry.used for entry in found)),
        )
    if extracted:
        table.add_row(EXTRACTED, f"{len(extracted):,}", _megabytes(sum(extracted)))
    return table


def _each(entries: list[Entry]) -> Table:
    """Return a table of the entries, the least recently used first."""
    table = _table("kind", "MB", "made in", "last used", "description")
    for entry in entries:
        cost = f"{entry.cost_seconds:,.1f} s"
        used, size = _date(entry.used), _megabytes(entry.nbytes)
        table.add_row(entry.kind, size, cost, used, entry.description)
    return table


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in titles:
        right = title in ("entries", "MB", "made in")
        table.add_column(title, justify="right" if right else "left", no_wrap=title != "what")
    return table


def _megabytes(nbytes: int) -> str:
    return f"{nbytes / 1e6:,.1f}"


def _date(used: float) -> str:
    return datetime.fromtimestamp(used).isoformat(" ", "minutes") if used else "-"
