"""Damaged, missing and foreign entries of the cache, which must be computed again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from ..case import OK, PARTLY, Case, kind
from ..damage import damage, replace_by_something

HOW_MANY = (1, 1, 1, 2, 5, 1000)


@kind(4, state="warm")
def damaged_entry(case: Case) -> None:
    files = _files(case, "entries/*/*/*")
    for path in _some(case, files):
        case.note(damage(path, case.rng))
    case.run_whole(name="s")
    case.run_whole()


@kind(2, state="warm")
def missing_entry(case: Case) -> None:
    for path in _some(case, _files(case, case.rng.choice(("entries/*/*/*", "entries/*/*")))):
        case.note(f"remove {path.relative_to(case.home.cache)}")
        _remove(path)
    case.run_whole(name="s")


@kind(2, state="warm")
def entry_of_another_kind(case: Case) -> None:
    """Replace an entry by a file, a link or a folder."""
    pattern = case.rng.choice(("entries", "entries/*", "entries/*/*", "entries/*/*/*", "locks"))
    for path in _some(case, _files(case, pattern)):
        case.note(replace_by_something(path, case.rng))
    case.run_whole(name="s")


@kind(2, state="warm")
def entries_exchanged(case: Case) -> None:
    """Exchange the folders or the files of two entries."""
    pattern = case.rng.choice(("entries/*/*", "entries/*/*/data.npy", "entries/*/*/meta.json"))
    one, other = case.rng.sample(_files(case, pattern), 2)
    case.note(f"exchange {one.relative_to(case.home.cache)} and {other.parent.name}/{other.name}")
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)
    case.run_whole(name="s")


@kind(2, state="extracted")
def damaged_extraction(case: Case) -> None:
    files = [path for path in _files(case, "extracted/**/*") if path.is_file()]
    for path in _some(case, files):
        if case.rng.random() < 0.5:
            case.note(f"remove {path.name}")
            path.unlink()
        else:
            case.note(damage(path, case.rng))
    if case.rng.random() < 0.5:  # what was decoded of it is gone, too
        shutil.rmtree(case.home.cache / "entries")
    case.run_whole(name="s", data=case.home.archive)


@kind(state="warm")
def cache_command_on_damage(case: Case) -> None:
    for path in _some(case, _files(case, "entries/*/*/*")):
        case.note(damage(path, case.rng))
    for action in ("list", "clear"):
        case.do(["cache", action, "--cache", "cache"])
    if left := [p for p in _files(case, "entries/*/*") if p.is_dir()]:
        case.wrong(f"`cache clear` left {len(left)} entries, as {left[0].name}")
    case.run_whole(name="s")


@kind(state="warm")
def evicted_during_the_run(case: Case) -> None:
    """Delete an entry during a run that may use it."""
    command = case.start(case.home.run(name="s"))
    instant = case.stage.seconds["cold"] * case.rng.uniform(0, 0.8)
    if command.running_after(instant):
        for path in _some(case, _files(case, "entries/*/*")):
            case.note(f"remove {path.parent.name} after {instant:.2f} s")
            shutil.rmtree(path, ignore_errors=True)
    if case.finish(command, (OK, PARTLY)).code == OK:
        case.check_run("s")
    case.run_whole(name="s")


@kind(state="warm")
def small_bound(case: Case) -> None:
    """Limit the cache to less than the run needs at once: the run is slower, or refused clearly."""
    bound = 10 ** case.rng.uniform(-5, -3.5)
    case.note(f"--cache-gb {bound:.6f}")
    outcome = case.do(case.home.run("--cache-gb", f"{bound:.6f}", name="s"), (0, 1))
    if outcome.code == OK:
        case.check_run("s")
    case.run_whole(name="s")


def _files(case: Case, pattern: str) -> list[Path]:
    return sorted(case.home.cache.glob(pattern))


def _some(case: Case, files: Sequence[Path]) -> list[Path]:
    return case.rng.sample(files, min(len(files), case.rng.choice(HOW_MANY)))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
