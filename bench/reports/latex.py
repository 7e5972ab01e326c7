"""`table.tex`: the ranked table as a booktabs `tabular`, to `\\input` into a paper."""

from __future__ import annotations

from tabulate import tabulate

from bench.analysis import columns
from bench.analysis.escape import latin, shorten
from bench.analysis.findings import Findings


def text(findings: Findings) -> str:
    """Return the table, which needs `\\usepackage{booktabs}`; tabulate escapes what is special to
    LaTeX."""
    run = findings.run
    every = columns.of(findings.table)
    titles = ["#", "Backbone", *(column.title for column in every)]
    rows = [
        [columns.rank(row), shorten(columns.name(row), 60), *(c.cell(row) for c in every)]
        for _, row in findings.table.iterrows()
    ]
    body = tabulate(
        [[latin(cell) for cell in row] for row in rows],
        headers=titles,
        tablefmt="latex_booktabs",
        colalign=("right", "left", *("right" for _ in every)),
        disable_numparse=True,
    )
    about = f"{run.name}: dataset {run.dataset.name}. {columns.explanation(findings)}"
    return f"% {latin(about)}\n{body}\n"
