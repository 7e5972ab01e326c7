"""Training curves: loss and accuracy of each epoch, on train and validation, phase by phase.

Phases are next to each other under their names; each starts at the same epoch for every seed, so
that one that stopped early leaves a gap. A ring marks the epoch whose weights were kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from bench.reports.figures import style
from bench.reports.figures.labelling import Box
from bench.types import PhaseResult, Record

WIDTH, HEIGHT = 8.6, 3.7
LEFT, BOTTOM, PANEL_WIDTH, PANEL_HEIGHT, BETWEEN = 0.62, 0.55, 3.6, 2.15, 0.62
KEY_LEFT = 6.6
TRAIN, VALIDATION = style.BLUE, style.ORANGE


def draw(title: str, records: Sequence[Record]) -> Figure:
    """Draw the curves of one backbone, a line for each seed."""
    drawn = style.figure(WIDTH, HEIGHT)
    starts = _starts(records)
    for index, what in enumerate(("loss", "accuracy")):
        left = LEFT + index * (PANEL_WIDTH + BETWEEN)
        frame = Box(left, BOTTOM, left + PANEL_WIDTH, BOTTOM + PANEL_HEIGHT)
        axes = style.panel(drawn, frame)
        style.plain(axes)
        axes.grid(axis="x", visible=False)
        _curves(axes, records, starts, what)
        _phases(drawn, axes, frame, records, starts)
        style.write(drawn, left, frame.top + 0.24, what.capitalize(), color=style.INK)
        middle = (frame.left + frame.right) / 2
        style.write(drawn, middle, 0.16, "epoch", fontsize=style.SMALL, ha="center")
    seeds = f"{len(records)} seeds, a line each; " if len(records) > 1 else ""
    about = f"{seeds}a ring marks the epoch whose weights were kept"
    room = KEY_LEFT - LEFT - 0.2
    style.heading(drawn, LEFT, style.fitting(title, 60, room, style.TITLE, "bold"), about)
    _key(drawn)
    return drawn


def _starts(records: Sequence[Record]) -> list[int]:
    """Return after how many epochs each phase starts, and where the last one ends."""
    starts = [0]
    for index in range(max(len(record.phases) for record in records)):
        lengths = [len(r.phases[index].epochs) for r in records if index < len(r.phases)]
        starts.append(starts[-1] + max(lengths))
    return starts


def _curves(axes: Axes, records: Sequence[Record], starts: Sequence[int], what: str) -> None:
    thick = 1.6 if len(records) == 1 else 1.0
    placed = [p for record in records for p in zip(record.phases, starts, strict=False)]
    for name, colour in ((what, TRAIN), (f"val_{what}", VALIDATION)):
        x, y, alone = _line(placed, name)
        (line,) = axes.plot(x, y, color=colour, linewidth=thick, clip_on=False)
        # A phase of one epoch is a point; a line through it would be invisible.
        line.set(marker="o", markersize=3, markevery=alone)
    kept = [(p, start, p.kept) for p, start in placed if p.kept is not None]
    axes.plot(
        [start + phase.best_epoch for phase, start, _ in kept],
        [getattr(validation, what) for _, _, validation in kept],
        linestyle="",
        marker="o",
        markersize=3 + 2 * thick,
        markerfacecolor="white",
        markeredgecolor=VALIDATION,
        markeredgewidth=thick,
        clip_on=False,
    )
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    values = [getattr(e, n) for p, _ in placed for e in p.epochs for n in (what, f"val_{what}")]
    if what == "accuracy":
        margin = max(0.01, 0.06 * (max(values) - min(values)))
        axes.set_ylim(max(0.0, min(values) - margin), min(1.0, max(values) + margin))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    else:
        axes.set_ylim(0, 1.06 * max(values) or 1.0)


def _line(
    placed: Sequence[tuple[PhaseResult, int]], name: str
) -> tuple[list[float], list[float], list[int]]:
    """Return all phases as one line, broken between them, and its isolated points.

    One line, because drawing costs a fixed amount for each, however short.
    """
    x: list[float] = []
    y: list[float] = []
    alone: list[int] = []
    for phase, start in placed:
        if len(phase.epochs) == 1:
            alone.append(len(x))
        x += [*range(start + 1, start + 1 + len(phase.epochs)), nan]
        y += [*(getattr(epoch, name) for epoch in phase.epochs), nan]
    return x, y, alone


def _phases(
    drawn: Figure, axes: Axes, frame: Box, records: Sequence[Record], starts: Sequence[int]
) -> None:
    """Draw a band behind every second phase, and each phase's name above its band."""
    longest = max(records, key=lambda record: len(record.phases))
    inches = (frame.right - frame.left) / starts[-1]
    axes.set_xlim(0.5, starts[-1] + 0.5)
    for index, (phase, start, end) in enumerate(
        zip(longest.phases, starts, starts[1:], strict=False)
    ):
        if index % 2:
            axes.axvspan(start + 0.5, end + 0.5, color=style.BAND, zorder=0, linewidth=0)
        if index:
            axes.axvline(start + 0.5, color=style.FAINT, linewidth=0.8, linestyle=(0, (3, 3)))
        name = style.fitting(phase.name, 40, inches * (end - start) - 0.08, style.SMALL)
        middle = frame.left + inches * (start + end) / 2
        style.write(drawn, middle, frame.top + 0.05, name, fontsize=style.SMALL, ha="center")


def _key(drawn: Figure) -> None:
    y = HEIGHT - 0.24
    for x, name, colour in (
        (KEY_LEFT, "train", TRAIN),
        (KEY_LEFT + 0.85, "validation", VALIDATION),
    ):
        across = [x / WIDTH, (x + 0.25) / WIDTH]
        drawn.add_artist(Line2D(across, [y / HEIGHT] * 2, color=colour, linewidth=2))
        style.write(
            drawn, x + 0.32, y, name, fontsize=style.SMALL, color=style.INK, va="center_baseline"
        )
