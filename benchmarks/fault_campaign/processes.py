"""Commands as forked children of this process: quick to start, killed at any instant, never lost.

The program is imported once; each command is a fork that runs `bench.cli.main`, and each worker
that this starts is a fork in the place of a new Python. What a command leaves running becomes a
child of this process, which is how orphans are found.
"""

from __future__ import annotations

import atexit
import ctypes
import faulthandler
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import psutil

from .injection import Injector

PARENT_DEATH, SUBREAPER = 1, 36  # prctl's PR_SET_PDEATHSIG and PR_SET_CHILD_SUBREAPER
WORKER = "bench.execution.worker"
POLL_SECONDS = 0.003
ORPHAN_SECONDS = 8.0  # in which whatever a command started has to end after it


@dataclass(frozen=True)
class Outcome:
    """The exit code and the output of a command."""

    words: tuple[str, ...]
    code: int  # negative: the signal that ended it
    output: str
    seconds: float
    peak_bytes: int
    hung: bool


class Command:
    """One running command."""

    def __init__(
        self,
        words: Sequence[str],
        folder: Path,
        *,
        injector: Injector | None = None,
        file_bytes: int | None = None,
        entry: Callable[[Sequence[str]], int] | None = None,
    ) -> None:
        """`file_bytes`: the longest file that it may write. `entry`: in the place of the CLI."""
        self.words = tuple(words)
        self._log = folder.parent / f"output-{time.monotonic_ns()}"
        self._log.touch()  # the child may be killed before it opens it
        self._begun = time.monotonic()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _child(self.words, folder, self._log, injector, file_bytes, entry)
        self._outcome: Outcome | None = None

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the command, unless it has ended."""
        if self._outcome is None:
            os.kill(self.pid, number)

    def running_after(self, seconds: float) -> bool:
        """Wait until the command has run for the given time or has ended."""
        while self._poll() is None and time.monotonic() - self._begun < seconds:
            time.sleep(POLL_SECONDS)
        return self._outcome is None

    def wait(self, timeout: float) -> Outcome:
        """Return the outcome; a command that hangs prints its stacks and is killed."""
        hung = self.running_after(timeout)
        if hung:
            self.kill(signal.SIGUSR1)  # it prints its stacks
            time.sleep(0.3)
            self.kill()
        while self._poll(hung=hung) is None:
            time.sleep(POLL_SECONDS)
        assert self._outcome is not None  # the loop's condition
        return self._outcome

    def _poll(self, *, hung: bool = False) -> Outcome | None:
        if self._outcome is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self._outcome = Outcome(
                    words=self.words,
                    code=os.waitstatus_to_exitcode(status),
                    output=self._log.read_bytes().decode(errors="replace"),
                    seconds=time.monotonic() - self._begun,
                    peak_bytes=usage.ru_maxrss * 1024,
                    hung=hung,
                )
                self._log.unlink()
        return self._outcome


def adopt_orphans() -> None:
    """Become the parent of processes that children of this process leave running."""
    ctypes.CDLL(None, use_errno=True).prctl(SUBREAPER, 1, 0, 0, 0)


def end_with_parent() -> None:
    """Let this process receive a signal to end when its parent ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PARENT_DEATH, signal.SIGTERM, 0, 0, 0)


def orphans() -> list[str]:
    """Return the processes that outlive their command, and end them."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    while left := _living():
        if time.monotonic() > deadline:
            found = [_described(process) for process in left]
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            return found
        time.sleep(POLL_SECONDS)
    return []


def _living() -> list[psutil.Process]:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return psutil.Process().children(recursive=True)


def _described(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {process.status()} {' '.join(process.cmdline())[:100]}"
    except psutil.Error:
        return str(process.pid)


def _child(
    words: Sequence[str],
    folder: Path,
    log: Path,
    injector: Injector | None,
    file_bytes: int | None,
    entry: Callable[[Sequence[str]], int] | None,
) -> NoReturn:
    code = 1
    try:
        os.setsid()
        number = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(number, 1)
        os.dup2(number, 2)
        os.closerange(3, 256)
        _fresh_streams()
        faulthandler.register(signal.SIGUSR1)
        os.chdir(folder)
        _workers_are_forks(injector)
        if file_bytes is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python does at its start
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
        if injector is not None:
            injector.arm("main")
        code = entry(words) if entry else _main(words)
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _main(words: Sequence[str]) -> int:
    from bench.cli.main import main

    return main(words)


def _fresh_streams() -> None:
    sys.stdin = os.fdopen(0, "r", closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, closefd=False)


def _workers_are_forks(injector: Injector | None) -> None:
    start = subprocess.Popen

    def popen(command: Any, **options: Any) -> Any:
        if WORKER not in command:
            return start(command, **options)

        def work() -> NoReturn:
            kept = options.get("pass_fds", ())
            words = command[command.index(WORKER) :]
            _worker(words, options.get("env") or os.environ, kept, injector)

        return start(command, preexec_fn=work, **options)

    subprocess.Popen = popen  # type: ignore[misc, assignment]


def _worker(
    words: Sequence[str],
    environment: Mapping[str, str],
    kept: Sequence[int],
    injector: Injector | None,
) -> NoReturn:
    """Act in this fork as `python -m bench.execution.worker` does."""
    try:
        for number in range(3, 256):
            if number not in kept:
                with suppress(OSError):
                    os.close(number)
        variables = dict(environment)
        os.environ.clear()
        os.environ.update(variables)
        _fresh_streams()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = list(words)
        if injector is not None:
            injector.arm("worker")
        from bench.execution.worker import main

        main()
        sys.stderr.flush()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
