"""Prepare trained models in a runtime, then time them in turns, in rounds of random order.

A slow minute of the machine then affects every model alike, instead of the one that happened to
be timed in it. The first query after another model's turn counts as warm-up, as its data is no
longer in the processor's caches.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from bench.analysis.statistics import SAMPLES_FOR_PERCENTILE
from bench.errors import TrialError, failure_reason
from bench.inference.runtimes import Call, ModelSource, Runtime
from bench.models.backends.base import Array
from bench.types import REFERENCE, RuntimeResult

PREDICTION_BATCH = 8
# Difference of a probability, by precision: rounding causes less, other weights cause more.
REFERENCE_TOLERANCE = {"float32": 0.01, "mixed_float16": 0.05, "mixed_bfloat16": 0.3}

ROUNDS = 4  # each with one turn per call; slow calls get more rounds until they have enough queries
OVERTIME = 4  # a slow call may take so many times its seconds to reach its number of queries
QUERIES_FOR_MEDIAN = SAMPLES_FOR_PERCENTILE[50]  # made in any case, however slow they are
MAX_QUERIES = 4000
STABLE_WINDOW = 5  # queries whose median is compared with that of the queries before
STABLE_CHANGE = 0.05  # relative difference of the two medians below which a call is warm
WARMUP_SHARE = 0.5  # fraction of a call's seconds that its warm-up may take
BATCH_SIZES = {"cpu": (1, 8, 32), "gpu": (1, 8, 32, 128, 512)}
LARGE_BATCH_SHARE = 0.25  # seconds of each larger batch, as a fraction of those of batch 1
LARGE_BATCH_QUERIES = 3
LARGE_BATCH_OVERTIME = 3  # a larger batch is left out if it takes so many times batch 1's seconds
COLD_CACHE_BELOW = 0.1  # seconds of a query; cold caches do not matter for longer ones


@dataclass
class Deployment:
    """A model loaded in a runtime, with the costs of preparing it and its predictions."""

    result: RuntimeResult
    call: Call
    seconds_per_image: float  # in batches of one, after the first call
    probabilities: Array | None  # of all test images; None for the reference, recorded in training


def deploy(runtime: Runtime, source: ModelSource, images: Array, expected: Array) -> Deployment:
    """Convert and load a model, and predict all `images` with it.

    Raises `TrialError` if the reference runtime's probabilities differ from those `expected` from
    training.
    """
    begun = time.perf_counter()
    runtime.convert(source)
    converted = time.perf_counter() - begun
    begun = time.perf_counter()
    call = runtime.load(source)
    call(np.asarray(images[:1]))
    loaded = time.perf_counter() - begun
    begun = time.perf_counter()
    call(np.asarray(images[:1]))
    seconds_per_image = time.perf_counter() - begun
    if runtime.name == REFERENCE:
        tolerance = REFERENCE_TOLERANCE[source.model.dtype_policy.name]
        _check_same(
            predict_all(call, images[:PREDICTION_BATCH]), expected[:PREDICTION_BATCH], tolerance
        )
    result = RuntimeResult(
        runtime.name,
        compile_seconds=loaded,
        artefact=runtime.artefact,
        artefact_bytes=_size(source, runtime),
        convert_seconds=converted if runtime.artefact else 0.0,
    )
    known = runtime.name == REFERENCE
    return Deployment(result, call, seconds_per_image, None if known else predict_all(call, images))


def predict_all(call: Call, images: Array) -> Array:
    """Return the probabilities of all images, one column per class, using a single batch size."""
    found = []
    for start in range(0, len(images), PREDICTION_BATCH):
        rows = images[start : start + PREDICTION_BATCH]
        full = np.resize(rows, (PREDICTION_BATCH, *rows.shape[1:]))
        # A copy, as a runtime may reuse the memory of its output.
        found.append(np.array(call(full)[: len(rows)], dtype=np.float64))
    whole = np.concatenate(found)
    return np.hstack([1 - whole, whole]) if whole.shape[1] == 1 else whole


def _check_same(found: Array, expected: Array, tolerance: float) -> None:
    difference = float(np.abs(found - expected).max())
    if not difference < tolerance:
        raise TrialError(
            f"the model rebuilt from its kept weights differs from the trained one: "
            f"probabilities differ by up to {difference:.3f}."
        )


def _size(source: ModelSource, runtime: Runtime) -> int:
    """Return the bytes of the artefact and of files next to it, such as OpenVINO's weights."""
    if not runtime.artefact:
        return 0
    stem = runtime.artefact.rsplit(".", 1)[0]
    return sum(path.stat().st_size for path in source.folder.glob(f"{stem}.*"))


@dataclass
class TimedCall:
    """One model in one runtime at one batch size, with the seconds of each query."""

    call: Call
    images: Array  # one batch
    seconds: float  # to spend on timed queries
    min_queries: int  # to make if they fit in `OVERTIME`; else enough for a median
    joules: Callable[[], float] | None = None  # running total, if the device counts energy
    warmup: list[float] = field(default_factory=list)  # seconds of each warm-up query
    timed: list[float] = field(default_factory=list)  # seconds of each timed query
    energy: float = 0.0  # joules of the timed queries
    spent: float = 0.0  # seconds of the timed queries
    failure: str = ""  # why a query failed; no more queries follow

    @property
    def done(self) -> bool:
        """Return whether no more queries are needed, or one failed."""
        if self.failure:
            return True
        enough = self.spent >= self.seconds and len(self.timed) >= self._needed
        late = self.spent >= OVERTIME * self.seconds and len(self.timed) >= min(
            self.min_queries, QUERIES_FOR_MEDIAN
        )
        return enough or late or len(self.timed) >= MAX_QUERIES

    @property
    def expected(self) -> float:
        """Return the estimated seconds of all its timed queries, past and future."""
        if self.done:
            return self.spent
        needed = self._needed * float(np.median(self.timed or self.warmup[-STABLE_WINDOW:]))
        return max(self.seconds, needed, self.spent)

    @property
    def _needed(self) -> int:
        """Return the number of queries to make: `min_queries`, or those of a median if the former
        would exceed `OVERTIME`."""
        expected = self.min_queries * float(np.median(self.timed or self.warmup[-STABLE_WINDOW:]))
        return (
            self.min_queries
            if expected <= OVERTIME * self.seconds
            else min(self.min_queries, QUERIES_FOR_MEDIAN)
        )

    def begin_warm_up(self) -> None:
        """Make two queries: the first one of a batch size may compile something."""
        with self._recording_failure():
            self.warmup += [self._query(), self._query()]

    def warm_up(self) -> None:
        """Make queries until their time is stable, for at most `WARMUP_SHARE` of `seconds`."""
        with self._recording_failure():
            while not self._is_warm():
                self.warmup.append(self._query())

    def take_turn(self, seconds: float) -> None:
        """Time queries for about `seconds`, at least one."""
        with self._recording_failure():
            if self.warmup[-1] < COLD_CACHE_BELOW:
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

    @contextmanager
    def _recording_failure(self) -> Iterator[None]:
        """Record an error of a query, such as a lack of memory, so that other calls continue."""
        try:
            yield
        except Exception as error:
            traceback.print_exc()
            self.failure = failure_reason(error)

    def _query(self) -> float:
        start = time.perf_counter()
        self.call(self.images)
        return time.perf_counter() - start

    def _is_warm(self) -> bool:
        if self.failure or sum(self.warmup) >= WARMUP_SHARE * self.seconds:
            return True
        if len(self.warmup) < 2 * STABLE_WINDOW:
            return False
        before = np.median(self.warmup[-2 * STABLE_WINDOW : -STABLE_WINDOW])
        last = np.median(self.warmup[-STABLE_WINDOW:])
        return bool(abs(last - before) < STABLE_CHANGE * before)


def prepare_calls(
    call: Call,
    images: Array,
    seconds_per_image: float,
    seconds: float,
    device: str,
    joules: Callable[[], float] | None,
) -> dict[int, TimedCall]:
    """Return the calls to time for one model by batch size: 1, and larger ones as time allows.

    Each larger batch is queried, to estimate the time of the next one.
    """
    found, known = dict[int, TimedCall](), {1: seconds_per_image}
    for batch in BATCH_SIZES[device]:
        single = batch == 1
        expected = _extrapolate(known, batch) * (LARGE_BATCH_QUERIES + 1)
        if not single and expected > LARGE_BATCH_OVERTIME * seconds:
            break
        timed = found[batch] = TimedCall(
            call=call,
            images=np.resize(images[:batch], (batch, *images.shape[1:])),
            seconds=seconds if single else LARGE_BATCH_SHARE * seconds,
            min_queries=SAMPLES_FOR_PERCENTILE[90] if single else LARGE_BATCH_QUERIES,
            joules=joules,
        )
        if not single:
            timed.begin_warm_up()
            if timed.failure:
                break
            known[batch] = timed.warmup[-1]
    return found


def _extrapolate(known: Mapping[int, float], batch: int) -> float:
    """Estimate the seconds of a query from those of smaller batches, `known` by ascending size.

    Time grows at most in proportion to the batch, on a GPU much less, as the last two sizes show.
    """
    *smaller, (size, seconds) = known.items()
    estimates = [seconds * batch / size]
    if smaller:
        size_before, seconds_before = smaller[-1]
        slope = max(0.0, (seconds - seconds_before) / (size - size_before))
        estimates.append(seconds + slope * (batch - size))
    return min(estimates)


def interleave(calls: Sequence[TimedCall], between: Callable[[], None]) -> int:
    """Time the calls in turns, in a random order each round, until all are done.

    Calls `between` before, after and between the rounds. Returns the number of rounds.
    """
    for call in calls:
        call.warm_up()
    rng = np.random.default_rng(0)
    count = 0
    between()
    while waiting := [call for call in calls if not call.done]:
        for index in rng.permutation(len(waiting)):
            waiting[index].take_turn(waiting[index].seconds / ROUNDS)
        count += 1
        between()
    return count


def fraction_done(calls: Sequence[TimedCall]) -> float:
    """Return the fraction of the estimated time of all calls that has passed."""
    expected = sum(call.expected for call in calls)
    return sum(call.spent for call in calls) / expected if expected else 1.0
