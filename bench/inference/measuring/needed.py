"""What is still to be measured of a trained model: what was asked for and is not in its record, or
was timed for another number of seconds. Imports no framework: the plan asks as well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.types import Measuring, Record, RuntimeResult

# What the measuring process says that it does; the last two go on with a runtime's name.
BUILDING, PREPARING, TIMING = "building for measuring", "preparing ", "timing in turns "


def runtimes_needed(record: Record, names: Sequence[str], seconds: float) -> tuple[str, ...]:
    """Return which of these runtimes are to be timed; those that failed are tried again."""
    done = {
        result.name
        for result in record.runtimes
        if result.status == "ok"
        and result.session is not None
        and result.session.latency_seconds == seconds
    }
    return tuple(name for name in names if record.status == "ok" and name not in done)


def robustness_needed(record: Record, asked: Measuring) -> bool:
    """Return whether the trial's model has still to answer corrupted images."""
    pretrained = record.weights is not None and record.weights.pretrained
    trained = record.status == "ok" and pretrained
    return asked.robustness and trained and "robustness" not in record.seconds


def with_results(record: Record, new: Iterable[RuntimeResult]) -> tuple[RuntimeResult, ...]:
    """Return the record's results with the new ones in their places, the reference first.

    What was measured before is kept where it fails now.
    """
    found = {result.name: result for result in record.runtimes}
    for result in new:
        earlier = found.get(result.name)
        if result.status == "ok" or earlier is None or earlier.status == "failed":
            found[result.name] = result
    return tuple(sorted(found.values(), key=lambda result: result.name != "keras"))
