"""The limits, ticks and tick labels of axes, shared by the page and the pictures."""

from __future__ import annotations

import pytest

from bench.reports.charts import Axis, Line, Mark, Panel, Points
from bench.reports.ticks import scale_axes


def axis(x: Axis, *values: float) -> Axis:
    """Return the axis over marks at these positions."""
    return scale_axes(Panel(x, Axis(), (Points(tuple(Mark(v, 0.0) for v in values)),))).x


@pytest.mark.parametrize(
    ("given", "values", "words"),
    [
        (Axis(), (0, 10), ("0", "2", "4", "6", "8", "10")),
        (Axis(), (-3.9, 10.2), ("0", "5", "10")),
        (Axis(percent=True), (0.75, 0.99), ("75%", "80%", "85%", "90%", "95%", "100%")),
        (Axis(percent=True), (0.97, 0.98), ("97.0%", "97.2%", "97.4%", "97.6%", "97.8%", "98.0%")),
        (Axis(percent=True), (0.981, 0.982), tuple(f"98.{n}%" for n in range(10, 21, 2))),
        (Axis(whole=True), (1, 2), ("1", "2")),
        (Axis(log=True), (14.2, 69), ("15", "20", "30", "50", "70")),
        (Axis(log=True), (1e3, 5e6), ("1,000", "10,000", "100,000", "1 M")),
        (Axis(log=True), (20.0, 20.4), ("18", "19", "20", "21", "22")),
        (Axis(log=True, ticks=(1.0, 8.0)), (1, 8), ("1", "8")),
    ],
)
def test_ticks_are_few_round_and_labelled(
    given: Axis, values: tuple[float, ...], words: tuple[str, ...]
) -> None:
    found = axis(given, *values)
    assert found.words == words
    assert found.low is not None
    assert found.high is not None
    assert found.low < min(values) <= max(values) < found.high


def test_axes_cover_intervals_and_respect_given_limits() -> None:
    mark = Mark(1.0, 0.9, interval=(0.5, 0.97))
    y = scale_axes(Panel(Axis(), Axis(percent=True), (Points((mark,)),))).y
    assert (y.low, y.high) == pytest.approx((0.4718, 0.9982))
    told = scale_axes(Panel(Axis(low=0.5, high=10.5), Axis(low=0.0), (Line((1, 10), (0.2, 0.4)),)))
    assert (told.x.low, told.x.high, told.y.low) == (0.5, 10.5, 0.0)


def test_a_wide_axis_and_one_of_whole_numbers_have_more_ticks() -> None:
    rows = Axis(names=("a",))
    wide = scale_axes(Panel(Axis(), rows, (Points((Mark(-2.8, 0), Mark(11.0, 0))),))).x
    assert wide.words == ("-2", "0", "2", "4", "6", "8", "10")
    assert axis(Axis(whole=True, low=0.5, high=7.5), 1, 7).words == tuple("1234567")


def test_axes_of_names_and_empty_axes_have_no_ticks() -> None:
    panel = Panel(Axis(), Axis(names=("a", "b")), (Points((Mark(1.0, 0),)),))
    assert scale_axes(panel).y == panel.y
    strip = Panel(Axis(log=True), Axis(), (Points((Mark(3.0, None),)),))
    assert scale_axes(strip).y == strip.y
