"""Work in threads: ahead of its use, or for several items at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch_map(
    pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], window: int
) -> Iterator[Result]:
    """Return `work(item)` in the items' order; the first `window` are started at once, and no more
    than that are ever started and not yet used."""
    left = iter(items)
    waiting = deque(pool.submit(work, item) for item in islice(left, window))

    def results() -> Iterator[Result]:
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(work, item) for item in islice(left, 1))

    return results()


def run_parallel(
    work: Callable[[Item], None], items: Sequence[Item], slots: int, stop: Callable[[], None]
) -> None:
    """Do the work for every item in order, `slots` of them at a time.

    After an error in one, or Ctrl-C, no more are started, and `stop` is called, which must make the
    running ones return. With one slot everything runs in this thread.
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
