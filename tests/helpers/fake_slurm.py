"""Replacements of `sbatch`, `srun`, `sacct` and `scancel`, as far as submitit uses them.

Jobs are processes on this machine, numbered from 1. In the folder FAKE_SLURM, NUMBER.pid holds the
leader of a job's process group, NUMBER.code its exit code, and NUMBER.cancelled exists if `scancel`
ended it. Jobs for the partition `none` are refused, and kept as refused.sh.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path


def install(folder: Path) -> Path:
    """Write the commands into a folder, for PATH; return it."""
    folder.mkdir()
    for name in ("sbatch", "srun", "sacct", "scancel"):
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{__file__}" {name} "$@"\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return folder


def sbatch(state: Path, script: str) -> None:
    """Start a job in a process group of its own."""
    if "--partition=none" in (text := Path(script).read_text(encoding="utf-8")):
        (state / "refused.sh").write_text(text, encoding="utf-8")
        sys.exit("sbatch: error: invalid partition specified: none")
    number = len(list(state.glob("*.pid"))) + 1
    words = ["sh", "-c", f'bash "$0"; echo $? > "{state}/{number}.code"', script]
    process = subprocess.Popen(
        words,
        env={**os.environ, "SLURM_JOB_ID": str(number)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # else who reads what sbatch prints waits for the job
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    (state / f"{number}.pid").write_text(str(process.pid))
    print(f"Submitted batch job {number}")


def srun(state: Path, *words: str) -> None:
    """Replace this process by the command, with its output in files."""
    left, number = list(words), os.environ["SLURM_JOB_ID"]
    while left[0].startswith("--"):
        option = left.pop(0)
        if option in ("--output", "--error"):
            path = left.pop(0).replace("%j", number).replace("%t", "0")
            stream = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(stream, 1 if option == "--output" else 2)
    os.execvp(left[0], left)


def sacct(state: Path, *words: str) -> None:
    """Print the states of jobs."""
    print("JobID|State|NodeList")
    for number in [word for word in words if word.isdigit()]:
        print(f"{number}|{_state(state, number)}|node")


def _state(state: Path, number: str) -> str:
    if (state / f"{number}.cancelled").exists():
        return "CANCELLED by 0"
    code = state / f"{number}.code"
    if code.exists():
        return "COMPLETED" if code.read_text().strip() == "0" else "FAILED"
    try:
        os.kill(int((state / f"{number}.pid").read_text()), 0)
    except ProcessLookupError:
        return "NODE_FAIL"
    return "RUNNING"


def scancel(state: Path, number: str) -> None:
    """Terminate a job with SIGTERM."""
    (state / f"{number}.cancelled").touch()
    try:
        os.killpg(int((state / f"{number}.pid").read_text()), signal.SIGTERM)
    except ProcessLookupError:
        sys.exit("scancel: error: Invalid job id specified")


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    globals()[command](Path(os.environ["FAKE_SLURM"]), *arguments)
