"""The pictures: complete, legible, and the figures of their specification."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray
from synthetic import SIX, Net, make_run, write_records

from bench import reports as report
from bench.analysis.findings import Findings, analyse_run
from bench.reports.blocks import ConfusionCount, Section
from bench.reports.charts import Axis, Cells, Chart, Line, Mark, Panel, Points, Span
from bench.reports.figures import chart, pictures, style
from bench.reports.figures.chart import place
from bench.reports.figures.style import Box
from bench.reports.markdown import section_text
from bench.reports.sections import confusion, curves, sections, tradeoff
from bench.storage.records import read_records, read_run
from bench.types import Epoch, PhaseResult


def findings(folder: Path, *args: Any, **more: Any) -> Findings:
    return analyse_run(read_run(make_run(folder, *args, **more)))


def charts(found: Findings) -> dict[str, Chart]:
    """Return every chart of the sections of a run, by name."""
    blocks = [block for section in sections(found) for block in section.blocks]
    return {block.name: block for block in blocks if isinstance(block, Chart)}


def texts(drawn: Figure) -> list[tuple[str, Box]]:
    """Return every text of a picture with its position in pixels."""
    canvas: Any = FigureCanvasAgg(drawn)
    canvas.draw()
    seen = [*drawn.texts, *(text for axes in drawn.axes for text in axes.texts)]
    seen += [text for legend in drawn.legends for text in legend.get_texts()]
    for axes in drawn.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            # Ticks out of view exist and are not drawn.
            ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            seen += [tick.label1 for tick in ticks if tick.label1.get_visible()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in seen if text.get_text()]
    return [(text, Box(box.x0, box.y0, box.x1, box.y1)) for text, box in boxes]


def inside(box: Box, other: Box) -> bool:
    low = other.left <= box.left and other.bottom <= box.bottom
    return low and box.right <= other.right and box.top <= other.top


def overlaps(box: Box, other: Box) -> bool:
    across = box.left < other.right and other.left < box.right
    return across and box.bottom < other.top and other.bottom < box.top


def assert_legible(drawn: Figure) -> None:
    width, height = drawn.get_size_inches() * drawn.dpi
    page = Box(0, 0, width, height)
    seen = texts(drawn)
    for text, box in seen:
        assert inside(box, page), f"{text!r} leaves the picture"
    for (one, first), (other, second) in combinations(seen, 2):
        assert not overlaps(first.grow(-0.5), second.grow(-0.5)), f"{one!r} covers {other!r}"


LONG_NAMES = (
    "Felis catus domesticus (Linnaeus 1758)",
    "Canis lupus familiaris",
    "WWWWWWWWWWWWWWW" * 9,
)


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
@pytest.mark.parametrize("count", [1, 3, 30])
def test_every_chart_is_legible(tmp_path: Path, count: int) -> None:
    found = charts(findings(tmp_path, crowd(count), seeds=(0, 1, 2)))
    assert len(found) >= (4 if count == 1 else 6)
    for one in found.values():
        assert_legible(chart.draw(one))


def matrix(counts: NDArray[np.int64], classes: Sequence[str], label: str = "net") -> Chart:
    panel = confusion._matrix(label, counts, classes)
    return Chart("confusion", "Confusion matrix", (panel,)).only(panel)


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
def test_confusion_matrices_are_legible(classes: Sequence[str]) -> None:
    random = np.random.default_rng(0)
    counts = random.integers(0, 30, size=(len(classes), len(classes)))
    assert_legible(chart.draw(matrix(counts, classes, "W" * 60)))


def test_few_classes_have_large_cells() -> None:
    drawn = chart.draw(matrix(np.array([[30, 2], [1, 27]]), ("cats", "dogs")))
    width, height = drawn.axes[0].get_position().size * drawn.get_size_inches()
    assert width >= 2
    assert height >= 1.4


def test_a_confusion_matrix_says_its_counts() -> None:
    counts = np.array([[28, 2], [1, 1999]])
    drawn = chart.draw(matrix(counts, ("cats", "dogs")))
    said = [text for text, _ in texts(drawn)]
    for words in ("28\n93.3%", "2\n6.7%", "1\n0.1%", "1,999\n100.0%", "cats", "dogs"):
        assert words in said
    assert any("2,027 of 2,030 test images correct" in text for text in said)


def test_the_largest_confusions_of_many_classes_are_listed_where_the_matrix_is_a_picture(
    tmp_path: Path,
) -> None:
    counts = np.diag(np.full(100, 9))
    counts[7, 3], counts[50, 51] = 4, 6
    names = tuple(f"class {i}" for i in range(100))
    assert list(confusion._confusions("net", counts, names)) == [
        ("net", "class 50", "class 51", ConfusionCount(6, "net", (50, 51)), 6 / 15),
        ("net", "class 7", "class 3", ConfusionCount(4, "net", (7, 3)), 4 / 13),
    ]
    found = findings(tmp_path, SIX[:1], classes=[f"class {i}" for i in range(21)], images=63)
    section = confusion.section(found)
    assert section is not None
    assert "**Most frequent confusions**" in section_text(section)


def panel_of(*layers: Any, **more: Any) -> Panel:
    return Panel(Axis("x"), Axis("y"), layers, **more)


def test_a_panel_shows_every_figure_of_its_layers() -> None:
    marks = (Mark(1, 0.5, interval=(0.4, 0.7)), Mark(2, 0.6, "b", ("why",)))
    layers = Points(marks, "some"), Line((1, 2, None, 3), (5, 6, None, 7), "line", 1)
    (axes,) = chart.draw(Chart("c", "Title", (panel_of(*layers),))).axes
    interval, line = axes.lines
    assert np.asarray(interval.get_xdata()).tolist()[:2] == [1, 1]
    assert np.asarray(interval.get_ydata()).tolist()[:2] == [0.4, 0.7]
    assert np.asarray(axes.collections[0].get_offsets()).tolist() == [[1, 0.5], [2, 0.6]]
    np.testing.assert_array_equal(np.asarray(line.get_ydata()), [5, 6, np.nan, 7])
    assert line.get_markevery() == [3]  # a line through the last point would not be seen


def test_marks_without_y_are_drawn_in_a_strip() -> None:
    layers = Points((Mark(1, 0.5, "a"),)), Points((Mark(3, None, "b"),), hollow=True)
    drawn = chart.draw(Chart("c", "Title", (panel_of(*layers, strip="not ranked"),)))
    panel, strip = drawn.axes
    assert [tuple(axes.get_xlim()) for axes in (panel, strip)] == [panel.get_xlim()] * 2
    (mark,) = strip.collections
    assert to_hex(np.asarray(mark.get_facecolor())[0]) == "#ffffff"
    assert "not ranked" in [text for text, _ in texts(drawn)]
    alone = Chart("c", "Title", (panel_of(layers[1], strip="not ranked"),))
    assert len(chart.draw(alone).axes) == 1


def test_names_of_rows_go_down_and_of_cells_show_their_texts() -> None:
    axis = Axis(names=("first", "second"))
    cells = Cells(np.array([[0.1, 1.0], [np.nan, 0.5]]), [["a", "b"], ["c", "d"]])
    (axes,) = chart.draw(Chart("c", "T", (Panel(axis, axis, (cells,)),))).axes
    assert [text.get_text() for text in axes.texts] == ["a", "b", "c", "d"]
    assert axes.get_ylim() == (1.5, -0.5)
    assert axes.texts[1].get_color() == "white"


def test_the_first_of_alternatives_is_drawn_and_twelve_of_many_panels() -> None:
    panels = tuple(panel_of(Line((1, 2), (1, 2)), title=str(i)) for i in range(14))
    first = chart.draw(Chart("c", "T", panels, choice="Which"))
    assert len(first.axes) == 1
    assert "Which: 0." in [text for text, _ in texts(first)]
    drawn = chart.draw(Chart("c", "T", panels))
    assert len(drawn.axes) == chart.MAX_PANELS
    assert "Only the first 12 of 14 panels." in [text for text, _ in texts(drawn)]


def test_panels_with_the_same_title_are_in_one_row() -> None:
    panels = [panel_of(Line((1, 2), (1, 2)), title=str(i // 2)) for i in range(6)]
    drawn = chart.draw(Chart("c", "T", tuple(panels)))
    tops = [round(axes.get_position().y1, 6) for axes in drawn.axes]
    assert tops[0] == tops[1] > tops[2] == tops[3]


def test_every_name_of_a_layer_is_in_the_key_once() -> None:
    layers = Line((1, 2), (1, 2), "training", 0), Points((Mark(1, 1),), "kept", 1)
    drawn = chart.draw(Chart("c", "T", (panel_of(*layers, title="a"),) * 2))
    said = [text for text, _ in texts(drawn)]
    assert (said.count("training"), said.count("kept")) == (1, 1)


@pytest.mark.slow
def test_names_without_room_are_counted(tmp_path: Path) -> None:
    nets = crowd(90)
    drawn = chart.draw(charts(findings(tmp_path, nets, images=60))["accuracy_cost"])
    said = [text for text, _ in texts(drawn)]
    (line,) = (text for text in said if text.startswith("no room for"))
    written = sum(text.startswith("network_of_some_family_") for text in said)
    assert int(line.split()[3]) == len(nets) - written
    assert_legible(drawn)


def test_error_bars_are_the_interval(tmp_path: Path) -> None:
    found = findings(tmp_path, SIX[:1])
    (axes,) = chart.draw(charts(found)["accuracy_cost"]).axes
    row = found.backbones.iloc[0]
    bars = [np.asarray(line.get_ydata()).tolist()[:2] for line in axes.lines]
    assert [row["accuracy_low"], row["accuracy_high"]] in bars


def test_reliability_points_are_the_bins(tmp_path: Path) -> None:
    found = findings(tmp_path, SIX[:1], seeds=(0, 1))
    (panel,) = charts(found)["calibration"].panels
    seeds = found.predictions["mobilenetv2"]
    sure = np.concatenate([one.confidence for one in seeds])
    right = np.concatenate([one.predicted == one.labels for one in seeds])
    top = sure > 14 / 15
    points = next(layer for layer in panel.layers if isinstance(layer, Points))
    last = points.marks[-1]
    assert (last.x, last.y) == pytest.approx((sure[top].mean(), right[top].mean()))


def test_random_init_has_a_cost_and_no_accuracy(tmp_path: Path) -> None:
    section = tradeoff.section(findings(tmp_path, [SIX[0], SIX[3]]))
    assert section is not None
    (drawn,) = section.blocks
    assert isinstance(drawn, Chart)
    for panel in drawn.panels:
        marks = {
            m.label: m for layer in panel.layers if isinstance(layer, Points) for m in layer.marks
        }
        assert marks["mobilenetv2"].y is not None
        assert marks["inceptionv3"].y is None
    axes = {panel.title: panel.x.title for panel in drawn.panels}
    assert axes["Latency"] == "median latency, one image, ms"
    assert axes["Parameters"] == "parameters"  # the unit is not said again


def test_training_times_of_machines_that_differ_are_not_ranked(tmp_path: Path) -> None:
    folder = make_run(tmp_path, SIX[:2])
    first, second = read_records(folder)
    elsewhere = replace(second, environment={**second.environment, "node": "n2"})
    for records, front in (([first, second], True), ([first, elsewhere], False)):
        write_records(folder, records)
        panels = charts(analyse_run(read_run(folder)))["accuracy_cost"].panels
        lines = {p.title: any(isinstance(layer, Line) for layer in p.layers) for p in panels}
        assert lines["Training time"] is front
        assert lines["Latency"]
        (training,) = (panel for panel in panels if panel.title == "Training time")
        names = [layer.name for layer in training.layers if isinstance(layer, Points)]
        assert (names == ["trained on different machines: not ranked by this cost"]) is not front


def test_a_run_of_random_weights_shows_no_accuracy(tmp_path: Path) -> None:
    section = tradeoff.section(findings(tmp_path, SIX[3:5]))
    assert section is not None
    assert section.about.startswith("No pretrained backbone finished")
    (drawn,) = section.blocks
    assert isinstance(drawn, Chart)
    said = [text for text, _ in texts(chart.draw(drawn))]
    assert "random init, not ranked" in said
    assert "test accuracy" not in said


def test_curves_mark_phases_and_kept_epochs(tmp_path: Path) -> None:
    (record,) = read_records(make_run(tmp_path, SIX[:1]))
    panel = curves._panel("mobilenetv2", [record], "loss")
    assert panel.spans == (Span(0.5, 6.5, "head"), Span(6.5, 10.5, "fine-tune"))
    kept = panel.layers[-1]
    assert isinstance(kept, Points)
    head, tune = record.phases
    assert [(mark.x, mark.y) for mark in kept.marks] == [
        (head.best_epoch, head.epochs[head.best_epoch - 1].val_loss),
        (6 + tune.best_epoch, tune.epochs[tune.best_epoch - 1].val_loss),
    ]


@pytest.mark.parametrize(("phases", "epochs"), [(1, 1), (2, 200), (9, 3)])
def test_curves_are_legible(tmp_path: Path, phases: int, epochs: int) -> None:
    (record,) = read_records(make_run(tmp_path, SIX[:1]))
    line = tuple(Epoch(1 / (i + 1), 0.5, 1.2 / (i + 1), 0.6, 1.0) for i in range(epochs))
    made = tuple(
        PhaseResult(f"a phase with a long name {i}", "features", "", 1, 1, False, line, 1.0, 1.0)
        for i in range(phases)
    )
    panels = [curves._panel("W" * 80, [replace(record, phases=made)] * 3, "loss")]
    assert_legible(chart.draw(Chart("curves", "Training", tuple(panels * 2))))


def test_early_stopping_does_not_shift_the_next_phase(tmp_path: Path) -> None:
    records = read_records(make_run(tmp_path, SIX[:1], seeds=(0, 1)))
    stopped = [len(record.phases[1].epochs) for record in records]
    assert stopped == [4, 3]
    assert curves.phase_starts(records) == [0, 6, 10]


def test_long_texts_are_wrapped() -> None:
    lines = style.wrap("word " * 40, 3.0)
    assert len(lines) > 1
    assert style.max_width(lines, style.SMALL) <= 3.0
    assert " ".join(lines).split() == ["word"] * 40


def test_labels_keep_clear_of_everything() -> None:
    points = [(x / 4, y / 4) for x in range(4, 20) for y in range(4, 12)]
    dots = [Box(x, y, x, y).grow(0.05) for x, y in points]
    frame = Box(0, 0, 8, 4)
    found = [b for b in place(points, [(0.5, 0.1)] * len(points), dots, frame) if b is not None]
    assert len(found) > 20
    assert all(inside(box, frame) for box in found)
    assert not any(overlaps(a, b) for a, b in combinations([*found, *dots], 2))


def test_the_first_label_gets_the_nearest_place() -> None:
    first, second = place([(1, 1), (1, 1)], [(0.5, 0.1)] * 2, [], Box(0, 0, 4, 4))
    assert first is not None
    assert second is not None
    assert first.left == pytest.approx(1.11)  # to the right of its point
    assert not overlaps(first, second)
    assert second.left < 1.5  # and the other close by


def test_the_objects_of_a_picture_are_freed_once_it_is_written(tmp_path: Path) -> None:
    make_run(tmp_path, SIX[:1])
    gc.collect()
    gc.disable()
    try:
        report.render(tmp_path)
        assert not any(isinstance(one, Figure) for one in gc.get_objects())
    finally:
        gc.enable()


def test_a_user_s_own_settings_of_matplotlib_change_no_picture() -> None:
    panel = Panel(Axis("x", names=("a",)), Axis("y", names=("b",)), (Cells(np.array([[0.5]])),))
    one = Chart("one", "One", (panel,))
    (picture,) = pictures([Section("one", "One", "", [one])], {})
    expected = picture.png()
    with rc_context({"savefig.format": "pdf", "savefig.bbox": "tight", "axes.linewidth": 9.0}):
        assert picture.png() == expected
