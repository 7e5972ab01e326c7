"""Work in threads: ahead of its use, or for several items at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch_map(
    pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], window: int
) -> Iterator[Result]:
    """Yield `work(item)` in the items' order; at most `window` are started and not yet used."""
    waiting: deque[Future[Result]] = deque()
    for item in items:
        if len(waiting) == window:
            yield waiting.popleft().result()
        waiting.append(pool.submit(work, item))
    while waiting:
        yield waiting.popleft().result()


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
