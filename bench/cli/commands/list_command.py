"""`list`: show the available backbones, data sets, protocols, runtimes, export formats etc."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.cli.json_lines import write
from bench.cli.shared_options import add_shared
from bench.data.sources import SOURCES
from bench.errors import Exit
from bench.execution.executors import EXECUTORS
from bench.execution.plan import choose_backbones
from bench.inference.export import EXPORT_FORMATS
from bench.inference.runtimes import RUNTIMES
from bench.models import weights
from bench.protocol import load_protocol, protocol_names
from bench.registry import BACKBONE_SOURCES, BACKBONES, Registry, lacking, load_plugins
from bench.types import Backbone

Rows = list[dict[str, Any]]

# The argument that requests one list, and the title of that list.
TOPICS = {
    **{name: name for name in ("backbones", "datasets", "protocols", "runtimes")},
    "formats": "export formats",
    "executors": "executors",
    "sources": "backbone sources",
}
WRAPPED = ("summary", "available")  # columns whose text may take several lines
# Columns that a narrow terminal leaves out, the last one first.
OPTIONAL_COLUMNS = ("px", "million parameters", "published top-1", "GMACs", "in `all`")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAMES",
        help=f"backbones to list, as for `run --backbones`: zoo, NAME, 'resnet*', ...; "
        f"or lists to show: {', '.join(TOPICS)} (all lists)",
    )
    add_shared(parser, "--plugin", "--json")


def main(arguments: argparse.Namespace) -> int:
    """Print the lists as tables or as JSON; return 3 if an installed plugin is broken."""
    broken = [str(error) for error in load_plugins(arguments.plugins, arguments.packages)]
    for line in broken:
        print(f"warning: {line}", file=sys.stderr)
    # `list protocol` is accepted for `list protocols`.
    words = {name: f"{name.removesuffix('s')}s" for name in arguments.names}
    topics = [title for word, title in TOPICS.items() if word in words.values()]
    names = [name for name, word in words.items() if word not in TOPICS]
    lists: dict[str, Rows] = {}
    if topics or not names:
        every = _every_list([b for b in BACKBONES if b.in_all or arguments.json])
        lists = {title: every[title] for title in topics or every}
    if names:
        lists["backbones"] = [_backbone(b) for b in choose_backbones(",".join(names))]
    if arguments.json:
        write(lists)
    else:
        console = Console(highlight=False)
        for title, rows in lists.items():
            _show(console, title, rows)
            more = len(BACKBONES) - len(rows)
            if title == "backbones" and more and not names:
                console.print(f"{more} more: `list zoo`, `list 'resnet*'`", style="dim")
            console.print()
    return Exit.INCOMPLETE if broken else Exit.DONE


def _every_list(backbones: Sequence[Backbone]) -> dict[str, Rows]:
    return {
        "backbones": [_backbone(backbone) for backbone in backbones],
        "datasets": [
            {"name": s.usage, "summary": s.help, "available": lacking(SOURCES.kind, s) or "yes"}
            for s in sorted(SOURCES, key=lambda source: source.usage.lower())
        ],
        "protocols": [_protocol(name) for name in protocol_names()],
        "runtimes": _registered(RUNTIMES),
        "export formats": _registered(EXPORT_FORMATS),
        "executors": _registered(EXECUTORS),
        "backbone sources": _registered(BACKBONE_SOURCES),
    }


def _backbone(backbone: Backbone) -> dict[str, Any]:
    return {
        "name": backbone.name,
        "px": backbone.input_size,
        "million parameters": _rounded(backbone.parameters and backbone.parameters / 1e6),
        "GMACs": _rounded(backbone.gmacs),
        "published top-1": backbone.top1,
        "in `all`": "yes" if backbone.in_all else "by name",
        "weights": weights.describe_availability(backbone, "auto", backbone.input_size),
    }


def _protocol(name: str) -> dict[str, Any]:
    protocol = load_protocol(name)
    return {
        "name": name,
        "epochs": " + ".join(str(phase.epochs) for phase in protocol.phases),
        "px": protocol.input_size or "each one's own",
        "summary": protocol.summary,
    }


def _registered(registry: Registry[Any]) -> Rows:
    return [
        {"name": one.name, "summary": one.help, "available": lacking(registry.kind, one) or "yes"}
        for one in registry
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _show(console: Console, title: str, rows: Rows) -> None:
    console.print(title, style="bold")
    if not rows:
        console.print("none registered")
        return
    columns = _fitting_columns(rows, console.width)
    console.print(_table(rows, columns))
    if out := [column for column in rows[0] if column not in columns]:
        console.print(f"too narrow for {', '.join(out)}: --json has all", style="dim")


def _fitting_columns(rows: Rows, width: int) -> list[str]:
    """Return all required columns, and as many of the optional ones as fit the width."""
    from bench.reports.terminal import count_fitting  # late: `list --help` does not need it

    needed = [column for column in rows[0] if column not in OPTIONAL_COLUMNS]
    order = [*needed, *(column for column in OPTIONAL_COLUMNS if column in rows[0])]
    count = count_fitting([_width(rows, column) for column in order], width, len(needed))
    return [column for column in rows[0] if column in order[:count]]


def _width(rows: Rows, column: str) -> int:
    """Return the width of a column's longest cell, or of its longest word if it is wrapped."""
    cells = [_cell(column, row[column]) for row in rows]
    texts = " ".join(cells).split() if column in WRAPPED else cells
    return max(map(cell_len, [*column.split(), *texts]))


def _table(rows: Rows, columns: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        numeric = any(isinstance(row[column], int | float) for row in rows)
        table.add_column(
            column if column in WRAPPED else column.replace(" ", "\n"),
            justify="right" if numeric else "left",
            no_wrap=column not in WRAPPED,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(_cell(column, row[column])) for column in columns))
    return table


def _cell(column: str, value: Any) -> str:
    if value is None:
        return "-"
    # Without the path of the weights file, which takes most of a line; --json has it.
    return str(value).partition(": ")[0] if column == "weights" else str(value)
