"""Work in threads: results prefetched in order, or several items at a time."""

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
    """Return an iterator over `work(item)` in the items' order, computed ahead in `pool`.

    The first `window` items start immediately; never more than that are started and not consumed.
    """
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
    """Call `work` for every item in order, `slots` of them at a time.

    After an error or Ctrl-C no more items are started, and `stop` is called, which must make the
    running calls return. With one slot everything runs in this thread.
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
