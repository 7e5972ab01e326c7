"""`table.tex`: the ranked table as a booktabs `tabular`, to `\\input` into a paper."""

from __future__ import annotations

from bench.analysis.escape import latin, shorten
from bench.reports.blocks import Table
from bench.reports.markdown import render_table

MAX_CELL = 60


def text(table: Table, about: str) -> str:
    """Return the table after a comment; it needs `\\usepackage{booktabs}`. tabulate escapes
    characters that are special in LaTeX."""
    body = render_table(table, "latex_booktabs", lambda _, text: latin(shorten(text, MAX_CELL)))
    return f"% {latin(about)}\n{body}\n"
