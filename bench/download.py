"""Fetching one published file: whole, checked, once even when two processes want it.

    FILE            appears by a rename, when its length and checksum are right
    .FILE.part      while it comes
    .FILE.lock      held by the process that fetches; the others wait and find the file

Speaks to the host of the address and to no other. Which files are wanted, and where they belong, is
`weights.py`'s business.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from filelock import FileLock

from bench.errors import MissingWeightsError, WeightsError

CHUNK_BYTES = 1 << 18
TRIES = 3
PAUSE_SECONDS = 0.3
TIMEOUT_SECONDS = 5.0

Progress = Callable[[int, int], None]  # bytes done and, where it is known, of how many

# What a host answered last, so that the next file from it does not wait for the same again.
_unreachable: dict[str, str] = {}


class _BrokenOffError(Exception):
    """The host is there but the transfer broke; another try may go on from here."""


def fetch(
    url: str,
    destination: Path,
    *,
    md5: str | None = None,
    progress: Progress = lambda done, total: None,
    timeout: float = TIMEOUT_SECONDS,
) -> None:
    """Put the file at `url` at `destination`. A file that is already there is left as it is.

    A host that does not answer within `timeout` is not asked again in this process; a transfer
    that breaks is taken up where it broke, a few times.
    """
    host = urlsplit(url).netloc
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(destination.with_name(f".{destination.name}.lock")):
            if not destination.exists():
                if host in _unreachable:
                    raise WeightsError(_unreachable[host])
                _fetch(url, destination, md5, progress, timeout)
    except WeightsError as error:
        raise MissingWeightsError(
            destination.name, f"cannot be downloaded from {host}: {error}."
        ) from error
    except OSError as error:
        raise WeightsError(f"{destination} cannot be written: {_words(error)}.") from error


def file_md5(path: Path) -> str:
    """The MD5 of a file's content: what Keras publishes for its weights."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _fetch(
    url: str, destination: Path, md5: str | None, progress: Progress, timeout: float
) -> None:
    part = destination.with_name(f".{destination.name}.part")
    try:
        _transfer(url, part, progress, timeout)
        if md5 is not None and (found := file_md5(part)) != md5:
            raise WeightsError(f"its MD5 is {found}, the published one {md5}")
        part.replace(destination)
    finally:
        part.unlink(missing_ok=True)


def _transfer(url: str, part: Path, progress: Progress, timeout: float) -> None:
    with part.open("wb") as file:
        for left in reversed(range(TRIES)):
            try:
                with _open(url, file.tell(), timeout) as response:
                    _copy(response, file, progress)
                file.flush()
                os.fsync(file.fileno())
                return
            except _BrokenOffError as error:
                if not left:
                    raise WeightsError(f"{error}, {TRIES} times") from error
                time.sleep(PAUSE_SECONDS)


def _copy(response: Any, file: IO[bytes], progress: Progress) -> None:
    if response.status != http.client.PARTIAL_CONTENT:  # the server sends it from the start
        file.seek(0)
        file.truncate()
    length = response.headers.get("Content-Length")
    total = file.tell() + int(length) if length else 0
    while chunk := _read(response):
        file.write(chunk)
        progress(file.tell(), total)
    if total and file.tell() != total:
        raise _BrokenOffError(f"it ended at {file.tell():,} of {total:,} bytes")


def _read(response: Any) -> bytes:
    try:
        chunk: bytes = response.read(CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(f"the transfer broke ({_words(error)})") from error
    return chunk


def _open(url: str, start: int, timeout: float) -> Any:
    """A response, or an error within `timeout`.

    The socket's own timeout is not enough: it counts for each address of a host anew, and not at
    all while the name is looked up.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "backbone-bench"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    opener = urllib.request.build_opener(_SameHost)
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(opener.open(request, timeout=timeout))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=timeout)
    except queue.Empty:
        answer = TimeoutError(f"no answer within {timeout:g} s")
    if not isinstance(answer, Exception):
        return answer
    if isinstance(answer, urllib.error.HTTPError):
        answer.close()
        words = f"the server answered {answer.code} {answer.reason}"
        if answer.code >= http.client.INTERNAL_SERVER_ERROR:
            raise _BrokenOffError(words) from answer
        raise WeightsError(words) from answer
    words = _unreachable[urlsplit(url).netloc] = f"no connection ({_words(answer)})"
    raise WeightsError(words) from answer


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows a redirection within the host; one that leads away is an answer like 404."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _words(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    stated = reason.strerror if isinstance(reason, OSError) else None
    return stated or str(reason) or type(reason).__name__
