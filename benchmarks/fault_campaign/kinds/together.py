"""Two commands at once on one cache and one folder of results."""

from __future__ import annotations

import signal

from ..case import ERROR, OK, REPORT, Case, kind

KILLED = -signal.SIGKILL


@kind(2)
def the_same_run_twice(case: Case) -> None:
    first, second = case.start(case.home.run()), case.start(case.home.run())
    ends = [case.finish(command, (OK, ERROR)) for command in (first, second)]
    if all(outcome.code == ERROR for outcome in ends):
        case.wrong("neither made the run")
    for outcome in ends:
        if outcome.code == ERROR and "another process" not in outcome.output:
            case.wrong(f"refused in other words: {outcome.output[-300:]}")
    case.check_run()
    case.run_whole()


@kind(2)
def two_runs_on_one_cache(case: Case) -> None:
    commands = [case.start(case.home.run(name=name)) for name in ("r", "s")]
    for command, name in zip(commands, ("r", "s"), strict=True):
        if case.finish(command, (OK,)).code == OK:
            case.check_run(name)


@kind(2)
def one_of_two_is_killed(case: Case) -> None:
    kept, killed = (case.start(case.home.run(name=name)) for name in ("r", "s"))
    instant = case.stage.seconds["cold"] * case.rng.uniform(0, 2)
    case.note(f"kill after {instant:.2f} s")
    if killed.running_after(instant):
        killed.kill()
    case.finish(killed, (OK, KILLED))
    if case.finish(kept, (OK,)).code == OK:
        case.check_run()
    case.run_whole(name="s")


@kind(2)
def cache_clear_during_a_run(case: Case) -> None:
    command = case.start(case.home.run())
    instant = case.stage.seconds["cold"] * case.rng.uniform(0, 1)
    case.note(f"cache clear after {instant:.2f} s")
    command.running_after(instant)
    case.do(["cache", "clear", "--cache", "cache"])
    if case.finish(command, (OK,)).code == OK:
        case.check_run()
    case.run_whole()


@kind(state="warm")
def report_during_a_run(case: Case) -> None:
    command = case.start(case.home.run("--fresh"))
    instant = case.stage.seconds["cold"] * case.rng.uniform(0.1, 1)
    command.running_after(instant)
    case.note(f"report after {instant:.2f} s")
    case.do(REPORT, (OK, ERROR, 2, 3))
    if case.finish(command, (OK,)).code == OK:
        case.check_run()


@kind(state="warm")
def fresh_twice(case: Case) -> None:
    """Run two commands with `--fresh`; the earlier run must exist once, and the new one too."""
    commands = [case.start(case.home.run("--fresh")) for _ in range(2)]
    ends = [case.finish(command, (OK, ERROR)).code for command in commands]
    if OK not in ends:
        case.wrong(f"neither made the run: {ends}")
    for folder in sorted(case.home.results.glob("r*")):
        case.check_run(folder.name)


@kind(state="archive")
def two_extract_one_archive(case: Case) -> None:
    archive = case.home.archive
    commands = [case.start(case.home.run(name=name, data=archive)) for name in ("r", "s")]
    for command, name in zip(commands, ("r", "s"), strict=True):
        if case.finish(command, (OK,)).code == OK:
            case.check_run(name)
