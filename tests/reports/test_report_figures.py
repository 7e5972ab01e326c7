"""The pictures: complete, legible, and honest about random weights."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from synthetic import SIX, Net, make_run

from bench.analysis.findings import Findings, find
from bench.reports.figures import calibration, confusion, curves, tradeoff
from bench.reports.figures.labelling import Box, place
from bench.storage.records import load_run, read_records
from bench.types import Epoch, PhaseResult


def findings(folder: Path, *args: Any, **more: Any) -> Findings:
    return find(load_run(make_run(folder, *args, **more)))


def texts(drawn: Figure) -> list[tuple[str, Box]]:
    """Every text of the picture with its place in pixels."""
    canvas: Any = FigureCanvasAgg(drawn)
    canvas.draw()
    seen = [*drawn.texts, *(text for axes in drawn.axes for text in axes.texts)]
    for axes in drawn.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            # Ticks out of view exist and are not drawn.
            ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            seen += [tick.label1 for tick in ticks if tick.label1.get_visible()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in seen if text.get_text()]
    return [(text, Box(box.x0, box.y0, box.x1, box.y1)) for text, box in boxes]


def assert_legible(drawn: Figure) -> None:
    width, height = drawn.get_size_inches() * drawn.dpi
    page = Box(0, 0, width, height)
    seen = texts(drawn)
    for text, box in seen:
        assert box.inside(page), f"{text!r} leaves the picture"
    for (one, first), (other, second) in combinations(seen, 2):
        assert not first.grown(-0.5).overlaps(second.grown(-0.5)), f"{one!r} covers {other!r}"


LONG_NAMES = (
    "Felis catus domesticus (Linnaeus 1758)",
    "Canis lupus familiaris",
    "WWWWWWWWWWWWWWW" * 9,
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "classes",
    [
        ("cats", "dogs"),
        LONG_NAMES[:2],
        LONG_NAMES,
        [f"class {i}" for i in range(10)],
        [f"golden retriever {i}" for i in range(20)],
        [f"german shorthaired pointer {i}" for i in range(50)],
        [f"species {i}" for i in range(300)],
    ],
    ids=lambda classes: str(len(classes)),
)
def test_confusion_matrices_are_legible(classes: tuple[str, ...]) -> None:
    random = np.random.default_rng(0)
    counts = random.integers(0, 30, size=(len(classes), len(classes)))
    assert_legible(confusion.draw("W" * 60, counts, tuple(classes), 3))


def test_a_confusion_matrix_says_its_counts() -> None:
    drawn = confusion.draw("net", np.array([[28, 2], [1, 1999]]), ("cats", "dogs"), 2)
    said = [text for text, _ in texts(drawn)]
    for words in ("28\n93.3%", "2\n6.7%", "1\n0.1%", "1,999\n100.0%", "cats", "dogs"):
        assert words in said
    assert "2,027 of 2,030 test images right, sum of 2 seeds" in said


def test_many_classes_list_the_worst_mixups() -> None:
    counts = np.diag(np.full(100, 9))
    counts[7, 3], counts[50, 51] = 4, 6
    drawn = confusion.draw("net", counts, tuple(f"class {i}" for i in range(100)), 1)
    listed = [text.split(maxsplit=1) for text, _ in texts(drawn) if " → class" in text]
    assert listed == [["6", "class 50 → class 51"], ["4", "class 7 → class 3"]]


def crowd(count: int) -> list[Net]:
    random = np.random.default_rng(1)
    return [
        Net(
            f"network_of_some_family_{i}",
            skill=float(random.uniform(2, 4.5)),
            latency_ms=float(random.lognormal(3.3, 0.7)),
            source="random init" if i % 3 == 0 else "imagenet",
        )
        for i in range(count)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 6, 60])
def test_accuracy_against_latency_is_legible(tmp_path: Path, count: int) -> None:
    assert_legible(tradeoff.draw(findings(tmp_path, crowd(count), images=300)))


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 4, 30])
def test_reliability_diagrams_are_legible(tmp_path: Path, count: int) -> None:
    drawn = calibration.draw(findings(tmp_path, crowd(count + 1)[1:], images=100))
    assert_legible(drawn)
    pretrained = sum(net.source == "imagenet" for net in crowd(count + 1)[1:])
    assert len(drawn.axes) == min(pretrained, calibration.MAX_PANELS)


def test_reliability_points_are_the_bins(tmp_path: Path) -> None:
    found = findings(tmp_path, SIX[:1], seeds=(0, 1))
    (axes,) = calibration.draw(found).axes
    seeds = found.guesses["mobilenetv2"]
    sure = np.concatenate([one.confidence for one in seeds])
    right = np.concatenate([one.predicted == one.labels for one in seeds])
    top = sure > 14 / 15
    points = np.asarray(axes.collections[0].get_offsets())
    assert points[-1].tolist() == pytest.approx([sure[top].mean(), right[top].mean()])


def test_random_init_is_hollow_and_has_no_accuracy(tmp_path: Path) -> None:
    drawn = tradeoff.draw(findings(tmp_path, [SIX[0], SIX[3]]))
    strip, panel = drawn.axes
    (pretrained,) = [line for line in panel.lines if line.get_marker() == "o"]
    (random,) = [line for line in strip.lines if line.get_marker() == "o"]
    assert pretrained.get_markerfacecolor() != "white"
    assert random.get_markerfacecolor() == "white"
    assert strip.get_ylim() == (0, 1)
    assert random.get_ydata().tolist() == [0.5]
    assert "random\ninit,\nnot ranked" in [text for text, _ in texts(drawn)]


def test_a_run_of_random_weights_shows_no_accuracy(tmp_path: Path) -> None:
    said = [text for text, _ in texts(tradeoff.draw(findings(tmp_path, SIX[3:5])))]
    assert "no pretrained backbone, so no accuracy to show" in said
    assert "test accuracy" not in said


def test_error_bars_are_the_interval(tmp_path: Path) -> None:
    found = findings(tmp_path, SIX[:1])
    (axes,) = tradeoff.draw(found).axes
    bar = next(line for line in axes.lines if line.get_marker() != "o")
    row = found.backbones.iloc[0]
    assert list(bar.get_ydata()) == [row["accuracy_low"], row["accuracy_high"]]


def test_curves_mark_phases_and_kept_epochs(tmp_path: Path) -> None:
    (record,) = read_records(make_run(tmp_path, SIX[:1]))
    drawn = curves.draw("mobilenetv2", [record])
    said = [text for text, _ in texts(drawn)]
    assert said.count("head") == said.count("fine-tune") == 2
    loss, _ = drawn.axes
    kept = next(line for line in loss.lines if line.get_linestyle() == "None")
    head, tune = record.phases
    assert list(kept.get_xdata()) == [head.best_epoch, 6 + tune.best_epoch]
    assert list(kept.get_ydata()) == [
        head.epochs[head.best_epoch - 1].val_loss,
        tune.epochs[tune.best_epoch - 1].val_loss,
    ]


@pytest.mark.parametrize(("phases", "epochs"), [(1, 1), (2, 200), (9, 3)])
def test_curves_are_legible(tmp_path: Path, phases: int, epochs: int) -> None:
    (record,) = read_records(make_run(tmp_path, SIX[:1]))
    line = tuple(Epoch(1 / (i + 1), 0.5, 1.2 / (i + 1), 0.6, 1.0) for i in range(epochs))
    made = tuple(
        PhaseResult(f"a phase with a long name {i}", "features", "", 1, 1, False, line, 1.0, 1.0)
        for i in range(phases)
    )
    assert_legible(curves.draw("W" * 80, [replace(record, phases=made)] * 3))


def test_early_stopping_does_not_shift_the_next_phase(tmp_path: Path) -> None:
    records = read_records(make_run(tmp_path, SIX[:1], seeds=(0, 1)))
    stopped = [len(record.phases[1].epochs) for record in records]
    assert stopped == [4, 3]
    assert curves._starts(records) == [0, 6, 10]


def test_labels_keep_clear_of_everything() -> None:
    points = [(x / 4, y / 4) for x in range(4, 20) for y in range(4, 12)]
    dots = [Box(x, y, x, y).grown(0.05) for x, y in points]
    frame = Box(0, 0, 8, 4)
    found = [b for b in place(points, [(0.5, 0.1)] * len(points), dots, frame) if b is not None]
    assert len(found) > 20
    assert all(box.inside(frame) for box in found)
    assert not any(a.overlaps(b) for a, b in combinations([*found, *dots], 2))


def test_the_first_label_gets_the_nearest_place() -> None:
    first, second = place([(1, 1), (1, 1)], [(0.5, 0.1)] * 2, [], Box(0, 0, 4, 4))
    assert first is not None
    assert second is not None
    assert first.left == pytest.approx(1.11)  # to the right of its point
    assert not first.overlaps(second)
    assert second.left < 1.5  # and the other close by
