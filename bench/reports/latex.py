"""`table.tex`: the ranked table as a booktabs `tabular`, to `\\input` into a paper."""

from __future__ import annotations

from tabulate import tabulate

from bench.analysis.escape import latin, shorten
from bench.reports.blocks import Table

MAX_CELL = 60


def text(table: Table, about: str) -> str:
    """Return the table, which needs `\\usepackage{booktabs}`; tabulate escapes what is special to
    LaTeX."""
    body = tabulate(
        [[latin(shorten(cell, MAX_CELL)) for cell in row] for row in table.texts],
        headers=[latin(column.title) for column in table.columns],
        tablefmt="latex_booktabs",
        colalign=["left" if column.words else "right" for column in table.columns],
        disable_numparse=True,
    )
    return f"% {latin(about)}\n{body}\n"
