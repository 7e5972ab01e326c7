"""Reports of a run, rendered from its records alone: nothing here trains or imports Keras.

    labels, table, findings     what the records say, as data frames, derived once
    format, escape, columns     how a figure or a name is written, whatever the format
    facts                       the lines above every table, and the warnings
    terminal, markdown, csv, latex, figures, html     one format each

A new format is one more file and a line in `render`. Importing this package is cheap; what pandas
and matplotlib cost is paid by its functions.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.report.latest import point_latest

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["point_latest", "render", "show", "shown_images", "write_index"]


def render(folder: Path, *, latex: bool = False, price_per_hour: float | None = None) -> list[Path]:
    """Write every report of the run in `folder`; returns the files. A price takes the place of the
    one that the run was given."""
    from bench.files import to_json, write_atomic
    from bench.manifest import manifest
    from bench.records import load_run, read_records
    from bench.report import csv, html, markdown, runtimes
    from bench.report import latex as tex
    from bench.report.figures import pictures
    from bench.report.findings import find

    run = load_run(folder)
    if price_per_hour is not None:
        run = replace(run, meta={**run.meta, "price_per_hour": price_per_hour})
    findings = find(run)
    drawn = pictures(findings)
    written = []

    def write(path: str, content: str | bytes) -> None:
        write_atomic(folder / path, content)
        written.append(folder / path)

    write("verdict.json", to_json(asdict(findings.verdict), indent=2))
    write("summary.csv", csv.summary(findings))
    write("per_class.csv", csv.per_class(findings))
    if findings.learning is not None and findings.learning.points:
        write("learning_curve.csv", csv.learning_curve(findings.learning))
    if findings.robustness is not None:
        write("robustness.csv", csv.robustness(findings.robustness))
    if timed := runtimes.rows(findings):
        write("runtimes.csv", csv.runtimes(timed))
    write("manifest.json", to_json([manifest(r) for r in read_records(folder)], indent=2))
    if latex:
        write("table.tex", tex.text(findings))
    for picture in drawn:
        write(picture.path, picture.png())
    write("report.html", html.page(findings))
    # Last, so that it never links to a picture that is not there yet.
    write("report.md", markdown.text(findings, drawn))
    return written


def write_index(results: Path) -> Path:
    """List all runs of a results folder in its `index.html`; returns the file."""
    from bench.report.html import index

    return index.write_index(results)


def shown_images(folder: Path) -> tuple[int, ...]:
    """The test images, by their place in the split, of which the reports show pictures."""
    from bench.records import load_run
    from bench.report.findings import find
    from bench.report.mistakes import shown

    return shown(find(load_run(folder)).mistakes)


def show(folder: Path, console: Console) -> None:
    """Print the ranked table, under what was run and what a reader must be warned of."""
    from bench.records import load_run
    from bench.report import terminal

    terminal.show(load_run(folder), console)
