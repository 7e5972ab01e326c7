"""Download one published file: whole, checked, and once even if several processes need it.

    FILE            appears by a rename, when its length and checksum are right
    .FILE.part      during the transfer
    .FILE.lock      held by the process that downloads; the others wait and find the file

Temporary failures (no answer, a busy server, a broken transfer) are retried with growing pauses.
Without a network nothing is tried twice. A redirection to another host is followed only for a file
whose checksum or length is published. Which files are needed is decided in `weights.py`.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import queue
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from bench.errors import MissingWeightsError, WeightsError
from bench.system.locks import acquire_lock

CHUNK_BYTES = 1 << 18
SHA256_DIGITS = 64  # a checksum of another length is an MD5
TRIES = 3  # of one file
PAUSE_SECONDS = 0.5  # after the first try; doubled after each later one
TIMEOUT_SECONDS = 5.0  # for an answer to the first try; doubled for each later one
MAX_UNANSWERED = 4  # requests in a row, of any files, after which a host is given up

TEMPORARY_STATUS = (
    http.client.REQUEST_TIMEOUT,
    http.client.TOO_EARLY,
    http.client.TOO_MANY_REQUESTS,
)
TEMPORARY_ERRNO = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.ENETRESET)

NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

OnBytes = Callable[[int, int], None]  # bytes done, and of how many (0: not known)


class _FailedError(Exception):
    """One try failed; `temporary` if another one, now or later, may succeed."""

    def __init__(self, text: str, *, temporary: bool) -> None:
        super().__init__(text)
        self.temporary = temporary


@dataclass
class _Host:
    """How a host answered so far, so that not every file waits for the same timeout."""

    unanswered: int = 0  # requests in a row
    given_up: _FailedError | None = None


_hosts: dict[str, _Host] = {}


def fetch(
    url: str,
    destination: Path,
    *,
    checksum: str | None = None,
    nbytes: int | None = None,
    progress: OnBytes = lambda done, total: None,
    timeout: float = TIMEOUT_SECONDS,
) -> None:
    """Download `url` to `destination`, unless a file is there already.

    A transfer that breaks is continued where it broke.
    """
    part, lock = (destination.with_name(f".{destination.name}.{end}") for end in ("part", "lock"))
    checked = checksum is not None or nbytes is not None
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with acquire_lock(lock, f"the download of {destination.name}"), ExitStack() as stack:
            if destination.exists():
                return
            stack.callback(part.unlink, missing_ok=True)
            _transfer(url, part, progress, timeout, checked)
            if (fault := mismatch(part, checksum, nbytes)) is not None:
                raise _FailedError(
                    f"the downloaded file is not the published one ({fault})", temporary=True
                )
            part.replace(destination)
    except _FailedError as error:
        why = f"cannot be downloaded from {urlsplit(url).netloc}: {error}."
        raise MissingWeightsError(destination.name, why, temporary=error.temporary) from error
    except OSError as error:
        raise WeightsError(f"{destination} cannot be written: {_words(error)}.") from error


def mismatch(path: Path, checksum: str | None, nbytes: int | None) -> str | None:
    """Return how a file differs from the published one, by what is published of it."""
    if nbytes is not None and (found := path.stat().st_size) != nbytes:
        return f"{found:,} bytes, not {nbytes:,}"
    if checksum is None:
        return None
    name = "SHA-256" if len(checksum) == SHA256_DIGITS else "MD5"
    with path.open("rb") as file:
        start = partial(hashlib.new, name.replace("-", ""), usedforsecurity=False)
        digest = hashlib.file_digest(file, start).hexdigest()
    return f"{name} {digest}, not {checksum}" if digest != checksum else None


def _transfer(url: str, part: Path, progress: OnBytes, timeout: float, checked: bool) -> None:
    with part.open("wb") as file:
        for number in range(TRIES):
            try:
                with _open(url, file.tell(), timeout * 2**number, checked) as response:
                    _copy(response, file, progress)
                file.flush()
                os.fsync(file.fileno())
                return
            except _FailedError as error:
                if not error.temporary or _host(url).given_up is not None:
                    raise
                if number + 1 == TRIES:
                    raise _FailedError(f"{error}, {TRIES} times", temporary=True) from error
                time.sleep(PAUSE_SECONDS * 2**number)


def _copy(response: Any, file: IO[bytes], progress: OnBytes) -> None:
    if response.status != http.client.PARTIAL_CONTENT:  # the server sends it from the start
        file.seek(0)
        file.truncate()
    length = response.headers.get("Content-Length")
    total = file.tell() + int(length) if length else 0
    while chunk := _read(response):
        file.write(chunk)
        progress(file.tell(), total)
    if total and file.tell() != total:
        raise _FailedError(f"it ended at {file.tell():,} of {total:,} bytes", temporary=True)


def _read(response: Any) -> bytes:
    try:
        return response.read(CHUNK_BYTES)  # type: ignore[no-any-return]
    except (OSError, http.client.HTTPException) as error:
        raise _FailedError(f"the transfer broke ({_words(error)})", temporary=True) from error


def _open(url: str, start: int, timeout: float, checked: bool) -> Any:
    """Return a response, or raise within `timeout`.

    The socket's own timeout is not enough: it applies to each address of a host separately, and not
    to the lookup of its name.
    """
    host = _host(url)
    if host.given_up is not None:
        raise host.given_up
    request = urllib.request.Request(url, headers={"User-Agent": "backbone-bench"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    opener = urllib.request.build_opener(_Redirects(checked))
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    routed = threading.Event()

    def ask() -> None:
        try:
            _check_route(url)
            routed.set()
            answers.put(opener.open(request, timeout=timeout))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=timeout)
    except queue.Empty:
        if routed.is_set():
            answer = TimeoutError()
        else:
            answer = OSError(f"its name was not found within {timeout:g} s")
    if not isinstance(answer, Exception):
        host.unanswered = 0
        return answer
    if isinstance(answer, urllib.error.HTTPError):
        host.unanswered = 0
        answer.close()
        raise _FailedError(
            f"the server answered {answer.code} {answer.reason}",
            temporary=answer.code in TEMPORARY_STATUS
            or answer.code >= http.client.INTERNAL_SERVER_ERROR,
        ) from answer
    if isinstance(answer, _FailedError):  # a redirection that is not followed
        raise answer
    raise _unanswered(host, answer, timeout) from answer


def _unanswered(host: _Host, error: Exception, timeout: float) -> _FailedError:
    """Count a request without an answer, and give the host up where another would not help."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    temporary = (
        isinstance(reason, TimeoutError | ConnectionError | http.client.HTTPException)
        or getattr(reason, "errno", None) in TEMPORARY_ERRNO
    )
    late = isinstance(reason, TimeoutError)
    words = f"no answer within {timeout:g} s" if late else _words(error)
    host.unanswered += 1
    failed = _FailedError(f"no connection ({words})", temporary=temporary)
    if not temporary or host.unanswered >= MAX_UNANSWERED:
        host.given_up = failed
    return failed


def _host(url: str) -> _Host:
    return _hosts.setdefault(urlsplit(url).netloc, _Host())


def _check_route(url: str) -> None:
    """Raise where this machine has no network: no name is found, no address has a route.

    Connecting a datagram socket sends nothing; it only asks the system for a route.
    """
    parts = urlsplit(url)
    if parts.scheme in urllib.request.getproxies():
        return  # the proxy looks up names
    found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_DGRAM)
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.connect(address)
                return
        except OSError as error:
            if error.errno not in NO_ROUTE:
                return  # the request itself will show what it is
    raise OSError("no route to any of its addresses")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirection to another host if the file can be checked."""

    def __init__(self, checked: bool) -> None:
        self._checked = checked

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        why = None
        if (before.scheme, after.scheme) == ("https", "http"):
            why = "is not encrypted"
        elif before.netloc != after.netloc and not self._checked:
            why = "is not followed, as neither a checksum nor a length of this file is known"
        if why is not None:
            fp.close()
            raise _FailedError(f"its redirection to {after.netloc} {why}", temporary=False)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _words(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    stated = reason.strerror if isinstance(reason, OSError) else None
    return stated or str(reason) or type(reason).__name__
