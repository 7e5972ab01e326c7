"""Functions that format figures, with enough digits to compare and no false precision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import ceil, floor, log10

from bench.types import SPLITS, SplitName

Show = Callable[[float], str]
MISSING = "–"


def percent(fraction: float) -> str:
    """Format a fraction as a percentage: 97.33%."""
    return f"{100 * fraction:.2f}%"


def tenths(fraction: float) -> str:
    """Format a frequency to the tenth: 0.6, <0.1, >0.9."""
    rounded = round(fraction, 1)
    return "<0.1" if rounded <= 0 else ">0.9" if rounded >= 1 else f"{rounded:.1f}"


def about(fraction: float) -> str:
    """Format a frequency to the tenth, in words: about 0.6, below 0.1, above 0.9."""
    text = tenths(fraction)
    words = {"<": "below", ">": "above"}
    return f"{words.get(text[0], 'about')} {text.lstrip('<>')}"


def p_value(p: float) -> str:
    """Format a p-value: 0.039 and, never 0, <0.001."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def rough(number: float) -> str:
    """Format an estimate with two significant digits: 4,500."""
    return f"{float(f'{number:.2g}'):,.0f}"


def points(fraction: float) -> str:
    """Format a difference of fractions in percentage points: 1 point, 0.5 points."""
    value = f"{100 * fraction:.6g}"
    return f"{value} point{'' if value == '1' else 's'}"


def signed_points(fraction: float) -> str:
    """Format a difference of fractions in percentage points, with its sign: +1.20."""
    return f"{100 * fraction:+.2f}"


def whole(number: float) -> str:
    """Format a number of things: 1,350."""
    return f"{number:,.0f}"


def multiple(factor: float) -> str:
    """Format a multiple: ×0.32."""
    return f"×{factor:.2g}"


def plus_minus(value: float, half: float) -> str:
    """Format a figure with the half-width of its interval, rounded up: 1.8 ± 0.1, 12 ± 2."""
    digits = 2 if half < 0.05 else 1 if half < 0.95 else 0
    step: float = 10**-digits
    return f"{value:.{digits}f} ± {max(1, ceil(half / step - 1e-9)) * step:.{digits}f}"


def interval(low: float, high: float) -> str:
    """Format an interval of fractions: 94.8–98.6%."""
    return f"{100 * low:.1f}–{100 * high:.1f}%"


def with_interval(fraction: float, low: float, high: float) -> str:
    """Format a fraction with its interval: 97.33% (94.8–98.6%)."""
    return f"{percent(fraction)} ({interval(low, high)})"


def decimals(value: float) -> str:
    """Format a loss with three decimals: 0.082."""
    return f"{value:.3f}"


def four_decimals(value: float) -> str:
    """Format with four decimals, for figures that differ in the third: 0.9987."""
    return f"{value:.4f}"


def significant(value: float) -> str:
    """Format with three significant digits and no exponent: 1.23, 14.3, 135, 1,350."""
    if value == 0:
        return "0"
    # Rounded first: 9.996 has one digit before the point, its rounded form two.
    exponent = floor(log10(abs(float(f"{value:.2e}"))))
    return f"{value:,.{max(0, 2 - exponent)}f}"


def milliseconds(value: float) -> str:
    """Format a latency: 14.3 ms."""
    return f"{significant(value)} ms"


def duration(seconds: float) -> str:
    """Format a duration: 8.3 s, 42 s, 1 min, 1 min 23 s, 2 h 5 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    rounded = int(seconds + 0.5)
    if rounded < 60:
        return f"{rounded} s"
    if rounded < 3600:
        return _two_units(rounded, "min", "s")
    return _two_units(int(seconds / 60 + 0.5), "h", "min")


def _two_units(number: int, large: str, small: str) -> str:
    """Format a number of small units, of which a large one has sixty."""
    whole, rest = divmod(number, 60)
    return f"{whole} {large} {rest} {small}" if rest else f"{whole} {large}"


def estimate(seconds: float) -> str:
    """Format a duration that is only estimated: 8 s, 5 min 20 s, 18 min, 2 h 5 min."""
    step = 60 if seconds >= 599.5 else 1
    rounded = step * int(seconds / step + 0.5)
    return f"{rounded} s" if rounded < 60 else duration(rounded)


def minute(time: str) -> str:
    """Format a time to the minute, so that texts sort by time: 2025-03-01 12:00."""
    return time[:16].replace("T", " ")


def count(value: float) -> str:
    """Format a count: 25.6 M, 890 k, 42."""
    if value < 999.5:
        return f"{value:.0f}"
    if value < 999_500:
        return f"{significant(value / 1e3)} k"
    return f"{significant(value / 1e6)} M"


def quantity(number: int, noun: str) -> str:
    """Format a number of things: 1 trial, 2 trials, 1,200 images."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def split_counts(images: Mapping[SplitName, int]) -> str:
    """Format the number of images of each split: 1,200 train / 60 validation / 60 test."""
    return " / ".join(f"{images[split]:,} {split}" for split in SPLITS if split in images)


def seeds(numbers: Iterable[int]) -> str:
    """Format a list of seeds: seed 0; seeds 0, 1, 2."""
    named = [str(number) for number in sorted(set(numbers))]
    return f"seed{'s' if named[1:] else ''} {', '.join(named)}"


def first(names: Sequence[str], most: int) -> str:
    """Join the first `most` names with commas: a, b, c, …"""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def megabytes(value: float) -> str:
    """Format a size in megabytes, of a million bytes each: 9.04 MB."""
    return f"{significant(value)} MB"
