"""The ranked table in the terminal, below the lines that describe the run.

Plain text if the output is not a terminal. If the table is wider than the console, the least
important columns are left out; all of them are in `summary.csv`.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.analysis import columns, facts
from bench.analysis.columns import Column
from bench.analysis.escape import one_line, shorten
from bench.analysis.findings import Findings
from bench.analysis.scores import RANDOM_INIT
from bench.analysis.verdict import MAX_SENTENCE

MAX_NAME = 40
MAX_FACT = 400
GAP = 2


def show(findings: Findings, console: Console) -> None:
    """Print everything that a reader needs at the end of a run."""
    verdict = findings.verdict
    console.print(_plain(verdict.sentence, MAX_SENTENCE), style="bold")
    if verdict.certainty:
        console.print(_plain(verdict.certainty, MAX_SENTENCE), style="dim")
    console.print()
    lines = Table.grid(padding=(0, GAP))
    lines.add_column(style="bold", no_wrap=True)
    lines.add_column(overflow="fold")
    for title, text in facts.facts(findings):
        lines.add_row(title, _plain(text, MAX_FACT))
    console.print(lines)
    for warning in facts.warnings(findings):
        console.print(Text("! ", style="bold yellow") + _plain(warning, MAX_FACT))
    if len(findings.table):
        console.print()
        console.print(results(findings.table, console.width))


def results(table: pd.DataFrame, width: int) -> Table:
    """Return the leaderboard, with as many columns as fit into `width`."""
    names = [shorten(one_line(columns.name(row)), MAX_NAME) for _, row in table.iterrows()]
    every = columns.of(table)
    cells = {c.title: [_short(c.cell(row)) for _, row in table.iterrows()] for c in every}
    drawn = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    drawn.add_column("#", justify="right", no_wrap=True)
    drawn.add_column("Backbone", no_wrap=True, overflow="ellipsis")
    room = width - _widest(["#", str(len(table))]) - _widest(["Backbone", *names])
    shown = _fitting(every, cells, room)
    for column in shown:
        drawn.add_column(column.title, justify="right", no_wrap=True)
    for index, (_, row) in enumerate(table.iterrows()):
        figures = [cells[column.title][index] for column in shown]
        drawn.add_row(columns.rank(row), Text(names[index]), *figures, style=_style(row))
    return drawn


def _short(cell: str) -> str:
    """Shorten what would take the room of a column of figures."""
    return "no weights" if cell == columns.NO_WEIGHTS else cell


def _fitting(every: Sequence[Column], cells: dict[str, list[str]], room: int) -> list[Column]:
    """Return the most important columns that fit, in display order."""
    kept: set[str] = set()
    for column in sorted(every, key=lambda c: -c.importance):
        room -= _widest([column.title, *cells[column.title]])
        if room < 0:
            break
        kept.add(column.title)
    return [column for column in every if column.title in kept]


def _widest(texts: list[str]) -> int:
    return max(map(cell_len, texts)) + GAP


def _style(row: pd.Series) -> str:
    if row["status"] != "ok":
        return "red"
    return "dim" if row["weights"] == RANDOM_INIT else ""


def _plain(text: str, most: int) -> Text:
    return Text(shorten(one_line(text), most))
