"""Download a published file: complete, verified, and only once if several processes need it.

    FILE            appears by a rename after its length and checksum are verified
    .FILE.part      the partial file during the transfer
    .FILE.lock      held by the downloading process; others wait for it and then find the file

Temporary failures (timeout, busy server, broken transfer) are retried with increasing pauses.
Without a network nothing is retried. A redirect to another host is followed only for a file whose
checksum or length is published. `weights.py` decides which files are needed.
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
MAX_ATTEMPTS = 3  # per file
PAUSE_SECONDS = 0.5  # after the first attempt; doubled after each later one
TIMEOUT_SECONDS = 5.0  # for a response to the first attempt; doubled for each later one
MAX_UNANSWERED = 4  # consecutive requests without a response, after which a host is given up

TEMPORARY_STATUS = (
    http.client.REQUEST_TIMEOUT,
    http.client.TOO_EARLY,
    http.client.TOO_MANY_REQUESTS,
)
TEMPORARY_ERRNO = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.ENETRESET)

NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

OnBytes = Callable[[int, int], None]  # bytes received, total bytes (0: not known)


class _DownloadError(Exception):
    """One attempt failed; `temporary` if a later attempt may succeed."""

    def __init__(self, text: str, *, temporary: bool) -> None:
        super().__init__(text)
        self.temporary = temporary


@dataclass
class _Host:
    """The state of a host, so that only the first files wait for a timeout."""

    unanswered: int = 0  # consecutive requests without a response
    given_up: _DownloadError | None = None  # the error for all further requests


_hosts: dict[str, _Host] = {}


def fetch_file(
    url: str,
    destination: Path,
    *,
    checksum: str | None = None,
    nbytes: int | None = None,
    progress: OnBytes = lambda done, total: None,
    timeout: float = TIMEOUT_SECONDS,
) -> None:
    """Download `url` to `destination`, unless that file exists.

    A broken transfer is resumed. Raise `MissingWeightsError` if the download fails.
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
            if (fault := describe_mismatch(part, checksum, nbytes)) is not None:
                raise _DownloadError(
                    f"the downloaded file is not the published one ({fault})", temporary=True
                )
            part.replace(destination)
    except _DownloadError as error:
        why = f"cannot be downloaded from {urlsplit(url).netloc}: {error}."
        raise MissingWeightsError(destination.name, why, temporary=error.temporary) from error
    except OSError as error:
        raise WeightsError(f"{destination} cannot be written: {_error_text(error)}.") from error


def describe_mismatch(path: Path, checksum: str | None, nbytes: int | None) -> str | None:
    """Return how a file differs from the published length and checksum; `None` if it does not."""
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
        for number in range(MAX_ATTEMPTS):
            try:
                with _open_url(url, file.tell(), timeout * 2**number, checked) as response:
                    _copy_response(response, file, progress)
                file.flush()
                os.fsync(file.fileno())
                return
            except _DownloadError as error:
                if not error.temporary or _host(url).given_up is not None:
                    raise
                if number + 1 == MAX_ATTEMPTS:
                    raise _DownloadError(
                        f"{error}, {MAX_ATTEMPTS} times", temporary=True
                    ) from error
                time.sleep(PAUSE_SECONDS * 2**number)


def _copy_response(response: Any, file: IO[bytes], progress: OnBytes) -> None:
    if response.status != http.client.PARTIAL_CONTENT:  # the server sends the whole file
        file.seek(0)
        file.truncate()
    length = response.headers.get("Content-Length")
    total = file.tell() + int(length) if length else 0
    while chunk := _read_chunk(response):
        file.write(chunk)
        progress(file.tell(), total)
    if total and file.tell() != total:
        raise _DownloadError(f"it ended at {file.tell():,} of {total:,} bytes", temporary=True)


def _read_chunk(response: Any) -> bytes:
    try:
        return response.read(CHUNK_BYTES)  # type: ignore[no-any-return]
    except (OSError, http.client.HTTPException) as error:
        raise _DownloadError(
            f"the transfer broke ({_error_text(error)})", temporary=True
        ) from error


def _open_url(url: str, start: int, timeout: float, checked: bool) -> Any:
    """Open `url` from the byte `start` on; raise if there is no response within `timeout` seconds.

    The socket's timeout is not sufficient: it applies to each address of a host separately, and
    not to the DNS lookup.
    """
    host = _host(url)
    if host.given_up is not None:
        raise host.given_up
    request = urllib.request.Request(url, headers={"User-Agent": "backbone-bench"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    opener = urllib.request.build_opener(_RedirectHandler(checked))
    results: queue.SimpleQueue[Any] = queue.SimpleQueue()
    has_route = threading.Event()

    def send() -> None:
        try:
            _check_route(url)
            has_route.set()
            results.put(opener.open(request, timeout=timeout))
        except Exception as error:
            results.put(error)

    threading.Thread(target=send, daemon=True).start()
    try:
        result = results.get(timeout=timeout)
    except queue.Empty:
        if has_route.is_set():
            result = TimeoutError()
        else:
            result = OSError(f"its name was not found within {timeout:g} s")
    if not isinstance(result, Exception):
        host.unanswered = 0
        return result
    if isinstance(result, urllib.error.HTTPError):
        host.unanswered = 0
        result.close()
        raise _DownloadError(
            f"the server answered {result.code} {result.reason}",
            temporary=result.code in TEMPORARY_STATUS
            or result.code >= http.client.INTERNAL_SERVER_ERROR,
        ) from result
    if isinstance(result, _DownloadError):  # a redirect that is not followed
        raise result
    raise _count_unanswered(host, result, timeout) from result


def _count_unanswered(host: _Host, error: Exception, timeout: float) -> _DownloadError:
    """Count a request without a response and return its error; give the host up if the failure is
    permanent, or after `MAX_UNANSWERED` such requests."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    temporary = (
        isinstance(reason, TimeoutError | ConnectionError | http.client.HTTPException)
        or getattr(reason, "errno", None) in TEMPORARY_ERRNO
    )
    timed_out = isinstance(reason, TimeoutError)
    text = f"no answer within {timeout:g} s" if timed_out else _error_text(error)
    host.unanswered += 1
    failure = _DownloadError(f"no connection ({text})", temporary=temporary)
    if not temporary or host.unanswered >= MAX_UNANSWERED:
        host.given_up = failure
    return failure


def _host(url: str) -> _Host:
    return _hosts.setdefault(urlsplit(url).netloc, _Host())


def _check_route(url: str) -> None:
    """Raise `OSError` if this machine has no network: the DNS lookup fails, or no address has a
    route.

    Connecting a datagram socket sends nothing; it only asks the system for a route.
    """
    parts = urlsplit(url)
    if parts.scheme in urllib.request.getproxies():
        return  # the proxy looks up names
    addresses = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_DGRAM)
    for family, kind, protocol, _, address in addresses:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.connect(address)
                return
        except OSError as error:
            if error.errno not in NO_ROUTE:
                return  # let the request itself fail, with its own error
    raise OSError("no route to any of its addresses")


class _RedirectHandler(urllib.request.HTTPRedirectHandler):
    """Follow a redirect to another host only if the file can be verified."""

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
            raise _DownloadError(f"its redirect to {after.netloc} {why}", temporary=False)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _error_text(error: Exception) -> str:
    """Return the message of an error, or of its cause for a `URLError`."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    stated = reason.strerror if isinstance(reason, OSError) else None
    return stated or str(reason) or type(reason).__name__
