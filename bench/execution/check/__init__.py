"""`check`: tests an adapter before hours are spent on it; the contract of every backbone.

Each check is a function of the `Subject`: it returns what it found, or raises the reason why the
adapter is wrong. One that needs another is not tried when that one failed. Random weights, small
inputs, no network; imports Keras, so the command imports it late.
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
from bench.execution.check.subject import Subject, cause
from bench.types import Backbone


@dataclass(frozen=True)
class Check:
    """One property of an adapter."""

    run: Callable[[Subject], str]
    explains: str
    needs: str = ""  # the check without which it is not tried

    @property
    def name(self) -> str:
        return self.run.__name__.removeprefix("check_")


CHECKS = (
    Check(
        check_preprocess, "preprocessing keeps the shape and treats each image alone, always alike"
    ),
    Check(check_range, "pixels of 0..255 become the declared range", "preprocess"),
    Check(
        check_build,
        "builds at its own and at another size, into one 4-D float output",
        "preprocess",
    ),
    Check(
        check_declaration, "parameters, layers and multiply-accumulates are as declared", "build"
    ),
    Check(
        check_rescaling,
        "pixels reach the first weights rescaled once, as Keras does it where it knows",
        "build",
    ),
    Check(check_stages, "each stage is a clean cut, in order, and the last is the output", "build"),
    Check(
        check_cuts,
        "cut at its stages, the network gives part by part what it gives as a whole",
        "stages",
    ),
    Check(
        check_frozen,
        "a frozen step leaves weights and BatchNorm bit-identical, and trains the head",
        "stages",  # it is slow, and of no use without them
    ),
    Check(check_unfreeze, "unfreezing the last stage trains its layers and nothing else", "cuts"),
    Check(
        check_save, "trained, saved and loaded, it predicts the same from the same pixels", "frozen"
    ),
)


@dataclass(frozen=True)
class Result:
    """How one check went; `text` is what it found, or the reason."""

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
            # Anything can come out of a stranger's network: it is this check's reason, not our end.
            reason = str(error) if isinstance(error, BenchError) else cause(error)
            yield Result(check, "failed", reason, time.perf_counter() - start, error)
            continue
        passed.add(check.name)
        yield Result(check, "passed", found, time.perf_counter() - start)


def cautions(backbone: Backbone) -> list[str]:
    """Return what is not wrong with a backbone but limits its use."""
    if backbone.weights:
        return []
    return [
        f"{backbone.name} declares no weights: it starts from random ones unless --weights names a "
        f"folder with its file, and what starts so is never ranked."
    ]
