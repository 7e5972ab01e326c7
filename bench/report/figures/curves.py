"""How training went: loss and accuracy of each epoch, on train and validation, phase by phase.

Phases stand side by side under their names; each starts at the same epoch for every seed, so that
one that stopped early leaves a gap rather than shifting what follows. A dot marks the epoch whose
weights were kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from bench.report.figures import style
from bench.report.figures.style import label
from bench.types import PhaseResult, Record

WIDTH, HEIGHT = 8.6, 3.7
LEFT, BOTTOM, PANEL_WIDTH, PANEL_HEIGHT, BETWEEN = 0.62, 0.5, 3.6, 2.2, 0.62
TRAIN, VALIDATION = style.BLUE, style.ORANGE


def draw(title: str, records: Sequence[Record]) -> Figure:
    """The curves of one backbone, a line for each seed."""
    drawn = style.figure(WIDTH, HEIGHT)
    starts = _starts(records)
    for panel, what in enumerate(("loss", "accuracy")):
        x = LEFT + panel * (PANEL_WIDTH + BETWEEN)
        axes = drawn.add_axes(
            (x / WIDTH, BOTTOM / HEIGHT, PANEL_WIDTH / WIDTH, PANEL_HEIGHT / HEIGHT)
        )
        style.plain(axes)
        axes.grid(axis="x", visible=False)
        for record in records:
            for phase, start in zip(record.phases, starts, strict=False):
                _lines(axes, phase, start, what, 1.6 if len(records) == 1 else 1.0)
        _phases(axes, records, starts)
        axes.set_title(what.capitalize(), loc="left", fontsize=style.TEXT, color=style.INK, pad=16)
        axes.set_xlabel("epoch", fontsize=style.SMALL, color=style.SOFT_INK)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        if what == "accuracy":
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        else:
            axes.set_ylim(bottom=0)
    seeds = f"{len(records)} seeds, a line each; " if len(records) > 1 else ""
    about = f"{seeds}the dot marks the epoch whose weights were kept"
    style.heading(drawn, LEFT, label(title, 60), about)
    _legend(drawn)
    return drawn


def _starts(records: Sequence[Record]) -> list[int]:
    """After how many epochs each phase starts, and where the last one ends."""
    starts = [0]
    for index in range(max(len(record.phases) for record in records)):
        lengths = [len(r.phases[index].epochs) for r in records if index < len(r.phases)]
        starts.append(starts[-1] + max(lengths))
    return starts


def _lines(axes: Axes, phase: PhaseResult, start: int, what: str, thick: float) -> None:
    epochs = range(start + 1, start + 1 + len(phase.epochs))
    for name, colour in ((what, TRAIN), (f"val_{what}", VALIDATION)):
        values = [getattr(epoch, name) for epoch in phase.epochs]
        marker = "o" if len(values) == 1 else ""
        axes.plot(epochs, values, color=colour, linewidth=thick, marker=marker, markersize=3)
        kept = phase.best_epoch - 1
        if name.startswith("val_") and 0 <= kept < len(values):
            axes.plot(
                epochs[kept],
                values[kept],
                marker="o",
                markersize=3 + 2 * thick,
                markerfacecolor="white",
                markeredgecolor=colour,
                markeredgewidth=thick,
            )


def _phases(axes: Axes, records: Sequence[Record], starts: Sequence[int]) -> None:
    """A band behind every second phase, and each phase's name above its band."""
    longest = max(records, key=lambda record: len(record.phases))
    total = max(starts[-1], 1)
    axes.set_xlim(0.5, total + 0.5)
    for index, (phase, start, end) in enumerate(
        zip(longest.phases, starts, starts[1:], strict=False)
    ):
        if index % 2:
            axes.axvspan(start + 0.5, end + 0.5, color=style.BAND, zorder=0, linewidth=0)
        if index:
            axes.axvline(start + 0.5, color=style.FAINT, linewidth=0.8, linestyle=(0, (3, 3)))
        room = PANEL_WIDTH * (end - start) / total - 0.08
        name = label(phase.name, 40)
        while len(name) > 1 and style.widest([name], style.SMALL) > room:
            name = label(phase.name, len(name) - 1)
        axes.annotate(
            name,
            ((start + end + 1) / 2, 1),
            (0, 4),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            fontsize=style.SMALL,
            color=style.SOFT_INK,
            family=style.families(),
        )


def _legend(drawn: Figure) -> None:
    handles = [
        Line2D([], [], color=TRAIN, linewidth=2, label="train"),
        Line2D([], [], color=VALIDATION, linewidth=2, label="validation"),
    ]
    drawn.legend(
        handles=handles,
        loc="upper right",
        bbox_to_anchor=(1 - 0.2 / WIDTH, 1 - 0.1 / HEIGHT),
        ncols=2,
        frameon=False,
        fontsize=style.SMALL,
        labelcolor=style.INK,
    )
