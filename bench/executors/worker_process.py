"""One process of `bench.worker`, as its parent holds it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.files import to_json

ENDING_SECONDS = 5.0


class WorkerProcess:
    """Started at once; told what to do, and heard. `gpu` is the one that it sees, "" for what its
    framework finds by itself."""

    def __init__(self, environment: Mapping[str, str], cores: Sequence[int], gpu: str) -> None:
        self.gpu = gpu
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed when the worker has ended)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", *map(str, cores)],
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

    def work(self, job_path: Path, log_path: Path) -> Iterator[dict[str, Any]]:
        """Give it its job, and hear its events until it ends."""
        self.tell({"job": str(job_path.resolve()), "log": str(log_path.resolve())})
        assert self._process.stdout is not None  # it was asked for
        for line in self._process.stdout:
            yield json.loads(line)

    def wait(self, log_path: Path) -> int:
        code = self._process.wait()
        if code:
            # What it said before it had a log: all there is, where it died while it was loading.
            self._errors.seek(0)
            with log_path.open("ab") as log:
                log.write(self._errors.read())
        self._close()
        return code

    def stop(self) -> None:
        """End it, politely first; who hears it sees it end."""
        self._process.terminate()
        try:
            self._process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def end(self) -> None:
        """Stop it, with nobody left who hears it."""
        self.stop()
        self._close()

    def _close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
