"""Processes killed at any instant and at each write, after which the same command must continue."""

from __future__ import annotations

import signal

import psutil

from ..case import INTERRUPTED, OK, PARTLY, REPORT, Case, kind
from ..injection import Fault

REPORTS = r"/(\.?(report|summary|verdict|per_class|manifest|index|latest)|thumbnails|figures)"
KILLED = -signal.SIGKILL


@kind(2)
def kill_main_at_any_instant(case: Case) -> None:
    _kill_after(case, case.stage.seconds["cold"] * case.rng.uniform(0, 1.1))
    case.run_whole()


@kind(2)
def kill_main_at_a_write(case: Case) -> None:
    at = case.rng.randint(1, case.stage.count("cold", "main"))
    case.disturb((OK, KILLED), fault=Fault("kill", at))
    case.run_whole()


@kind(2)
def kill_while_reports_are_written(case: Case) -> None:
    at = case.rng.randint(1, case.stage.count("cold", "main", REPORTS))
    case.disturb((OK, KILLED), fault=Fault("kill", at, match=REPORTS))
    case.run_whole()


@kind(state="warm")
def kill_the_report_command(case: Case) -> None:
    at = case.rng.randint(1, case.stage.count("warm", "main"))
    case.do(REPORT, (OK, KILLED), fault=Fault("kill", at))
    case.do(REPORT)
    case.check_run()
    case.run_whole()  # what the killed one left half written


@kind(2)
def kill_worker_at_a_write(case: Case) -> None:
    at = case.rng.randint(1, case.stage.count("cold", "worker"))
    case.disturb((OK, PARTLY), fault=Fault("kill", at, "worker"))
    case.run_whole()


@kind()
def kill_every_worker_at_a_write(case: Case) -> None:
    at = case.rng.randint(1, case.stage.count("cold", "worker"))
    case.disturb((OK, PARTLY), fault=Fault("kill", at, "worker", lasting=True))
    case.run_whole()


@kind()
def kill_while_measuring(case: Case) -> None:
    at = case.rng.randint(1, case.stage.count("cold", "worker", "work"))
    case.disturb((OK, PARTLY), fault=Fault("kill", at, "worker", match="work"))
    case.run_whole()


@kind(2)
def kill_any_worker_at_any_instant(case: Case) -> None:
    """Kill the fork server, or a process that it forked."""
    command = case.start(case.home.run())
    instant = case.stage.seconds["cold"] * case.rng.uniform(0.05, 1)
    if command.running_after(instant):
        try:
            workers = psutil.Process(command.pid).children(recursive=True)
            if workers:
                place = case.rng.randrange(len(workers))
                case.note(f"kill worker {place} of {len(workers)} after {instant:.2f} s")
                workers[place].kill()
        except psutil.NoSuchProcess:
            case.note("ended first")
    if case.finish(command, (OK, PARTLY)).code == OK:
        case.check_run()
    case.run_whole()


@kind()
def kill_again_and_again(case: Case) -> None:
    for _ in range(3):
        _kill_after(case, case.stage.seconds["cold"] * case.rng.uniform(0.1, 0.9))
    case.run_whole()


@kind(2, state="archive")
def kill_during_extraction(case: Case) -> None:
    match = "drafts|extracted"
    at = case.rng.randint(1, case.stage.count("archive", "main", match))
    archive = case.home.archive
    case.disturb((OK, KILLED), data=archive, fault=Fault("kill", at, match=match))
    case.run_whole(data=archive)


@kind()
def interrupt(case: Case) -> None:
    """Send SIGINT or SIGTERM, once or twice."""
    number = case.rng.choice((signal.SIGINT, signal.SIGTERM))
    instant = case.stage.seconds["cold"] * case.rng.uniform(0.05, 1)
    again = case.rng.choice((None, 0.01, 0.1))
    case.note(f"{number.name} after {instant:.2f} s, again after {again}")
    command = case.start(case.home.run())
    if command.running_after(instant):
        command.kill(number)
        if again is not None and command.running_after(instant + again):
            command.kill(number)
    case.finish(command, (OK, INTERRUPTED))
    case.run_whole()


@kind(state="warm")
def kill_fresh(case: Case) -> None:
    """Kill a run with `--fresh`; the earlier run must be complete in its new place."""
    command = case.start(case.home.run("--fresh"))
    instant = case.stage.seconds["cold"] * case.rng.uniform(0, 1)
    case.note(f"kill --fresh after {instant:.2f} s")
    if command.running_after(instant):
        command.kill()
    case.finish(command, (OK, KILLED))
    case.run_whole()
    moved = case.home.results / "r.1"
    if moved.exists():
        case.check_run("r.1")


def _kill_after(case: Case, instant: float) -> None:
    case.note(f"kill after {instant:.2f} s")
    command = case.start(case.home.run())
    if command.running_after(instant):
        command.kill()
    case.finish(command, (OK, KILLED))
