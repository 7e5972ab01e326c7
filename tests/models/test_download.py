"""Downloads from a local server that can misbehave."""

from __future__ import annotations

import errno
import hashlib
import io
import multiprocessing
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fileserver import Server, serving

from bench.errors import MissingWeightsError, WeightsError
from bench.models import download
from bench.models.download import fetch_file

BODY = bytes(range(256)) * 4000
MD5 = hashlib.md5(BODY).hexdigest()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(BODY) as server:
        yield server


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_hosts", {})
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0)


def test_a_complete_file_is_downloaded_with_progress(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    file = tmp_path / "new" / "file.h5"

    fetch_file(server.url("file"), file, checksum=MD5, progress=lambda *now: seen.append(now))

    assert file.read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))
    assert [p.name for p in file.parent.iterdir() if not p.name.endswith(".lock")] == ["file.h5"]


def test_an_existing_file_is_not_downloaded_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.h5").write_bytes(b"mine")

    fetch_file(server.url("file"), tmp_path / "file.h5", checksum=MD5)

    assert (tmp_path / "file.h5").read_bytes() == b"mine"
    assert server.asked == []


@pytest.mark.parametrize(
    ("name", "words", "tries", "temporary"),
    [
        ("missing", "the server answered 404 Not Found", 1, False),
        ("busy", "the server answered 503 Service Unavailable, 3 times", 3, True),
        ("short", "it ended at 5,000 of 1,024,000 bytes, 3 times", 3, True),
    ],
)
def test_a_failed_download_is_one_line_and_no_file(
    server: Server, tmp_path: Path, name: str, words: str, tries: int, temporary: bool
) -> None:
    with pytest.raises(MissingWeightsError) as raised:
        fetch_file(server.url(name), tmp_path / "file.h5")

    host = f"127.0.0.1:{server.server_port}"
    assert str(raised.value) == f"file.h5 cannot be downloaded from {host}: {words}."
    assert raised.value.temporary == temporary
    assert len(server.asked) == tries
    assert [p for p in tmp_path.iterdir() if not p.name.endswith(".lock")] == []


@pytest.mark.parametrize(
    ("published", "words"),
    [
        ({"checksum": "0123"}, f"MD5 {MD5}, not 0123"),
        ({"checksum": "0" * 64}, f"SHA-256 {hashlib.sha256(BODY).hexdigest()}, not 000"),
        ({"nbytes": 7}, "1,024,000 bytes, not 7"),
    ],
)
def test_a_file_with_a_wrong_checksum_is_discarded(
    server: Server, tmp_path: Path, published: Any, words: str
) -> None:
    with pytest.raises(MissingWeightsError, match=words) as raised:
        fetch_file(server.url("file"), tmp_path / "file.h5", **published)

    assert raised.value.temporary
    assert not (tmp_path / "file.h5").exists()


def test_attempts_are_repeated_with_growing_pauses(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("bench.models.download.time.sleep", pauses.append)
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.5)

    fetch_file(server.url("recovers"), tmp_path / "file.h5", checksum=MD5)

    assert (tmp_path / "file.h5").read_bytes() == BODY
    assert pauses == [0.5, 1.0]


def test_a_redirect_to_another_host_needs_a_checksum_or_length(
    server: Server, tmp_path: Path
) -> None:
    with serving(BODY) as other:
        server.elsewhere = other.url("breaks")
        fetch_file(server.url("moved"), tmp_path / "by_md5.h5", checksum=MD5)
        fetch_file(server.url("moved"), tmp_path / "by_length.h5", nbytes=len(BODY))
        asked = len(other.asked)
        with pytest.raises(MissingWeightsError) as raised:
            fetch_file(server.url("moved"), tmp_path / "unchecked.h5")
        with pytest.raises(MissingWeightsError, match="is not the published one"):
            fetch_file(server.url("moved"), tmp_path / "wrong.h5", checksum="0123")

    assert (tmp_path / "by_md5.h5").read_bytes() == BODY
    assert (tmp_path / "by_length.h5").read_bytes() == BODY
    assert f"redirect to 127.0.0.1:{other.server_port} is not followed" in str(raised.value)
    assert not raised.value.temporary
    assert len(other.asked) == asked + 2  # by the last alone, which breaks once
    assert not (tmp_path / "wrong.h5").exists()


def test_a_redirect_from_https_to_http_is_refused() -> None:
    request = urllib.request.Request("https://one.invalid/file")
    handler = download._RedirectHandler(checked=True)

    with pytest.raises(download._DownloadError, match="is not encrypted"):
        handler.redirect_request(request, io.BytesIO(), 302, "Found", {}, "http://one.invalid/file")


def test_a_broken_transfer_is_resumed(server: Server, tmp_path: Path) -> None:
    fetch_file(server.url("breaks"), tmp_path / "file.h5", checksum=MD5)

    assert server.asked == ["breaks from 0", "breaks from 5000"]


def test_a_server_without_ranges_sends_the_file_from_the_start(
    server: Server, tmp_path: Path
) -> None:
    fetch_file(server.url("restarts"), tmp_path / "file.h5", checksum=MD5)

    assert server.asked == ["restarts from 0", "restarts from 5000"]


def test_a_pause_in_a_transfer_is_waited_for(server: Server, tmp_path: Path) -> None:
    fetch_file(server.url("slow"), tmp_path / "file.h5", checksum=MD5, timeout=30)

    assert server.asked == ["slow from 0"]


def test_one_timeout_does_not_give_a_host_up(server: Server, tmp_path: Path) -> None:
    server.silences = 1
    fetch_file(server.url("silent"), tmp_path / "file.h5", timeout=0.1)

    assert server.asked == ["silent from 0", "silent from 0"]


def test_a_host_that_stays_silent_is_given_up(server: Server, tmp_path: Path) -> None:
    begun = time.monotonic()
    reasons = []
    for name in ("one.h5", "two.h5", "three.h5"):
        with pytest.raises(MissingWeightsError, match=f"{name} cannot be downloaded") as raised:
            fetch_file(server.url("silent"), tmp_path / name, timeout=0.1)
        assert raised.value.temporary
        reasons.append(str(raised.value).partition(": ")[2])

    assert reasons == [
        "no connection (no answer within 0.4 s), 3 times.",
        "no connection (no answer within 0.1 s).",
        "no connection (no answer within 0.1 s).",
    ]
    assert len(server.asked) == download.MAX_UNANSWERED == 4
    assert time.monotonic() - begun < 2


def test_a_response_resets_the_count_of_timeouts(server: Server, tmp_path: Path) -> None:
    server.silences = 3
    with pytest.raises(MissingWeightsError):
        fetch_file(server.url("silent"), tmp_path / "one.h5", timeout=0.05)
    fetch_file(server.url("file"), tmp_path / "two.h5", timeout=0.5)
    server.silences = 2
    fetch_file(server.url("silent"), tmp_path / "three.h5", timeout=0.05)

    assert len(server.asked) == 3 + 1 + 3


def test_a_refused_connection_is_a_temporary_failure(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(MissingWeightsError) as raised:
        fetch_file(f"http://127.0.0.1:{port}/file", tmp_path / "file.h5")

    assert str(raised.value) == (
        f"file.h5 cannot be downloaded from 127.0.0.1:{port}: "
        "no connection (Connection refused), 3 times."
    )
    assert raised.value.temporary


@pytest.mark.parametrize("without", ["names", "routes", "answers about names"])
def test_without_a_network_nothing_is_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: str
) -> None:
    asked = []

    def look_up(*arguments: Any, **options: Any) -> Any:
        asked.append(arguments)
        if without == "names":
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        if without == "answers about names":
            time.sleep(0.3)
        return [(socket.AF_INET, socket.SOCK_DGRAM, 0, "", ("192.0.2.1", 443))]

    def connect(self: socket.socket, address: Any) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket.socket, "connect", connect)
    for name in ("one.h5", "two.h5"):
        with pytest.raises(MissingWeightsError, match="no connection") as raised:
            fetch_file("http://nowhere.invalid/file", tmp_path / name, timeout=0.2)
        assert not raised.value.temporary
    assert len(asked) == 1


def test_a_folder_that_cannot_be_written_is_an_error(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")

    with pytest.raises(WeightsError, match=r"file.h5 cannot be written"):
        fetch_file(server.url("file"), tmp_path / "file" / "file.h5")


def test_two_processes_fetch_a_file_once(server: Server, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=fetch_file, args=(server.url("slow"), tmp_path / "file.h5"))
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0, 0]
    assert (tmp_path / "file.h5").read_bytes() == BODY
    assert server.asked == ["slow from 0"]
