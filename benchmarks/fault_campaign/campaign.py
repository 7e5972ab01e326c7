"""Run cases of all kinds in turns, in parallel processes, until the time is up."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import NoReturn

from . import stand_ins
from .case import INTERRUPTED, KINDS, REPORT, Kind, Stage, Verdict, play, run_whole
from .home import Home
from .processes import adopt_orphans, end_with_parent

SCRATCH = tempfile.gettempdir()


def chosen_kinds(names: Sequence[str]) -> list[Kind]:
    """Return the named kinds, or all."""
    for module in ("kills", "disks", "caches", "folders", "together", "hostile", "framework"):
        importlib.import_module(f".kinds.{module}", __package__)
    unknown = sorted(set(names) - set(KINDS))
    if unknown:
        raise SystemExit(f"unknown kind {', '.join(unknown)}; known: {', '.join(KINDS)}")
    return [KINDS[name] for name in names] if names else list(KINDS.values())


def in_turn(kinds: Sequence[Kind]) -> Iterator[tuple[Kind, int]]:
    """Yield kinds endlessly in a fixed order: every kind once, then in proportion to its weight."""
    yield from ((one, 1) for one in sorted(kinds, key=lambda one: -one.weight))
    tried = Counter(one.name for one in kinds)
    while True:
        least = min(kinds, key=lambda one: (tried[one.name] + 1) / one.weight)
        tried[least.name] += 1
        yield least, tried[least.name]


def cases(
    kinds: Sequence[Kind], seed: int, deadline: float, most: int | None, job: int, jobs: int
) -> Iterator[Verdict]:
    """Yield the verdicts of one of `jobs` processes, until the deadline or `most` cases in all."""
    with prepared() as stage:
        for place, (chosen, number) in enumerate(islice(in_turn(kinds), most)):
            if time.monotonic() > deadline:
                return
            if place % jobs == job:
                yield play(stage, chosen, seed, number)


@contextmanager
def prepared() -> Iterator[Stage]:
    """Return a stage in this process, which from now on starts commands as forks of itself."""
    with _workplace() as work:
        adopt_orphans()
        yield Stage(work)


def import_ahead() -> None:
    """Import all modules of a run and a report, with stand-ins for those that need a framework."""
    # As on a user's terminal without any wishes, and away from all that is this user's own.
    for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "LINES", "BACKBONE_BENCH_CACHE"):
        os.environ.pop(name, None)
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    stand_ins.before_imports()
    with _workplace() as work:
        home = Home(work)
        home.lay_out()
        listing = work / "modules"

        def entry(words: Sequence[str]) -> int:
            from bench.cli.main import main

            code = main(words) or main(REPORT)
            listing.write_text("\n".join(sys.modules))
            return code

        run_whole(home.run(), home.root, entry=entry)
        for name in listing.read_text().splitlines():
            if not name.startswith(("__main__", "backbone_bench_plugin")):
                with suppress(Exception):
                    importlib.import_module(name)
    stand_ins.after_imports()


@contextmanager
def _workplace() -> Iterator[Path]:
    # Not a TemporaryDirectory, which every fork that ends in order would remove.
    work = Path(tempfile.mkdtemp(prefix="faults-", dir=SCRATCH))
    # Where the locks of cores stay, as in a session of a desktop.
    os.environ["XDG_RUNTIME_DIR"] = str(work / "run")
    (work / "run").mkdir(mode=0o700)
    tempfile.tempdir = os.environ["TMPDIR"] = str(work / "home" / "tmp")
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def in_processes(
    kinds: Sequence[Kind], seed: int, seconds: float, most: int | None, jobs: int
) -> Iterator[Verdict]:
    """Yield the verdicts of all processes as they arrive."""
    deadline = time.monotonic() + seconds
    import_ahead()
    read, write = os.pipe()
    children = []
    for job in range(jobs):
        child = os.fork()
        if child == 0:
            _report_to(write, cases(kinds, seed, deadline, most, job, jobs))
        children.append(child)
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as lines:
        for line in lines:
            content = json.loads(line)
            yield Verdict(**content | {"problems": tuple(content["problems"])})
    for child in children:
        _, status = os.waitpid(child, 0)
        if status:
            raise SystemExit("a process of the campaign itself failed")


def _report_to(pipe: int, verdicts: Iterator[Verdict]) -> NoReturn:
    def ended(number: int, frame: FrameType | None) -> None:
        raise SystemExit(INTERRUPTED)

    code = 1
    signal.signal(signal.SIGTERM, ended)
    end_with_parent()
    try:
        for verdict in verdicts:
            os.write(pipe, (json.dumps(vars(verdict)) + "\n").encode())
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
