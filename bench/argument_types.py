"""What a command line may hold besides text: each reads one argument or says what it must be."""

from __future__ import annotations

import argparse

from bench.tuning import LARGEST_BUDGET


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {text}")
    return value


def positive_float(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return value


def points(text: str) -> float:
    """Percentage points."""
    value = float(text)
    if not 0 < value < 100:
        raise argparse.ArgumentTypeError(
            f"must be percentage points above 0 and below 100, got {text}"
        )
    return value


def seed(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"must be from 0 to 4294967295, got {text}")
    return value


def seeds(text: str) -> tuple[int, ...]:
    """`5` is the seeds 0 to 4; `1,2,3` (or `7,`) are those."""
    if "," not in text:
        return tuple(range(positive(text)))
    found = tuple(seed(part) for part in text.split(",") if part.strip())
    if not found or len(set(found)) != len(found):
        raise argparse.ArgumentTypeError(f"must be different whole numbers, got {text}")
    return found


def share(text: str) -> float:
    """From 0 to 1; what looks like percent is refused, not guessed at."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be a share from 0 to 1, got {text}")
    return value


def fractions(text: str) -> tuple[float, ...]:
    """`0.1,0.3,1`: different shares, each above 0."""
    found = tuple(share(part) for part in text.split(",") if part.strip())
    if not found or 0 in found or len(set(found)) != len(found):
        raise argparse.ArgumentTypeError(f"must be different shares above 0, up to 1, got {text}")
    return found


def budget(text: str) -> int:
    """How many learning rates; one alone would be the protocol's own."""
    value = int(text)
    if not 2 <= value <= LARGEST_BUDGET:
        raise argparse.ArgumentTypeError(f"must be from 2 to {LARGEST_BUDGET}, got {text}")
    return value


# argparse names the type in its message: "invalid whole number value: 'x'".
positive.__name__ = seed.__name__ = budget.__name__ = "whole number"
positive_float.__name__ = share.__name__ = points.__name__ = "number"
seeds.__name__ = "seeds"
fractions.__name__ = "shares"
