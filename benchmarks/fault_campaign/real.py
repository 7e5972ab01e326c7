"""The command in a Python process of its own, as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import judging

if TYPE_CHECKING:
    from .case import Case

ROOT = Path(__file__).resolve().parent.parent.parent
TIMEOUT = 300.0  # for a command that takes ten seconds undisturbed


class RealCommand:
    """One running command, with a framework."""

    def __init__(self, given: list[str]) -> None:
        home = Path(os.environ["TMPDIR"]).parent
        self._log = tempfile.TemporaryFile(dir=home.parent)  # noqa: SIM115  (closed when judged)
        self._begun = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "run_bench.py"), *given],
            cwd=home,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        self.pid = self._process.pid

    def running_after(self, seconds: float) -> bool:
        """Wait until the command has run for the given time or has ended."""
        try:
            self._process.wait(max(0.0, self._begun + seconds - time.monotonic()))
        except subprocess.TimeoutExpired:
            return True
        return False

    def kill(self, number: int) -> None:
        self._process.send_signal(number)

    def judge(self, case: Case, codes: Sequence[int]) -> int:
        """Wait for the end of the command, judge its output, and return the exit code."""
        hung = self.running_after(TIMEOUT)
        if hung:
            self._process.kill()
        code = self._process.wait()
        self._log.seek(0)
        output = self._log.read().decode(errors="replace")
        self._log.close()
        if hung or code not in codes:
            how = "hangs" if hung else f"ended with {code}, not {codes}"
            case.wrong(f"the command {how}: {output[-1500:]}")
        case.problems += judging.badly_told(output)
        return code


def words(case: Case, *more: str) -> list[str]:
    """Return the arguments of a run with random weights, as a framework cannot read the home's.

    It has `--no-retry`, as a killed trial counts as out of memory, and training in smaller steps
    gives sums with other rounding.
    """
    given = case.home.run("--no-retry", *more)
    given[given.index("--weights") + 1] = "random"
    return given


def reference(case: Case) -> tuple[float, judging.Figures]:
    """Return the seconds and the figures of an undisturbed run, made once."""
    stage = case.stage
    if "trained" not in stage.seconds:
        begun = time.monotonic()
        command = RealCommand(words(case))
        if command.judge(case, (0,)) != 0:
            raise RuntimeError("the undisturbed run failed")
        stage.seconds["trained"] = time.monotonic() - begun
        stage.trained = judging.figures(case.home.results / "r")
        stage.home.keep("trained")
        stage.home.restore("cold")
    return stage.seconds["trained"], stage.trained
