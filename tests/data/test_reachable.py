"""Whether a host responds, tested with a server on this machine."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from bench.data.sources.tfds import is_reachable


class Handler(BaseHTTPRequestHandler):
    """Has one file."""

    def do_HEAD(self) -> None:
        self.send_response(200 if self.path == "/there.zip" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Not on the test's output."""


@pytest.fixture
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_served_file_is_reachable(address: str) -> None:
    assert is_reachable(f"{address}/there.zip")
    assert not is_reachable(f"{address}/gone.zip")


def test_other_addresses_are_not_reachable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert not is_reachable(f"http://127.0.0.1:{unused.getsockname()[1]}/x")
    assert not is_reachable("http://nowhere.invalid/x")
    assert not is_reachable("no address")


def test_a_host_that_does_not_respond_is_given_up_in_time() -> None:
    with socket.socket() as silent:  # takes the connection and never says a word
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        start = time.monotonic()
        assert not is_reachable(f"http://127.0.0.1:{silent.getsockname()[1]}/x", seconds=0.3)
        assert time.monotonic() - start < 2
