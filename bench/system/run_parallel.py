"""The same work for several things, some of them at once, in threads; ended together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

T = TypeVar("T")


def run_parallel(
    work: Callable[[T], None], items: Sequence[T], slots: int, stop: Callable[[], None]
) -> None:
    """Do the work for every item, `slots` of them at a time and in order.

    An error in one, or Ctrl-C, begins no more of them and calls `stop`, which must make those under
    way return. With one slot all of it is done in this thread.
    """
    if slots == 1:
        for item in items:
            work(item)
        return
    with ThreadPoolExecutor(slots) as pool:
        running = [pool.submit(work, item) for item in items]
        try:
            for done in as_completed(running):
                done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            stop()
            raise
