"""Losses as blocks, by hand."""

from __future__ import annotations

from math import inf, nan

from bench.cli.display import sparkline


def test_the_height_is_the_share_of_the_range() -> None:
    assert sparkline([7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]) == "█▇▆▅▄▃▂▁"
    assert sparkline([4.0, 2.0, 0.0]) == "█▅▁"


def test_a_flat_line_is_low_and_nothing_is_empty() -> None:
    assert sparkline([0.2, 0.2]) == "▁▁"
    assert sparkline([]) == ""


def test_what_diverged_is_marked_and_hides_nothing_else() -> None:
    assert sparkline([1.0, nan, 0.0, inf]) == "█×▁×"
    assert sparkline([nan]) == "×"


def test_both_ends_stay_where_there_are_too_many() -> None:
    drawn = sparkline([100.0 - i for i in range(101)], most=8)
    assert drawn == "█▇▆▅▄▃▂▁"
