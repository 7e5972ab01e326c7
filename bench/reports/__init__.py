"""Reports of a run, rendered from its records alone: nothing here trains or imports Keras.

`bench.analysis` computes the figures once. Each format has its own file or folder here: `terminal`,
`markdown`, `csv`, `latex`, `figures`, `html`. A new format is a file and a line in `write`.

Importing this package is cheap: pandas and matplotlib are imported inside its functions.
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError, UnknownNameError
from bench.storage.run_folder import LATEST
from bench.system.files import temporary_sibling, write_atomic

if TYPE_CHECKING:
    from rich.console import Console

    from bench.analysis.findings import Findings
    from bench.reports.blocks import Section
    from bench.types import SplitName


def preload() -> None:
    """Import the modules that the other functions use, about 0.5 s, ahead of the first report."""
    from bench.reports import csv, figures, html, markdown, sections, terminal  # noqa: F401
    from bench.reports.html import index  # noqa: F401


def read(
    folder: Path, *, price_per_hour: float | None = None, margin: float | None = None
) -> Findings:
    """Read a run and compute its findings, from which every report is made. `price_per_hour` and
    `margin` (percentage points) replace the values given to the run."""
    from bench.analysis.findings import analyse_run
    from bench.storage.records import read_run

    run = read_run(folder)
    price = run.meta.price_per_hour if price_per_hour is None else price_per_hour
    points = run.meta.margin if margin is None else margin
    return analyse_run(replace(run, meta=replace(run.meta, price_per_hour=price, margin=points)))


def is_incomplete(findings: Findings, trials: Collection[str] | None = None) -> bool:
    """Return whether any of `trials` (keys; by default all of the run) failed, has no figures or
    cannot be ranked, or, without `trials`, whether a backbone or a plugin was left out."""
    run = findings.run
    every = (*run.all_records, *run.failed_reruns)
    requested = [r for r in every if trials is None or r.trial.key in trials]
    failed = any("failed" in (r.status, *(x.status for x in r.runtimes)) for r in requested)
    keys = {record.trial.key for record in requested}
    table = findings.trials
    without_figures = bool((table["trial"].isin(keys) & (table["reason"] != "")).any())
    left_out = trials is None and (run.meta.skipped or run.meta.broken_plugins)
    return bool(failed or without_figures or findings.verdict.differences or left_out)


def render(folder: Path, *, latex: bool = False, price_per_hour: float | None = None) -> list[Path]:
    """Write every report of the run in `folder`; return the files."""
    from bench.reports.sections import sections

    findings = read(folder, price_per_hour=price_per_hour)
    return write(findings, sections(findings), latex=latex)


def write(findings: Findings, shown: Sequence[Section], *, latex: bool = False) -> list[Path]:
    """Write every report with the sections `shown` into the run's folder; return the files."""
    from bench.data import thumbnails
    from bench.reports import csv, html, manifest, markdown
    from bench.reports import latex as tex
    from bench.reports.figures import pictures
    from bench.reports.sections import leaderboard
    from bench.storage.run_folder import refuse_links
    from bench.system.files import remove_stale, to_json

    run = findings.run
    refuse_links(run.folder)
    remove_stale(run.folder)
    drawn = pictures(shown, thumbnails.read_thumbnails(run.folder))
    written = []

    def write(path: str, content: str | bytes | Iterable[str]) -> None:
        write_atomic(run.folder / path, content)
        written.append(run.folder / path)

    # First, because it takes the most memory, which is free again for the others.
    write("report.html", html.report_page(findings, shown))
    write("verdict.json", to_json(findings.verdict, indent=2))
    write("summary.csv", csv.summary(findings))
    for section in shown:
        for name, table in section.files.items():
            write(name, csv.text(table))
    write("manifest.json", manifest.json_parts(run.all_records))
    if latex:
        about = f"{run.name}: dataset {run.dataset.name}. {leaderboard.explanation(findings)}"
        write("table.tex", tex.text(leaderboard.table(findings), about))
    # matplotlib's figures contain reference cycles. Collecting after each limits the memory, and is
    # fast while all older objects are frozen.
    gc.freeze()
    try:
        for picture in drawn:
            write(picture.path, picture.png())
            gc.collect()
    finally:
        gc.unfreeze()
    # Last, so that it links only to pictures that exist.
    write("report.md", markdown.text(shown, drawn))
    return written


def point_latest(results: Path, run: str) -> None:
    """Point `results/latest` to `run` atomically: a symbolic link or, where links do not work, a
    text file with its name."""
    latest = results / LATEST
    if latest.is_dir() and not latest.is_symlink():
        raise BenchError(
            f"{latest} is a folder, so it cannot name the newest run; move it elsewhere."
        )
    aside = temporary_sibling(latest)
    try:
        # Relative, so that `results/` can be moved or mounted elsewhere.
        aside.symlink_to(run, target_is_directory=True)
        aside.replace(latest)
    except OSError:
        # Windows without developer mode, and some network and USB disks, do not support links.
        write_atomic(latest, run + "\n")
    finally:
        aside.unlink(missing_ok=True)


def write_index(results: Path) -> Path:
    """Write `index.html`, the list of all runs of a results folder; return the file."""
    from bench.reports.html import index

    return index.write_index(results)


def shown_images(findings: Findings) -> dict[SplitName, Collection[int]]:
    """Return the indices, by split, of the images that the reports show as pictures."""
    from bench.analysis.mistakes import shown_images

    each = findings.explanations.values()
    nearest = (near for one in each for image in one.images.values() for near in image.nearest)
    return {"test": shown_images(findings.mistakes), "train": {near.image for near in nearest}}


def show(shown: Iterable[Section], console: Console, only: str = "") -> None:
    """Print the brief sections, as at the end of a run, or in full the one named `only`."""
    from bench.reports import terminal

    found = {section.name: section for section in shown}
    if only and only not in found:
        raise UnknownNameError("section", only, list(found))
    if only:
        terminal.show([replace(found[only], brief=False)], console, folded=True)
    else:
        terminal.show([section for section in found.values() if section.brief], console)
