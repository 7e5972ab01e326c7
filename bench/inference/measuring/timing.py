"""One trained model through one runtime: converted, loaded, asked every test image; then many timed
in turn, warmed up until stable, in rounds of random order.

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
from bench.errors import TrialError, failure_reason
from bench.inference.runtimes import Call, ModelSource, Runtime
from bench.models.backends.base import Array
from bench.types import REFERENCE, RuntimeResult

ANSWER_BATCH = 8
# Of a probability, by precision: rounding changes it less, other weights more.
REFERENCE_TOLERANCE = {"float32": 0.01, "mixed_float16": 0.05, "mixed_bfloat16": 0.3}

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
class Deployment:
    """A runtime that is ready to answer, and what preparing it took."""

    result: RuntimeResult
    call: Call
    seconds_per_image: float  # one image at a time, warm
    probabilities: Array | None  # of every test image; those of the reference are known


def deploy(runtime: Runtime, source: ModelSource, images: Array, expected: Array) -> Deployment:
    """Convert and load a model; `expected` are its probabilities for `images` after training."""
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
        _check_same(predict_all(call, images[:ANSWER_BATCH]), expected[:ANSWER_BATCH], tolerance)
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
    """Return probabilities of all images, one column per class, in batches of one size."""
    found = []
    for start in range(0, len(images), ANSWER_BATCH):
        rows = images[start : start + ANSWER_BATCH]
        full = np.resize(rows, (ANSWER_BATCH, *rows.shape[1:]))
        # A copy: a runtime may reuse the memory of its answer.
        found.append(np.array(call(full)[: len(rows)], dtype=np.float64))
    whole = np.concatenate(found)
    return np.hstack([1 - whole, whole]) if whole.shape[1] == 1 else whole


def _check_same(found: Array, expected: Array, tolerance: float) -> None:
    difference = float(np.abs(found - expected).max())
    if not difference < tolerance:
        raise TrialError(
            f"the model rebuilt from its kept weights answers differently from the trained one: "
            f"probabilities differ by up to {difference:.3f}."
        )


def _size(source: ModelSource, runtime: Runtime) -> int:
    """Return the bytes of the artefact and of files that belong to it, as OpenVINO's weights."""
    if not runtime.artefact:
        return 0
    stem = runtime.artefact.rsplit(".", 1)[0]
    return sum(path.stat().st_size for path in source.folder.glob(f"{stem}.*"))


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

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Record why a query failed, as one of a large batch may for memory; others continue."""
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
    seconds_per_image: float,
    seconds: float,
    device: str,
    joules: Callable[[], float] | None,
) -> dict[int, TimedCall]:
    """Return what is timed of one model: single images, and larger batches as time allows."""
    found = {}
    for batch in SWEEP[device]:
        single = batch == 1
        expected = seconds_per_image * batch * (SWEEP_QUERIES + 1)
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
