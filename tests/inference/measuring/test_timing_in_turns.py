"""Timing in turns, with calls whose queries take a known time."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from bench.analysis.statistics.timing import drift
from bench.inference.measuring import timing
from bench.inference.measuring.timing import (
    TimedCall,
    fraction_done,
    interleave,
    prepare_calls,
)
from bench.models.backends.base import Array

NOTHING = np.zeros(1)


class Clock:
    """A clock that only queries advance."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def query(self, name: str, seconds: Callable[[int], float]) -> Callable[[Array], Array]:
        asked = iter(range(10**6))

        def call(images: Array) -> Array:
            self.now += seconds(next(asked))
            if not self.order or self.order[-1] != name:
                self.order.append(name)
            return images

        return call


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    return clock


def subject(clock: Clock, name: str, seconds: float, min_queries: int = 64) -> TimedCall:
    return TimedCall(
        clock.query(name, lambda n: seconds), NOTHING, seconds=1.0, min_queries=min_queries
    )


def test_a_call_gets_its_seconds_and_its_queries(clock: Clock) -> None:
    quick, slow = subject(clock, "quick", 0.001), subject(clock, "slow", 0.03)
    interleave([quick, slow], between=lambda: None)
    assert sum(quick.timed) == pytest.approx(1.0, abs=0.01)
    assert len(slow.timed) == 64  # 1.92 s: longer than asked, to support a p90


def test_a_failed_query_ends_its_own_call_only(clock: Clock) -> None:
    def fails_at(n: int) -> float:
        if n == 30:
            raise MemoryError("no room")
        return 0.001

    batch = TimedCall(clock.query("batch", fails_at), NOTHING, seconds=1.0, min_queries=64)
    other = subject(clock, "other", 0.001)
    interleave([batch, other], between=lambda: None)
    assert batch.failure == "MemoryError: no room"
    assert not other.failure
    assert sum(other.timed) == pytest.approx(1.0, abs=0.01)


def test_a_very_slow_call_stops_after_the_queries_of_a_median(clock: Clock) -> None:
    slow, batch = subject(clock, "slow", 0.5), subject(clock, "batch", 0.5, min_queries=3)
    interleave([slow, batch], between=lambda: None)
    assert len(slow.timed) == timing.QUERIES_FOR_MEDIAN  # 5.5 s, where overtime allows 4
    assert len(batch.timed) == 3


def test_no_overtime_for_a_percentile_out_of_reach(clock: Clock) -> None:
    can, cannot = subject(clock, "can", 0.06), subject(clock, "cannot", 0.2)
    interleave([can, cannot], between=lambda: None)
    assert len(can.timed) == 64  # 3.84 s of four
    assert len(cannot.timed) == timing.QUERIES_FOR_MEDIAN  # 64 of them would take 12.8 s


def test_every_round_has_all_calls_in_random_order(clock: Clock) -> None:
    subjects = [subject(clock, name, 0.01) for name in "abcd"]
    count = interleave(subjects, between=lambda: clock.order.append("|"))
    _, *turns, _ = "".join(clock.order).split("|")
    assert count == len(turns) >= timing.ROUNDS
    assert {"".join(sorted(turn)) for turn in turns} == {"abcd"}
    assert len(set(turns)) > 1


def test_the_fraction_of_the_turns_that_is_done(clock: Clock) -> None:
    both = [subject(clock, "quick", 0.001), subject(clock, "slow", 0.03)]
    shares: list[float] = []
    interleave(both, between=lambda: shares.append(fraction_done(both)))
    assert (shares[0], shares[-1]) == (0, 1)
    assert shares == sorted(shares)
    # A quarter of each one's second, in queries of 30 ms; 1 and 1.92 s are expected.
    assert shares[1] == pytest.approx((0.25 + 9 * 0.03) / 2.92, abs=0.001)


def test_warm_up_lasts_until_it_is_stable_and_is_separate(clock: Clock) -> None:
    # Each of the first ten queries takes a tenth longer than the next; then all take 1 ms.
    cooling = clock.query("a", lambda n: 0.001 * 1.1 ** max(0, 10 - n))
    one = TimedCall(cooling, NOTHING, seconds=1.0, min_queries=64)
    interleave([one], between=lambda: None)
    assert one.warmup[0] == pytest.approx(0.001 * 1.1**10)
    assert 10 < len(one.warmup) < 30
    assert max(one.timed) == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("seconds_of", "batches"),
    [
        (lambda images: 0.005 + 0.00002 * images, [1, 8, 32, 128, 512]),
        (lambda images: 0.005 * images, [1, 8]),  # 4 queries of 32 images would take 0.64 s
        (lambda images: max(0.008, 0.0005 * images), [1, 8, 32, 128]),  # 0.26 s for each of 512
    ],
    ids=["a GPU with room", "in proportion", "a GPU that is full"],
)
def test_a_batch_is_timed_if_the_two_before_it_promise_that_it_fits(
    clock: Clock, seconds_of: Callable[[int], float], batches: list[int]
) -> None:
    def call(images: Array) -> Array:
        clock.now += seconds_of(len(images))
        return images

    # A batch may take 0.3 s in all, with one query to warm up.
    swept = prepare_calls(call, NOTHING, seconds_of(1), 0.1, "gpu", joules=None)
    assert list(swept) == batches


def test_a_batch_for_which_memory_is_short_is_the_last_of_a_sweep(clock: Clock) -> None:
    def call(images: Array) -> Array:
        clock.now += 0.001
        if len(images) > 30:
            raise MemoryError("no room")
        return images

    swept = prepare_calls(call, NOTHING, 0.001, 0.1, "gpu", joules=None)
    interleave(list(swept.values()), between=lambda: None)
    failures = {batch: timed.failure for batch, timed in swept.items()}
    assert failures == {1: "", 8: "", 32: "MemoryError: no room"}


def test_energy_is_that_of_the_timed_queries_only(clock: Clock) -> None:
    one = subject(clock, "a", 0.01)
    one.joules = lambda: 50.0 * clock.now  # 50 W
    interleave([one], between=lambda: None)
    assert one.energy == pytest.approx(50.0 * sum(one.timed))


def test_drift_by_hand() -> None:
    # Logarithms of 0 and log(1.1) to either side: a standard deviation of log(1.1).
    assert drift([0.10, 0.11, 0.121]) == pytest.approx(1.1**2.326 - 1)
    assert drift([0.1]) == 0.0


def test_drift_does_not_grow_with_the_number_of_samples() -> None:
    times = np.exp(np.random.default_rng(0).normal(0, 0.05, (400, 100)))
    few, many = (float(np.mean([drift(row[:n]) for row in times])) for n in (5, 100))
    assert many == pytest.approx(few, rel=0.08)
    # What five samples span on average, so that the limit means what it always meant.
    assert few == pytest.approx(float(np.mean(np.ptp(np.log(times[:, :5]), axis=1))), rel=0.08)
