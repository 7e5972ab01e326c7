"""Conditions after a case: nothing lost, doubled, wrong or left behind, and clear messages."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .home import BACKBONES, SEEDS, Home

Arrays = Mapping[str, NDArray[np.generic]]
Figures = Mapping[tuple[str, int], Arrays]  # by backbone and seed

TIMED = re.compile("^(latency|warmup|energy|__)")  # and what is said of the file itself
UNFINISHED = re.compile(r"\..*\.\d+-[0-9a-f]{16}")
BAD_WORDS = (
    *("Traceback", "fault of backbone-bench", "bug; rerun with --debug", "Exception ignored"),
    *("Fatal Python error", "Exception in thread", "most recent call"),
)
REPORTS = ("report.md", "report.html", "summary.csv", "per_class.csv", "manifest.json")
EXPECTED = Counter((name, seed) for name in BACKBONES for seed in range(SEEDS))


def figures(run: Path) -> Figures:
    """Return all arrays of a run that do not depend on timing."""
    found: dict[tuple[str, int], Arrays] = {}
    for record in records(run):
        trial = record["trial"]
        with np.load(run / "arrays" / f"{trial['key']}.npz", allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files if not TIMED.match(name)}
        found[trial["backbone"], trial["seed"]] = arrays
    return found


def records(run: Path) -> list[dict[str, Any]]:
    """Return the lines of the records file."""
    text = (run / "records.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


def incomplete(run: Path, reference: Figures, per_class: str | None) -> Iterator[str]:
    """Yield missing, doubled and wrong parts of a run that ended with 0."""
    try:
        lines = records(run)
    except (OSError, ValueError) as error:
        yield f"{run.name}: its records cannot be read: {error}"
        return
    held = Counter((line["trial"]["backbone"], line["trial"]["seed"]) for line in lines)
    if held != EXPECTED:
        yield f"{run.name}: records are {dict(held)}"
    if failed := [line.get("reason") for line in lines if line["status"] != "ok"]:
        yield f"{run.name}: failed records after exit code 0: {failed[:1]}"
        return
    try:
        found = figures(run)
    except (OSError, ValueError, KeyError) as error:
        yield f"{run.name}: its arrays cannot be read: {type(error).__name__} {error}"
        return
    for place, arrays in reference.items():
        yield from (f"{run.name} {place}: {what}" for what in _unlike(found.get(place, {}), arrays))
    for name in REPORTS:
        if not (run / name).is_file():
            yield f"{run.name}: no {name}"
    if per_class is not None and wrong_table(run, per_class):
        yield f"{run.name}: per_class.csv is not that of the undisturbed run"
    if not (run.parent / "index.html").is_file():
        yield "no index.html"
    latest = run.parent / "latest"
    # Where a link cannot be made, it is a text file that names the run.
    named = (
        latest
        if latest.is_dir() or not latest.is_file()
        else run.parent / latest.read_text().strip()
    )
    if not (named / "run.json").exists():
        yield "`latest` leads nowhere"


def wrong_table(run: Path, per_class: str) -> bool:
    """Return whether the figures by class differ from the expected ones, in any order."""
    return sorted(_lines(run)) != sorted(per_class.splitlines())


def other_figures(run: Path, per_class: str) -> bool:
    """Return whether a figure by class is not one of the undisturbed run."""
    return not set(_lines(run)) <= set(per_class.splitlines())


def _lines(run: Path) -> list[str]:
    path = run / "per_class.csv"
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def badly_told(output: str) -> Iterator[str]:
    """Return words in an output that no user should see."""
    for words in BAD_WORDS:
        if words in output:
            at = output.index(words)
            yield f"output has {words!r}: ...{output[max(0, at - 300) : at + 1200]}"
            return


def left_behind(home: Home) -> Iterator[str]:
    """Yield temporary files, and files outside the given folders."""
    allowed = {"cache", "results", "tmp", "data", "photos.zip", "plugin.py", "mine.toml", "weights"}
    for path in sorted(home.root.iterdir()):
        if path.name not in allowed:
            yield f"left behind: {path.name}"
    for folder in (home.cache, home.results, home.temporary):
        for path in sorted(folder.rglob("*")):
            if UNFINISHED.fullmatch(path.name):
                yield f"left behind: {path.relative_to(home.root)}"
    for path in sorted(home.temporary.iterdir()):
        yield f"left behind: {path.relative_to(home.root)}"


def _unlike(found: Arrays, wanted: Arrays) -> Iterator[str]:
    if set(found) != set(wanted):
        yield f"arrays are {sorted(found)}"
        return
    for name, array in wanted.items():
        other = found[name]
        if other.dtype != array.dtype or not np.array_equal(other, array):
            yield f"{name} is not that of the undisturbed run"
