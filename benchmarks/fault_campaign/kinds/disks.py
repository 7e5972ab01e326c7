"""Full, read-only and failing disks, which must give a one-line error and lose nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..case import ERROR, OK, PARTLY, REPORT, Case, kind
from ..injection import Fault, Side

ERRORS = ("ENOSPC", "EDQUOT", "EIO", "EACCES", "EPERM", "EROFS")
ENDS = (OK, ERROR, PARTLY)  # as far as the disk allowed


@kind(3)
def error_at_a_write(case: Case) -> None:
    _error(case, lasting=False)


@kind(3)
def errors_from_a_write_on(case: Case) -> None:
    _error(case, lasting=True)


@kind(2, state="warm")
def error_in_the_report_command(case: Case) -> None:
    at = case.rng.randint(1, case.stage.count("warm", "main"))
    fault = Fault(case.rng.choice(ERRORS), at, lasting=case.rng.random() < 0.5)
    case.do(REPORT, (OK, ERROR), fault=fault)
    case.do(REPORT)
    case.check_run()


@kind(state="archive")
def error_during_extraction(case: Case) -> None:
    match = "drafts|extracted"
    at = case.rng.randint(1, case.stage.count("archive", "main", match))
    fault = Fault(case.rng.choice(ERRORS), at, match=match, lasting=case.rng.random() < 0.5)
    archive = case.home.archive
    case.disturb(ENDS, data=archive, fault=fault)
    case.run_whole(data=archive)


@kind()
def short_files(case: Case) -> None:
    """Limit the length of files, as quotas and old file systems do, which truncates a write."""
    limit = round(10 ** case.rng.uniform(2, 5))
    case.note(f"files of {limit:,} bytes at most")
    case.disturb(ENDS, file_bytes=limit)
    case.run_whole()


@kind()
def full_disk(case: Case) -> None:
    """Use a small file system for the results or the cache."""
    folder = case.rng.choice((case.home.cache, case.home.results))
    kilobytes = round(10 ** case.rng.uniform(0.7, 2.6))
    with _small_disk(folder, kilobytes) as is_small:
        if not is_small:  # only the superuser may mount one
            return short_files(case)
        case.note(f"{folder.name} of {kilobytes} kB")
        case.disturb(ENDS)
    case.run_whole()
    return None


@kind()
def read_only_results(case: Case) -> None:
    fault = Fault("EROFS", 1, match="^/results", lasting=True)
    case.disturb((ERROR,), fault=fault)
    case.run_whole()


@kind(state="warm")
def read_only_finished_run(case: Case) -> None:
    fault = Fault(case.rng.choice(("EROFS", "EACCES")), 1, match="^/results", lasting=True)
    words = case.rng.choice((REPORT, ("choose", "r", "--results", "results"), case.home.run()))
    case.do(words, (OK,) if words[0] == "choose" else (OK, ERROR), fault=fault)
    case.check_run()
    case.run_whole()


@kind(state="warm")
def read_only_warm_cache(case: Case) -> None:
    """Make a complete cache read-only, which must not stop the run."""
    where: Side = case.rng.choice(("main", "worker"))
    error = case.rng.choice(("EROFS", "EACCES"))
    fault = Fault(error, 1, where, match="^/cache", lasting=True)
    if case.do(case.home.run(name="s"), fault=fault).code == OK:
        case.check_run("s")
    case.run_whole()


@kind()
def read_only_cold_cache(case: Case) -> None:
    where: Side = case.rng.choice(("main", "worker"))
    fault = Fault(case.rng.choice(("EROFS", "EACCES")), 1, where, match="^/cache", lasting=True)
    case.disturb(ENDS, fault=fault)
    case.run_whole()


@kind(0.5)
def full_output(case: Case) -> None:
    """Print to a full device, or to a reader that has ended."""

    def entry(words: object) -> int:
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
        from bench.cli.main import main

        return main(case.home.run())

    case.note("standard output is /dev/full")
    case.do(case.home.run(), ENDS, entry=entry)
    case.run_whole()


def _error(case: Case, *, lasting: bool) -> None:
    where: Side = case.rng.choice(("main", "worker"))
    at = case.rng.randint(1, case.stage.count("cold", where))
    case.disturb(ENDS, fault=Fault(case.rng.choice(ERRORS), at, where, lasting=lasting))
    case.run_whole()


@contextmanager
def _small_disk(folder: Path, kilobytes: int) -> Iterator[bool]:
    folder.mkdir(exist_ok=True)
    options = f"size={max(4, kilobytes)}k"
    mount = ["mount", "-t", "tmpfs", "-o", options, "faults", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=True)
