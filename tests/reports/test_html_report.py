"""report.html as a file: complete, self-contained, small, and safe against hostile names."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from synthetic import SIX, Net, make_run

from bench.analysis.findings import Findings, analyse_run
from bench.analysis.mistakes import shown_images
from bench.data import thumbnails
from bench.reports import html, sections
from bench.reports.html import script_json
from bench.reports.sections import confusion
from bench.storage.records import read_run

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(2)>",
    "<!--",
    "\"quoted\" & 'twice'",
    "line\nbreak\u2028\u2029",
    "😀",
    "שלום עולם",
    "\u202ereversed",
    "${data} $title",
    "x" * 300,
)


class _Elements(HTMLParser):
    """Collects what a browser would see: elements with attributes, and the text of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "script" and self.cdata_elem == "script":
            self.scripts[-1] += data


def rendered(findings: Findings) -> str:
    return "".join(html.report_page(findings, sections.sections(findings)))


def page_of(folder: Path) -> str:
    return rendered(analyse_run(read_run(folder)))


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)
    assert found is not None
    data: dict[str, Any] = json.loads(found.group(1))
    return data


def chart_of(data: dict[str, Any], section: str) -> dict[str, Any]:
    """Return the first chart of a section."""
    blocks = data["sections"][section]["blocks"]
    return next(block for block in blocks if block["kind"] == "chart")


def matrix(data: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the panel of the first confusion matrix, and its cells."""
    panel = chart_of(data, "confusion")["panels"][0]
    return panel, panel["layers"][0]


def test_json_in_a_script_cannot_end_it_and_comes_back_whole() -> None:
    value = {name: list(HOSTILE) for name in HOSTILE}
    written = "".join(script_json(value))
    assert not set(written) & set("<>&\u2028\u2029")
    assert written.isascii()
    assert json.loads(written) == value


def test_a_part_is_computed_when_it_is_encoded() -> None:
    assert "".join(script_json({"rows": [lambda: [1, "<"], list]})) == '{"rows":[[1,"\\u003c"],[]]}'


def test_no_figure_is_written_that_json_cannot_represent() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        list(script_json({"accuracy": float("nan")}))


def test_names_add_no_element_to_the_page(tmp_path: Path) -> None:
    tame = make_run(tmp_path / "tame", [Net(f"n{i}") for i in range(3)], classes=("a", "b"))
    nets = [Net(HOSTILE[0]), Net(HOSTILE[1]), Net("c", fails=HOSTILE[1])]
    wild = make_run(tmp_path / "wild", nets, classes=HOSTILE, notes=list(HOSTILE))
    expected, found = _Elements(page_of(tame)), _Elements(page_of(wild))
    assert [tag for tag, _ in found.elements] == [tag for tag, _ in expected.elements]
    # The last script is the page's own code: no name has got into it.
    assert found.scripts[-1] == expected.scripts[-1]


def test_names_are_shown_unchanged_except_control_codes(tmp_path: Path) -> None:
    data = data_of(page_of(make_run(tmp_path, SIX[:1], classes=HOSTILE, images=20)))
    names = matrix(data)[0]["y"]["names"]
    assert names[0] == HOSTILE[0]
    assert names[6] == HOSTILE[6]
    assert names[4] == "line break  "
    assert "\u202e" not in names[7]


def test_the_page_loads_nothing_and_runs_only_its_own_script(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path, SIX, seeds=(0, 1)))
    parsed = _Elements(page)
    for tag, attributes in parsed.elements:
        assert tag not in ("link", "img", "iframe", "object")
        assert not {"src", "onload", "onerror"} & set(attributes), tag
    # A name space is no address: nothing is fetched from it.
    assert set(re.findall(r"https?://[^\s\"']+", page)) <= {"http://www.w3.org/2000/svg"}
    policy = next(a["content"] for t, a in parsed.elements if "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    digest = hashlib.sha256(parsed.scripts[-1].encode()).digest()
    assert f"script-src 'sha256-{base64.b64encode(digest).decode()}'" in policy


def test_random_init_has_no_rank_no_tie_and_no_accuracy_in_the_charts(tmp_path: Path) -> None:
    data = data_of(page_of(make_run(tmp_path, SIX, seeds=(0, 1))))
    board, times, every = data["sections"]["leaderboard"]["blocks"]
    untrained = {"inceptionv3", "efficientnetb0"}
    titles = [column["title"] for column in times["columns"]]
    assert times["title"] == "Times only: no pretrained weights"
    assert titles[:3] == ["Backbone", "Training", "p50"]
    assert not {"#", "Accuracy", "Loss", "Verdict", "Val. acc."} & set(titles)
    assert {row[0]["text"].split()[0] for row in times["rows"]} == untrained
    assert all(row[titles.index("p50")]["value"] > 0 for row in times["rows"])
    name = [column["title"] for column in board["columns"]].index("Backbone")
    assert not untrained & {row[name]["text"].split()[0] for row in board["rows"]}
    titles = [column["title"] for column in every["columns"]]
    rows = [dict(zip(titles, row, strict=True)) for row in every["rows"]]
    random = [row for row in rows if row["Backbone"]["text"].split()[0] in untrained]
    assert len(random) == 4
    for row in random:
        assert row["Accuracy"] == {"text": "no pretrained weights"}
        assert row["#"]["text"] == row["Loss"]["text"] == "–"
    latency = chart_of(data, "tradeoff")["panels"][0]
    points = {m["label"]: m["y"] for one in latency["layers"] for m in one.get("marks", ())}
    assert points["inceptionv3"] is None
    assert points["resnet50"] is not None
    calibrated = {panel["title"] for panel in chart_of(data, "calibration")["panels"]}
    assert calibrated == {"mobilenetv2", "resnet50", "efficientnet_lite0"}


def dense(filled: list[float], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the counts of cells that a page stores as row, column, root of the fraction, ..."""
    held = np.zeros_like(counts)
    for row, column, root in np.reshape(filled, (-1, 3)):
        row_of, column_of = int(row), int(column)
        held[row_of, column_of] = round(root**2 * counts[row_of].sum())
    return held


def test_a_matrix_of_many_classes_is_stored_sparsely(tmp_path: Path) -> None:
    findings = analyse_run(read_run(make_run(tmp_path, SIX[:1], classes=range_of(30), images=90)))
    counts = findings.confusions["mobilenetv2"]
    data = data_of(rendered(findings))
    panel, cells = matrix(data)
    assert np.array_equal(dense(cells["filled"], counts), counts)
    assert len(cells["filled"]) == 3 * np.count_nonzero(counts) < 3 * (90 + 1)
    assert "left out" not in panel["note"]
    # The largest confusions are what a page of many classes shows first.
    _, mixed = data["sections"]["confusion"]["blocks"]
    wrong = [row[3]["value"] for row in mixed["rows"]]
    assert wrong == sorted(counts[~np.eye(30, dtype=bool)], reverse=True)[: len(wrong)]
    (table,) = data["sections"]["classes"]["blocks"]
    scores = {row[1]["text"]: row for row in table["rows"]}
    shown = [scores[name] for name in range_of(30)]
    assert [row[5]["value"] for row in shown] == counts.sum(axis=1).tolist()
    recall = [row[3]["value"] for row in shown]
    assert recall == pytest.approx(np.diag(counts) / counts.sum(axis=1), abs=1e-4)


def test_of_too_many_confusions_only_the_largest_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confusion, "MAX_CELLS", 2)
    findings = analyse_run(read_run(make_run(tmp_path, SIX[:1], classes=range_of(25), images=200)))
    counts = findings.confusions["mobilenetv2"]
    panel, cells = matrix(data_of(rendered(findings)))
    wrong = np.sort(counts[~np.eye(25, dtype=bool)])[::-1]
    held = dense(cells["filled"], counts)
    assert np.array_equal(np.diag(held), np.diag(counts))
    assert sorted(held[~np.eye(25, dtype=bool)])[-3:] == [0, *sorted(wrong[:2])]
    assert f" {np.count_nonzero(wrong) - 2} smallest cells are left out" in panel["note"]


def test_of_equal_confusions_random_ones_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confusion, "MAX_CELLS", 300)
    findings = analyse_run(read_run(make_run(tmp_path, SIX[:1], classes=range_of(25), images=50)))
    findings.confusions["mobilenetv2"][:] = 1
    _, cells = matrix(data_of(rendered(findings)))
    drawn = np.bincount(np.reshape(cells["filled"], (-1, 3))[:, 0].astype(int), minlength=25)
    assert drawn.min() > 1  # the diagonal, and 12 of the others on average
    assert drawn.sum() == 25 + 300


def range_of(number: int) -> list[str]:
    return [f"class {i}" for i in range(number)]


def test_cells_of_the_matrix_lead_to_their_images(tmp_path: Path) -> None:
    folder = make_run(tmp_path, SIX[:1], images=40)
    page = page_of(folder)
    found = re.search(r'id="data-predictions">(.*?)</script>', page)
    assert found is not None
    answers = json.loads(found.group(1))
    counts = matrix(data_of(page))[1]["opens"]
    cells = answers["backbones"]["mobilenetv2"]
    for cell, images in cells.items():
        true, said = map(int, cell.split(","))
        assert len(images) == min(36, counts[true][said])
        for image, _, seeds in images:
            assert answers["files"][str(image)] == f"test/{image:05d}.png"
            assert image % 2 == true  # the classes take turns in a made-up run
            assert seeds == 1


@pytest.mark.parametrize("nets", [[], [Net("a", fails="no")]], ids=["none", "all failed"])
def test_a_run_without_results_has_a_page(tmp_path: Path, nets: list[Net]) -> None:
    data = data_of(page_of(make_run(tmp_path, nets)))
    assert "tradeoff" not in data["sections"]
    assert data["sections"]["overview"]["blocks"][0]["sentence"]


@pytest.mark.slow
def test_ten_backbones_five_seeds_and_ten_classes_stay_below_15_mb(tmp_path: Path) -> None:
    nets = [Net(f"net{i}", 2 + i / 10, 10 + i) for i in range(10)]
    classes = [f"class {i}" for i in range(10)]
    folder = make_run(tmp_path, nets, classes=classes, seeds=range(5), images=400)
    findings = analyse_run(read_run(folder))
    # Noise compresses worst: no photograph of this size takes more room.
    noise = np.random.default_rng(0).integers(0, 256, (144, 144, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG", quality=80)
    places = shown_images(findings.mistakes)
    assert len(places) > 50
    (folder / thumbnails.FOLDER).mkdir()
    for place in places:
        (folder / thumbnails.FOLDER / f"{place:05d}.jpg").write_bytes(buffer.getvalue())
    page = page_of(folder)
    assert page.count("data:image/jpeg;base64,") == len(places)
    assert len(page.encode()) < 15e6


@pytest.mark.parametrize(
    ("queries", "box", "percentiles"),
    [(63, False, ["p50"]), (64, True, ["p50", "p90"]), (10, False, [])],
)
def test_the_box_of_latencies_needs_enough_queries(
    tmp_path: Path, queries: int, box: bool, percentiles: list[str]
) -> None:
    data = data_of(page_of(make_run(tmp_path, SIX[:1], queries=queries)))
    (spread,) = chart_of(data, "latency")["panels"][0]["layers"]
    assert ("box" in spread) == box
    assert [line.split(":")[0] for line in spread["tip"] if ":" in line] == percentiles
