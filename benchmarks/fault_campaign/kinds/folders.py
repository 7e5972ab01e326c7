"""Damaged run folders, which must be refused with a helpful error or repaired."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..case import ERROR, OK, PARTLY, REPORT, USAGE, Case, kind
from ..damage import damage, replace_by_something

CHOOSE = ("choose", "r", "--results", "results")
VALUES: tuple[Any, ...] = (None, 7, -1, 1.5, "word", "", [], {}, [[]], True, "\ud800", 10**400)
ENDS = (OK, ERROR, USAGE, PARTLY)
STATED = ("run.json", "dataset.json", "records.jsonl", "audit.json")
FILES = (*STATED, *STATED, "arrays/*", "arrays/*", "thumbnails/*", "weights/*", "audit/*", "*")


@kind(5, state="warm")
def damaged_run_file(case: Case) -> None:
    """Damage a file of a run, and try each command that reads it."""
    path = _one_of(case, case.rng.choice(FILES))
    case.note(damage(path, case.rng))
    _read_it(case, figures_hold=path.name not in ("dataset.json", "records.jsonl"))


@kind(2, state="warm")
def run_file_of_another_kind(case: Case) -> None:
    path = _one_of(case, case.rng.choice((*FILES, "arrays", "weights", "thumbnails", "figures")))
    case.note(replace_by_something(path, case.rng))
    _read_it(case)


@kind(2, state="warm")
def missing_run_file(case: Case) -> None:
    path = _one_of(case, case.rng.choice((*FILES, "arrays", "weights")))
    case.note(f"remove {path.relative_to(_run(case))}")
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    _read_it(case)


@kind(2, state="warm")
def run_json_of_another_type(case: Case) -> None:
    """Replace a value in the JSON files by one of another type."""
    path = _run(case) / case.rng.choice(("run.json", "dataset.json", "audit.json"))
    if not path.is_file():
        path = _run(case) / "run.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    case.note(f"{path.name}: {_change_one(content, case)}")
    path.write_text(json.dumps(content), encoding="utf-8")
    _read_it(case, figures_hold=False)


@kind(2, state="warm")
def record_of_another_type(case: Case) -> None:
    path = _run(case) / "records.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")
    content = json.loads(lines[0])
    case.note(f"a record: {_change_one(content, case)}")
    path.write_text("\n".join([json.dumps(content), *lines[1:]]), encoding="utf-8")
    _read_it(case, figures_hold=False)


@kind(2, state="warm")
def lines_doubled_or_cut(case: Case) -> None:
    path = _run(case) / "records.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    chosen = case.rng.randrange(len(lines))
    changes: dict[str, Callable[[], str]] = {
        "a line twice": lambda: "".join([*lines, lines[chosen]]),
        "all lines twice": lambda: "".join(lines * 2),
        "the order turned": lambda: "".join(reversed(lines)),
        "the last line cut": lambda: "".join(lines)[: -case.rng.randrange(2, len(lines[-1]))],
        "empty lines": lambda: "\n\n".join(lines) + "\n\n",
        "Windows' line ends": lambda: "".join(lines).replace("\n", "\r\n"),
        "a line lost": lambda: "".join(lines[:chosen] + lines[chosen + 1 :]),
    }
    how = case.rng.choice(sorted(changes))
    case.note(how)
    path.write_bytes(changes[how]().encode())
    words = case.rng.choice((REPORT, CHOOSE))
    outcome = case.do(words, ENDS)
    lost = how in ("a line lost", "the last line cut")
    if words is REPORT and outcome.code == OK and not lost:
        case.check_table()
    if case.do(case.home.run(), (OK, ERROR)).code == OK:
        case.check_run()
    elif not lost:
        case.wrong(f"the same command does not mend it: {how}")


@kind(2, state="warm")
def arrays_exchanged(case: Case) -> None:
    """Exchange the arrays of two trials, of which no figure may be computed."""
    one, other = case.rng.sample(sorted((_run(case) / "arrays").iterdir()), 2)
    how = case.rng.choice(("exchange", "copy"))
    case.note(f"{how} the arrays of two trials")
    if how == "copy":
        shutil.copy(one, other)
    else:
        aside = one.with_name("aside.npz")
        one.rename(aside)
        other.rename(one)
        aside.rename(other)
    _read_it(case)


@kind(state="warm")
def links_in_a_run(case: Case) -> None:
    """Put links into a run folder, as in a shared one; nothing may be written to their targets."""
    outside = case.home.root / "data" / "outside"
    outside.mkdir()
    name = case.rng.choice(("figures", "arrays", "logs", "thumbnails", "audit", "report.md", "r"))
    path = _run(case) / name if name != "r" else case.home.results / "r2"
    case.note(f"{name} is a link to elsewhere")
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()
    path.symlink_to(outside)
    case.do(case.rng.choice((REPORT, case.home.run())), ENDS)
    if found := sorted(path.name for path in outside.rglob("*")):
        case.wrong(f"written through a link: {', '.join(found[:3])}")
    outside.rmdir() if not found else shutil.rmtree(outside)


@kind(0.5, state="warm")
def odd_names_among_the_results(case: Case) -> None:
    """Put other files into `results/`, which are no runs."""
    names = ("notes.txt", "a\nb", "\udcff".encode("utf-8", "surrogateescape").decode("latin1"))
    for name in names:
        folder = case.home.results / name
        if case.rng.random() < 0.5:
            folder.mkdir()
            (folder / "run.json").write_bytes(case.rng.choice((b"", b"null", b"[]", b"\xff")))
        else:
            folder.write_text("mine")
    case.do(case.rng.choice((REPORT, case.home.run())), (OK,))
    case.check_run()


def _read_it(case: Case, *, figures_hold: bool = True) -> None:
    """Every command that reads a run either works or says what to do. A table that is printed shows
    the right figures, or fewer."""
    words = case.rng.choice((REPORT, REPORT, CHOOSE, ("compare", "r", "r", "--results", "results")))
    before = _run(case) / "per_class.csv"
    if words is REPORT and before.is_file() and not before.is_symlink():
        before.unlink()
    outcome = case.do(words, ENDS)
    if words is REPORT and outcome.code == OK and figures_hold:
        case.check_table()
    again = case.do(case.home.run(), ENDS)
    if again.code == OK and figures_hold:
        case.check_run()
    if again.code == ERROR and len(again.output.strip().splitlines()[-1]) < 20:
        case.wrong(f"an error without words: {again.output[-300:]}")


def _run(case: Case) -> Path:
    return case.home.results / "r"


def _one_of(case: Case, pattern: str) -> Path:
    found = sorted(_run(case).glob(pattern)) or sorted(_run(case).glob("*"))
    if pattern not in ("arrays", "weights", "thumbnails", "figures"):
        found = [path for path in found if path.is_file()] or [_run(case) / "run.json"]
    return case.rng.choice(found)


def _change_one(content: Any, case: Case) -> str:
    """Replace a random value in place; return its position."""
    places: list[tuple[Any, Any, str]] = []

    def look(value: Any, name: str) -> None:
        items: list[tuple[Any, Any]] = []
        if isinstance(value, dict):
            items = list(value.items())
        elif isinstance(value, list):
            items = list(enumerate(value))[:3]
        for key, inner in items:
            places.append((value, key, f"{name}.{key}"))
            look(inner, f"{name}.{key}")

    look(content, "")
    holder, key, name = case.rng.choice(places)
    new: Any = case.rng.choice(
        [None, 7, -1, 1.5, "word", "", [], {}, [[]], True, "\ud800", 10**400]
    )
    if case.rng.random() < 0.2 and isinstance(holder, dict):
        del holder[key]
        return f"{name} removed"
    holder[key] = new
    return f"{name} = {ascii(new)[:20]}"
