"""`status`: show the progress of a run, read from its folder, which stays as it is."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bench.analysis.format import duration, estimate
from bench.cli.json_lines import write
from bench.cli.shared_options import add_shared
from bench.errors import Exit, UsageError
from bench.storage.run_folder import find_run, run_json_paths

if TYPE_CHECKING:
    from pathlib import Path

    from bench.execution.status import RoundStatus, Status

STATES = {
    "running": "running for {elapsed}",
    "finished": "finished after {elapsed}",
    "interrupted": "interrupted after {elapsed}",
    "error": "ended by an error after {elapsed}",
    "detached": "detached from its jobs",
    "killed": "killed, or the machine went down, after about {elapsed}",
    "unknown": "made by a version that recorded no progress",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "run", nargs="?", metavar="RUN", help="name or folder of a run (the one started last)"
    )
    add_shared(parser, "--results", "--json")


def main(arguments: argparse.Namespace) -> int:
    """Print the finished, current and remaining trials; return 0 in every state."""
    from bench.execution.status import read_status

    name = arguments.run or _last_started(arguments.results)
    status = read_status(find_run(arguments.results, name, screening=True))
    if arguments.json:
        write(status)
    else:
        for title, text in _lines(status):
            print(f"{title:<9} {text}")
    return Exit.DONE


def _lines(status: Status) -> list[tuple[str, str]]:
    elapsed = duration(status.elapsed_seconds or 0.0)
    started = status.trials or not status.rounds
    trials = _counts(status) if started else "the run of the finalists has not started"
    lines = [
        ("run", f"{status.run}, {STATES[status.state].format(elapsed=elapsed)}"),
        *((each.round, _counts(each)) for each in status.rounds),
        ("trials", trials),
        *(("now", text) for text in status.doing),
        *(
            (
                "job",
                f"{job.backbone}: {job.state}, {job.done} of {job.trials} trials done ({job.job})",
            )
            for job in status.jobs
        ),
    ]
    if status.seconds_left is not None:
        lines.append(("left", f"about {estimate(status.seconds_left)}"))
    if status.reason:
        lines.append(("error", status.reason))
    unfinished = status.state not in ("running", "finished") or status.failed
    if unfinished and status.state != "running":
        again = status.command or "the same `bench.run(...)`"
        lines.append(("continue", f"{again}   (finished trials are kept)"))
    if status.state == "finished":
        lines.append(("report", f"{status.folder}/report.html"))
    return lines


def _counts(status: Status | RoundStatus) -> str:
    failed = f", {status.failed} failed" if status.failed else ""
    return f"{status.done} of {status.trials} done{failed}, {status.left} left"


def _last_started(results: Path) -> str:
    """Return the name of the run whose command started last; `latest` names runs with reports."""
    found = {
        path.stat().st_mtime: run.name
        for run in results.glob("*")
        if not run.is_symlink()
        for path in run_json_paths(run)
    }
    if not found:
        raise UsageError(f"there is no run in {results} yet.")
    return found[max(found)]
