"""Timing many calls in turn: warmed up until stable, then in rounds of random order.

A slow minute of the machine then affects every model alike, instead of the one that happened to
be timed in it. The first query after another call's turn counts as warm-up, as its data is no
longer in the processor's caches.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from bench.analysis.statistics import SAMPLES_FOR_PERCENTILE
from bench.errors import reason
from bench.inference.runtimes import Call
from bench.models.backends.base import Array

ROUNDS = 4  # in which every call has a turn; slow ones get more, until they have enough
OVERTIME = 4  # how many times its seconds a slow call may take to get the queries it needs
FOR_A_MEDIAN = SAMPLES_FOR_PERCENTILE[50]  # queries that a slow call gets, overtime or not
MAX_QUERIES = 4000
STABLE_WINDOW = 5  # queries; stable when two such windows in a row differ by less than ...
STABLE_CHANGE = 0.05
WARMUP_SHARE = 0.5  # of a call's seconds that warming up may take
SWEEP = {"cpu": (1, 8, 32), "gpu": (1, 8, 32, 128, 512)}  # batch sizes
SWEEP_SHARE = 0.25  # of the seconds of batch 1, for each larger batch
SWEEP_QUERIES = 3
SWEEP_OVERTIME = 3  # times the seconds of batch 1 that a larger batch may be expected to take
COLD_BELOW = 0.1  # seconds; cold caches make no difference to a longer query


@dataclass
class TimedCall:
    """One model in one runtime at one batch size, and the seconds of each of its queries."""

    call: Call
    images: Array
    seconds: float  # to be spent on its timed queries
    least: int  # queries that it needs, as far as `OVERTIME` allows more than for a median
    joules: Callable[[], float] | None = None  # running total, where the device counts energy
    warmup: list[float] = field(default_factory=list)
    timed: list[float] = field(default_factory=list)
    energy: float = 0.0
    spent: float = 0.0  # on timed queries
    failure: str = ""  # why a query failed; no more are made

    @property
    def done(self) -> bool:
        if self.failure:
            return True
        enough = self.spent >= self.seconds and len(self.timed) >= self._needed
        late = self.spent >= OVERTIME * self.seconds and len(self.timed) >= min(
            self.least, FOR_A_MEDIAN
        )
        return enough or late or len(self.timed) >= MAX_QUERIES

    @property
    def expected(self) -> float:
        """Estimate the seconds that its timed queries will have taken in all."""
        if self.done:
            return self.spent
        needed = self._needed * float(np.median(self.timed or self.warmup[-STABLE_WINDOW:]))
        return max(self.seconds, needed, self.spent)

    @property
    def _needed(self) -> int:
        """The queries to make: no overtime for a percentile that would stay empty anyway."""
        expected = self.least * float(np.median(self.timed or self.warmup[-STABLE_WINDOW:]))
        return self.least if expected <= OVERTIME * self.seconds else min(self.least, FOR_A_MEDIAN)

    def warm_up(self) -> None:
        """Query until two windows in a row take the same, within bounds."""
        with self._failing():
            while not self._is_warm():
                self.warmup.append(self._query())

    def turn(self, seconds: float) -> None:
        """Time queries for about `seconds`, at least one."""
        with self._failing():
            self._turn(seconds)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Record why a query failed, as one of a large batch may for memory; others continue."""
        try:
            yield
        except Exception as error:
            traceback.print_exc()
            self.failure = reason(error)

    def _turn(self, seconds: float) -> None:
        if self.warmup[-1] < COLD_BELOW:
            self.warmup.append(self._query())
        before = self.joules() if self.joules else 0.0
        begun = time.perf_counter()
        while True:
            self.timed.append(self._query())
            self.spent += self.timed[-1]
            if self.done or time.perf_counter() - begun >= seconds:
                break
        if self.joules:
            self.energy += self.joules() - before

    def _query(self) -> float:
        start = time.perf_counter()
        self.call(self.images)
        return time.perf_counter() - start

    def _is_warm(self) -> bool:
        if sum(self.warmup) >= WARMUP_SHARE * self.seconds:
            return True
        if len(self.warmup) < 2 * STABLE_WINDOW:
            return False
        before = np.median(self.warmup[-2 * STABLE_WINDOW : -STABLE_WINDOW])
        last = np.median(self.warmup[-STABLE_WINDOW:])
        return bool(abs(last - before) < STABLE_CHANGE * before)


def calls_by_batch(
    call: Call,
    images: Array,
    seconds_an_image: float,
    seconds: float,
    device: str,
    joules: Callable[[], float] | None,
) -> dict[int, TimedCall]:
    """Return what is timed of one model: single images, and larger batches as time allows."""
    found = {}
    for batch in SWEEP[device]:
        single = batch == 1
        expected = seconds_an_image * batch * (SWEEP_QUERIES + 1)
        if not single and expected > SWEEP_OVERTIME * seconds:
            break
        found[batch] = TimedCall(
            call=call,
            images=np.resize(images[:batch], (batch, *images.shape[1:])),
            seconds=seconds if single else SWEEP_SHARE * seconds,
            least=SAMPLES_FOR_PERCENTILE[90] if single else SWEEP_QUERIES,
            joules=joules,
        )
    return found


def interleave(calls: Sequence[TimedCall], between: Callable[[], None]) -> int:
    """Give every call turns, in another order each round, until all are done.

    Calls `between` before, after and between the rounds; returns how many rounds there were.
    """
    for call in calls:
        call.warm_up()
    rng = np.random.default_rng(0)
    count = 0
    between()
    while waiting := [call for call in calls if not call.done]:
        for index in rng.permutation(len(waiting)):
            waiting[index].turn(waiting[index].seconds / ROUNDS)
        count += 1
        between()
    return count


def share_done(calls: Sequence[TimedCall]) -> float:
    """Return the share that is done of the seconds that all turns will take."""
    expected = sum(call.expected for call in calls)
    return sum(call.spent for call in calls) / expected if expected else 1.0
