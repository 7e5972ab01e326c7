"""Predictions in the terminal and as CSV."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bench.inference.prediction import Prediction
from bench.reports import predictions, terminal

SOURCE = predictions.Predictor("r", "net", "net-0", ("cats", "=dogs", "foxes"), 1.5, 0.7)
FOLDER = "/data/photographs of the second week"
ANSWERS = (
    Prediction(f"{FOLDER}/camera_one_00017.jpg", (0.9, 0.0625, 0.0375)),
    Prediction(f"{FOLDER}/camera_two_00018.jpg", (0.25, 0.625, 0.125)),
    Prediction(f"{FOLDER}/torn.jpg", reason="the file is empty"),
)


def printed(width: int, top: int = 1) -> list[str]:
    out = io.StringIO()
    section = predictions.section(ANSWERS, SOURCE, top)
    terminal.show([section], Console(file=out, width=width))
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_line_fits_the_terminal_and_marks_low_confidence(width: int) -> None:
    head, sure, doubtful, unread, *reasons = printed(width)
    assert max(map(len, (head, sure, doubtful, unread, *reasons))) <= width
    assert head.split() == ["image", "class", "confidence"]
    assert sure.endswith("cats       90.00%")
    assert doubtful.endswith("=dogs      62.50%  low")
    assert "00017.jpg " in sure
    assert "00018.jpg " in doubtful
    assert unread.split()[-2:] == ["–", "–"]
    assert " ".join(reasons).endswith("torn.jpg: the file is empty")


def test_names_are_whole_where_there_is_room() -> None:
    assert printed(terminal.UNLIMITED)[1].startswith(ANSWERS[0].image)


def test_the_next_classes_follow() -> None:
    assert printed(200, top=2)[2].split()[-5:] == ["=dogs", "62.50%", "cats", "25.00%", "low"]


def test_an_unreadable_image_has_no_prediction() -> None:
    low, unread = predictions.summary(ANSWERS, SOURCE)
    assert low == "1 of 2 predictions have a confidence below 70.00%: check them."
    assert unread == "1 of 3 images could not be read."


def test_csv_has_every_digit_and_no_formula() -> None:
    lines = predictions.to_csv(ANSWERS, SOURCE, 2).splitlines()
    assert lines[0] == "image,class,confidence,low_confidence,error,class_2,confidence_2"
    assert lines[1] == f"{ANSWERS[0].image},cats,0.9,no,,'=dogs,0.0625"
    assert lines[2] == f"{ANSWERS[1].image},'=dogs,0.625,yes,,cats,0.25"
    assert lines[3] == f"{ANSWERS[2].image},,,,the file is empty,,"
