"""Check a backbone's adapter before hours are spent on it: the contract of every backbone.

Each check is a function of the `Subject` that returns its finding or raises the reason why the
adapter is wrong. A check that needs another is skipped if that one failed. The checks use random
weights, small inputs and no network access. This package imports Keras, so the command imports it
late.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from bench.errors import BenchError
from bench.execution.check.network import (
    check_build,
    check_declaration,
    check_frozen,
    check_save,
    check_unfreeze,
)
from bench.execution.check.preprocessing import check_preprocess, check_range, check_rescaling
from bench.execution.check.stages import check_cuts, check_stages
from bench.execution.check.subject import Subject, describe_error
from bench.types import Backbone


@dataclass(frozen=True)
class Check:
    """One property of an adapter."""

    run: Callable[[Subject], str]  # returns its finding, or raises the reason
    explains: str
    needs: str = ""  # name of the check that must pass first

    @property
    def name(self) -> str:
        return self.run.__name__.removeprefix("check_")


CHECKS = (
    Check(
        check_preprocess, "preprocessing keeps the shape, treats each image alone, is not random"
    ),
    Check(check_range, "pixels in 0..255 are mapped to the declared range", "preprocess"),
    Check(
        check_build,
        "builds at its own and at another size, with one 4-D float output",
        "preprocess",
    ),
    Check(
        check_declaration, "parameters, layers and multiply-accumulates are as declared", "build"
    ),
    Check(
        check_rescaling,
        "pixels reach the first weights rescaled once, as in Keras for its own networks",
        "build",
    ),
    Check(check_stages, "each stage is a clean cut, in order, and the last is the output", "build"),
    Check(
        check_cuts,
        "cut at its stages, the network computes the same as in one piece",
        "stages",
    ),
    Check(
        check_frozen,
        "a frozen step leaves weights and BatchNorm bit-identical, and trains the head",
        "stages",  # slow, and useless without them
    ),
    Check(check_unfreeze, "unfreezing the last stage trains its layers and nothing else", "cuts"),
    Check(
        check_save, "trained, saved and loaded, it predicts the same from the same pixels", "frozen"
    ),
)


@dataclass(frozen=True)
class Result:
    """The outcome of one check; `text` is its finding, or the reason why it failed."""

    check: Check
    status: Literal["passed", "failed", "not tried"]
    text: str
    seconds: float = 0.0
    error: Exception | None = None


def run_checks(subject: Subject) -> Iterator[Result]:
    """Yield the result of every check, in order."""
    passed = {""}
    for check in CHECKS:
        if check.needs not in passed:
            yield Result(check, "not tried", f"{check.needs} must pass first")
            continue
        start = time.perf_counter()
        try:
            found = check.run(subject)
        except Exception as error:
            # An adapter may raise anything: it fails this check and must not end the command.
            reason = str(error) if isinstance(error, BenchError) else describe_error(error)
            yield Result(check, "failed", reason, time.perf_counter() - start, error)
            continue
        passed.add(check.name)
        yield Result(check, "passed", found, time.perf_counter() - start)


def cautions(backbone: Backbone) -> list[str]:
    """Return warnings about a backbone that passes its checks but is limited in use."""
    if backbone.weights:
        return []
    return [
        f"{backbone.name} declares no weights: unless --weights gives a folder with its file, it "
        f"starts from random weights and is never ranked."
    ]
