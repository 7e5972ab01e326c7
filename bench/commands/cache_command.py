"""`cache`: what has been computed once and kept, and how to be rid of it."""

from __future__ import annotations

import argparse
from datetime import datetime

from rich.console import Console
from rich.table import Table

from bench.store import Store


def main(arguments: argparse.Namespace) -> int:
    """List the entries, least recently used first, or delete them all."""
    console = Console(highlight=False)
    store = Store(arguments.cache, int(arguments.cache_gb * 1e9))
    if arguments.action == "clear":
        console.print(f"freed {store.clear() / 1e6:,.0f} MB in {store.root}")
        return 0
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("kind", "MB", "made in", "last used", "what"):
        table.add_column(title, justify="right" if title in ("MB", "made in") else "left")
    total = 0
    for entry in store.entries():
        total += entry.nbytes
        used = datetime.fromtimestamp(entry.used).isoformat(" ", "minutes")
        size, cost = f"{entry.nbytes / 1e6:,.1f}", f"{entry.cost_seconds:,.1f} s"
        table.add_row(entry.kind, size, cost, used, entry.description)
    console.print(table)
    console.print(f"{total / 1e6:,.0f} MB in {store.root}, bound {store.limit_bytes / 1e9:,.0f} GB")
    return 0
