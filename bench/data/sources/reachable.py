"""Whether a download would get through: asked once, and answered soon."""

from __future__ import annotations

import http.client
import threading
import urllib.request
from functools import cache


@cache
def answers(url: str, seconds: float = 5.0) -> bool:
    """Whether the host of `url` would give us the file; no later than after `seconds`."""
    found: list[bool] = []
    # In a thread of its own, because looking up a name knows no time limit.
    thread = threading.Thread(target=lambda: found.append(_ask(url, seconds)), daemon=True)
    thread.start()
    thread.join(seconds)
    return found == [True]


def _ask(url: str, seconds: float) -> bool:
    try:
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=seconds):
            return True
    except (OSError, ValueError, http.client.HTTPException):
        return False  # refused, unknown, too slow, or no address that can be asked
