"""Downloads, from a server that this test runs itself and that can misbehave."""

from __future__ import annotations

import hashlib
import multiprocessing
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fileserver import Server, serving

from bench import download
from bench.download import fetch
from bench.errors import WeightsError

BODY = bytes(range(256)) * 4000
MD5 = hashlib.md5(BODY).hexdigest()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(BODY) as server:
        yield server


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_unreachable", {})
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0)


def test_a_file_comes_whole_with_its_progress(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    file = tmp_path / "new" / "file.h5"

    fetch(server.url("file"), file, md5=MD5, progress=lambda *now: seen.append(now))

    assert file.read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))
    assert [p.name for p in file.parent.iterdir() if not p.name.endswith(".lock")] == ["file.h5"]


def test_a_file_that_is_there_is_left_as_it_is(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.h5").write_bytes(b"mine")

    fetch(server.url("file"), tmp_path / "file.h5", md5=MD5)

    assert (tmp_path / "file.h5").read_bytes() == b"mine"
    assert server.asked == []


@pytest.mark.parametrize(
    ("name", "words", "tries"),
    [
        ("missing", "the server answered 404 Not Found", 1),
        ("moved", "the server answered 302 Found", 1),
        ("busy", "the server answered 503 Service Unavailable, 3 times", 3),
        ("short", "it ended at 5,000 of 1,024,000 bytes, 3 times", 3),
    ],
)
def test_what_cannot_be_had_is_one_line_and_no_file(
    server: Server, tmp_path: Path, name: str, words: str, tries: int
) -> None:
    with pytest.raises(WeightsError) as raised:
        fetch(server.url(name), tmp_path / "file.h5")

    host = f"127.0.0.1:{server.server_port}"
    assert str(raised.value) == f"file.h5 cannot be downloaded from {host}: {words}."
    assert len(server.asked) == tries
    assert [p for p in tmp_path.iterdir() if not p.name.endswith(".lock")] == []


def test_a_wrong_checksum_leaves_no_file(server: Server, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=f"its MD5 is {MD5}, the published one 0123"):
        fetch(server.url("file"), tmp_path / "file.h5", md5="0123")

    assert not (tmp_path / "file.h5").exists()


def test_a_broken_transfer_goes_on_where_it_broke(server: Server, tmp_path: Path) -> None:
    fetch(server.url("breaks"), tmp_path / "file.h5", md5=MD5)

    assert server.asked == ["breaks from 0", "breaks from 5000"]


def test_a_server_that_cannot_resume_is_heard_from_the_start(
    server: Server, tmp_path: Path
) -> None:
    fetch(server.url("restarts"), tmp_path / "file.h5", md5=MD5)

    assert server.asked == ["restarts from 0", "restarts from 5000"]


def test_a_pause_in_a_transfer_is_waited_for(server: Server, tmp_path: Path) -> None:
    fetch(server.url("slow"), tmp_path / "file.h5", md5=MD5, timeout=30)

    assert server.asked == ["slow from 0"]


def test_a_host_that_is_silent_is_asked_once(server: Server, tmp_path: Path) -> None:
    begun = time.monotonic()
    for name in ("one.h5", "two.h5", "three.h5"):
        with pytest.raises(WeightsError, match="no connection"):
            fetch(server.url("silent"), tmp_path / name, timeout=1)

    assert time.monotonic() - begun < 2.5  # and not three times as long as one
    assert server.asked == ["silent from 0"]


def test_a_host_that_refuses_or_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for host in (f"127.0.0.1:{port}", "nowhere.invalid"):
        with pytest.raises(
            WeightsError, match=f"file.h5 cannot be downloaded from {host}: no connection"
        ):
            fetch(f"http://{host}/file", tmp_path / "file.h5")


def test_a_folder_that_cannot_be_written_is_an_error(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")

    with pytest.raises(WeightsError, match=r"file.h5 cannot be written"):
        fetch(server.url("file"), tmp_path / "file" / "file.h5")


def test_two_processes_fetch_a_file_once(server: Server, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=fetch, args=(server.url("slow"), tmp_path / "file.h5"))
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0, 0]
    assert (tmp_path / "file.h5").read_bytes() == BODY
    assert server.asked == ["slow from 0"]
