"""One worker process, as its parent holds it; or one and those that it forks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.system.files import to_json

ENDING_SECONDS = 5.0


class WorkerProcess:
    """Started at once; told what to do, and heard. `gpu` is the one that it sees, "" for what its
    framework finds by itself. If it `forks`, it does one job after another, each in a process that
    it forks, and `goes_on` once one is done."""

    def __init__(
        self,
        environment: Mapping[str, str],
        cores: tuple[int, ...],
        gpu: str,
        *,
        forks: bool = False,
    ) -> None:
        self.gpu, self.cores, self._forks = gpu, cores, forks
        self._begun = False  # whether the job was read
        self._ended: int | None = None  # how the process did that was forked for it
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed when the worker has ended)
        started = str(time.monotonic())
        options = [*(["--fork"] if forks else []), *map(str, cores)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.execution.worker", started, *options],
            stdin=subprocess.PIPE,  # its closing tells the worker that this process is gone
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**environment, **({"CUDA_VISIBLE_DEVICES": gpu} if gpu else {})},
            # Ctrl-C reaches this process, which then ends the worker; not both at once.
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, order: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None  # it was asked for
        with suppress(BrokenPipeError):  # it died while it was loading
            self._process.stdin.write(to_json(order).encode() + b"\n")
            self._process.stdin.flush()

    def device_kind(self) -> str:
        """What its framework computes on; waits until that is loaded. "" where it died."""
        self.tell({"device": "kind?"})
        assert self._process.stdout is not None  # it was asked for
        line = self._process.stdout.readline()
        return str(json.loads(line)["found"]) if line else ""

    @property
    def goes_on(self) -> bool:
        """Whether it will do another job, now that one is done.

        Not where a process died before it read its job, as one may that builds ahead: nobody knows
        who will read it then.
        """
        return self._begun and self._ended is not None and self._process.poll() is None

    def work(self, job_path: Path, log_path: Path) -> Iterator[dict[str, Any]]:
        """Give it its job, and hear its events until that has ended."""
        self._begun, self._ended = False, None
        self.tell({"job": str(job_path.resolve()), "log": str(log_path.resolve())})
        assert self._process.stdout is not None  # it was asked for
        for line in self._process.stdout:
            try:
                event: dict[str, Any] = json.loads(line)
            except ValueError:
                continue  # it was killed while it wrote that, as its exit code tells
            if event["event"] == "begun":
                self._begun = True
            elif event["event"] == "ended":
                self._ended = event["code"]
                return
            else:
                yield event

    def wait(self, log_path: Path) -> int:
        """The exit code of the process that did the job."""
        code = self._process.wait() if self._ended is None else self._ended
        if code:
            # What it said before it had a log: all there is, where it died while it was loading.
            self._errors.seek(0)
            with suppress(OSError), log_path.open("ab") as log:  # the code tells the most
                log.write(self._errors.read())
        if not self.goes_on:
            self.end()
        return code

    def stop(self) -> None:
        """End it, politely first, and what it forked; who hears it sees it end."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(ENDING_SECONDS)
        self.kill()
        # A process that waits for a dead disk cannot even be killed; it ends when that answers.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(ENDING_SECONDS)

    def kill(self) -> None:
        """End it and all that it started at once."""
        with suppress(ProcessLookupError, PermissionError):  # it has ended
            os.killpg(self.pid, signal.SIGKILL)  # it leads a session of its own

    def end(self) -> None:
        """Stop it, with nobody left who hears it."""
        self.stop()
        self._close()

    def _close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
