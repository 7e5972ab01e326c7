"""A web server on this machine that serves one file, and misbehaves on request."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Serves one file; the requested name determines how."""

    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = body
        self.asked: list[str] = []
        self.silences = 10  # requests of `silent` that wait too long for their answer
        self.elsewhere = ""  # where a file that has moved is now

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name, body = self.path[1:], self.server.body
        start = int(self.headers.get("Range", "bytes=0-")[len("bytes=") : -1])
        self.server.asked.append(f"{name} from {start}")
        if name == "silent" and self.server.silences:
            self.server.silences -= 1
            time.sleep(1)
        elif name == "missing":
            self.send_error(404)
        elif name == "busy":
            self.send_error(503)
        elif name == "moved":
            self.answer(302, 0, b"", Location=self.server.elsewhere)
        elif name == "recovers" and len(self.server.asked) < 3:
            self.send_error(503)
        elif name == "short" or (name == "breaks" and start == 0):
            self.answer(200, len(body), body[:5000])
        elif name == "breaks":
            self.answer(206, len(body) - start, body[start:])
        elif name == "restarts" and start == 0:
            self.answer(200, len(body), b"x" * 5000)
        elif name == "slow":
            self.answer(200, len(body), body[:5000])
            time.sleep(0.4)
            self.wfile.write(body[5000:])
        else:
            self.answer(200, len(body), body)

    def answer(self, status: int, length: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing in the test's output."""


@contextmanager
def serving(body: bytes) -> Iterator[Server]:
    with Server(body) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()
