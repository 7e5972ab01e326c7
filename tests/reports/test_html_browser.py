"""report.html in a real browser: everything a reader can click, point at or step through.

Skipped where playwright or a Chromium is missing; nothing is downloaded.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from synthetic import SIX, Net, make_run
from test_conformance import errors
from test_report_mistakes import explained_run

from bench import reports as report
from bench.analysis.findings import analyse_run
from bench.data import thumbnails
from bench.storage.records import read_run

playwright_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]

HOSTILE = ("<img src=x onerror=alert(1)>", "</script><b>", "שלום\u202e 😀", "x" * 300)
NETS = (
    Net("swift", 2.2, 9.0, 2_000_000),
    Net("middling", 2.6, 20.0, 5_000_000),
    Net("<script>alert(2)</script>", 3.0, 45.0, 20_000_000),
    Net("untrained", 0.0, 30.0, 8_000_000, source="random init"),
    Net("broken", fails="</td><script>alert(3)</script>"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with hostile names, and pictures of its mistakes."""
    folder = make_run(
        tmp_path_factory.mktemp("results") / "run",
        NETS,
        classes=HOSTILE,
        seeds=(0, 1, 2),
        images=80,
    )
    (folder / thumbnails.FOLDER).mkdir()
    for mistakes in analyse_run(read_run(folder)).mistakes.values():
        for mistake in mistakes:
            path = folder / thumbnails.FOLDER / f"{mistake.image:05d}.jpg"
            Image.new("RGB", (144, 144), (mistake.image * 3 % 256, 90, 120)).save(path)
    report.render(folder)
    report.write_index(folder.parent)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright_api.sync_playwright() as playwright:
        # Chromium's sandbox does not start for root, as which containers run.
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"] if root else []
        )
        yield started
        started.close()


@pytest.fixture
def page(browser: Any, folder: Path) -> Iterator[Any]:
    """The report on a wide screen; fails if the page logged an error or requested anything."""
    yield from _opened(browser, folder / "report.html", width=1280)


@pytest.fixture
def phone(browser: Any, folder: Path) -> Iterator[Any]:
    yield from _opened(browser, folder / "report.html", width=360)


def _opened(browser: Any, path: Path, *, width: int) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("#leaderboard table")
    yield page
    assert said == []
    # Pictures inside the page are addressed, too, but are no request to anybody.
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    context.close()


# The first table of the results; the one of every trial is folded.
BOARD = "#leaderboard .scroll >> nth=0 >>"


def names(page: Any) -> list[str]:
    return page.locator(f"{BOARD} tbody tr:visible th .name").all_inner_texts()  # type: ignore[no-any-return]


def test_the_verdict_is_at_the_top(page: Any) -> None:
    sentence = page.locator(".verdict .sentence")
    assert "<script>alert(2)</script>" in sentence.inner_text()
    assert sentence.bounding_box()["y"] < 300
    # What is open is told below, in smaller letters; how sure it is, in bars.
    assert "Undecided" not in sentence.inner_text()
    assert "Undecided" in page.locator(".verdict p").nth(1).inner_text()
    bars = page.locator(".verdict dd")
    assert bars.first.inner_text() == ">0.9"
    assert bars.count() == 2
    assert "P(first)" in page.locator(".verdict .certainty").inner_text()


def test_columns_sort_and_random_init_never_among_the_ranked(page: Any) -> None:
    failed = "broken (failed)"
    assert names(page)[3:] == [failed]
    assert page.locator("#leaderboard .scroll").nth(1).locator("tbody th").all_inner_texts() == [
        "untrained (random init)"
    ]
    head = page.locator(f"{BOARD} thead")
    head.get_by_role("button", name="p50").click()
    by_latency = names(page)
    assert by_latency == ["swift", "middling", "<script>alert(2)</script>", failed]
    assert head.locator("th[aria-sort]").count() == 1
    head.get_by_role("button", name="p50").click()
    assert names(page) == [*reversed(by_latency[:3]), failed]  # a failure is never the slowest
    for _ in range(2):
        head.get_by_role("button", name="Accuracy", exact=True).click()
        assert names(page)[3:] == [failed]


def test_every_cell_is_below_its_heading(browser: Any, tmp_path: Path) -> None:
    # One pretrained backbone is compared with none, so that there is no column of ties.
    folder = make_run(tmp_path, NETS[-3:], seeds=(0, 1), images=20)
    report.render(folder)
    for page in _opened(browser, folder / "report.html", width=1280):
        heads = page.locator(f"{BOARD} thead th").all_inner_texts()
        assert not any("Tie" in head for head in heads)
        cells = page.locator(f"{BOARD} tbody tr").first.locator("th, td")
        assert cells.count() == len(heads)
        place = next(i for i, head in enumerate(heads) if head.startswith("p50"))
        assert cells.nth(place).inner_text().endswith("ms")


def test_many_classes_show_their_largest_confusions_and_the_matrix_when_asked(
    browser: Any, tmp_path: Path
) -> None:
    classes = [f"class {i}" for i in range(60)]
    folder = make_run(tmp_path, NETS[:2], classes=classes, images=600)
    report.render(folder)
    for page in _opened(browser, folder / "report.html", width=1280):
        section = page.locator("#confusion")
        assert section.locator("#chart-confusion .point").count() == 0
        rows = section.locator("tbody tr:visible")
        assert rows.count() == 15
        of_one = rows.all_inner_texts()
        section.get_by_role("button", name="swift").click()
        assert rows.count() == 15
        assert rows.all_inner_texts() != of_one
        section.get_by_role("button", name="show the images").first.click()
        assert "predicted as" in section.locator(".drill h3").inner_text()
        filled = "paths => Math.max(...paths.map((path) => path.getBBox().width))"
        assert section.locator("svg path.blue").evaluate_all(filled) > 400
        section = page.locator("#classes")
        section.get_by_text("Precision, recall and F1 of each class").click()
        section.locator("details table tbody tr").nth(2 * 60 - 1).wait_for()


def test_a_reason_spans_the_columns_without_figures(page: Any, phone: Any) -> None:
    for one in (page, phone):
        reason, table = one.locator(f"{BOARD} .reason"), one.locator(f"{BOARD} table")
        assert reason.inner_text() == "</td><script>alert(3)</script>"
        assert reason.bounding_box()["width"] > 0.75 * table.bounding_box()["width"]
    phone.locator("#leaderboard .chooser summary").first.click()
    phone.locator("#leaderboard .chooser").first.get_by_label("Size").check()
    row = phone.locator(f"{BOARD} tbody tr.failed")
    ends = "row => [row.lastChild, row.parentNode.firstChild.lastChild].map((cell) => cell.colSpan)"
    shown = phone.locator(f"{BOARD} thead th:visible").count()
    assert row.evaluate(ends) == [shown, 1]  # the rank has no room


def test_rows_are_filtered_by_name_and_by_state(page: Any) -> None:
    tools = page.locator("#leaderboard .tools:has(input[type=search])").first
    tools.get_by_label("Filter rows by name").fill("MIDD")
    assert names(page) == ["middling"]
    assert tools.get_by_role("status").inner_text() == "1 of 4 shown"
    tools.get_by_label("Filter rows by name").fill("")
    tools.get_by_label("failed (1)").uncheck()
    assert len(names(page)) == 3


def test_columns_without_room_are_hidden_until_they_are_chosen(phone: Any) -> None:
    heads = phone.locator(f"{BOARD} thead th:visible")
    assert heads.all_inner_texts() == ["Backbone", "Accuracy", "95% interval", "Verdict"]
    frame = phone.locator("#leaderboard .scroll").first
    fits = "frame => frame.scrollWidth <= frame.clientWidth"
    assert frame.evaluate(fits)
    before = heads.count()
    phone.locator("#leaderboard .chooser summary").first.click()
    phone.locator("#leaderboard .chooser").first.get_by_label("Size").check()
    assert heads.count() == before + 1
    assert heads.last.inner_text() == "Size"
    cell = phone.locator(f"{BOARD} tbody tr:first-child td:visible")
    assert cell.last.inner_text().endswith("MB")
    phone.locator("#leaderboard").get_by_role("button", name="Show all columns").first.click()
    assert heads.count() == phone.locator(f"{BOARD} thead th").count()


def test_a_phone_shows_the_calibration_error(phone: Any) -> None:
    heads = phone.locator("#calibration .scroll >> nth=0 >> thead th:visible").all_inner_texts()
    assert heads[0] == "Backbone"
    assert "ECE" in heads


def test_a_point_has_a_tooltip_for_mouse_and_keyboard(page: Any) -> None:
    tip = page.locator("#tip")
    point = page.locator("#tradeoff .point[aria-label^='swift']")
    point.hover()
    assert tip.is_visible()
    assert "swift" in tip.inner_text()
    assert "Latency: " in tip.inner_text()
    page.mouse.move(2, 2)
    assert tip.is_hidden()
    point.focus()
    assert tip.is_visible()
    page.keyboard.press("Escape")
    assert tip.is_hidden()


def test_the_cost_can_be_changed(page: Any) -> None:
    axis = page.locator("#tradeoff svg text").filter(has_text=re.compile("median latency"))
    assert axis.count() == 1
    size = page.locator("#tradeoff").get_by_role("button", name="Size")
    size.click()
    assert size.get_attribute("aria-pressed") == "true"
    assert axis.count() == 0


def test_arrow_keys_step_through_a_chart_that_is_one_stop_for_tab(page: Any) -> None:
    points = page.locator("#chart-robustness, #chart-class_recall").first.locator(".point")
    assert points.count() > 1
    assert points.evaluate_all("all => all.filter((p) => p.tabIndex === 0).length") == 1
    points.first.focus()
    first = page.locator("#tip").inner_text()
    page.keyboard.press("ArrowRight")
    assert page.locator("#tip").inner_text() != first
    page.keyboard.press("ArrowLeft")
    assert page.locator("#tip").inner_text() == first
    page.keyboard.press("ArrowDown")
    below = page.locator("#tip").inner_text()
    assert below.splitlines()[0] != first.splitlines()[0]  # another row
    assert below.splitlines()[1] == first.splitlines()[1]  # of the same column


def test_rows_and_marks_of_a_backbone_are_highlighted_together(page: Any) -> None:
    row = page.locator("#leaderboard tr[data-about='swift']").first
    page.locator("#tradeoff .point[aria-label^='swift']").focus()
    assert "lit" in row.get_attribute("class")
    page.locator("#leaderboard tr[data-about='middling']").first.hover()
    assert page.locator("#tradeoff .point.lit[aria-label^='middling']").count() == 1
    assert "lit" not in row.get_attribute("class")


def _saved(page: Any, name: str, folder: Path) -> Path:
    with page.expect_download() as saving:
        page.get_by_label(name, exact=True).click()
    path: Path = folder / saving.value.suggested_filename
    saving.value.save_as(path)
    return path


def test_tables_and_charts_can_be_saved(page: Any, tmp_path: Path) -> None:
    drawn = ElementTree.parse(_saved(page, "Save Accuracy against cost as SVG", tmp_path))
    said = {text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert {"Accuracy against cost", "swift", "<script>alert(2)</script>", "test accuracy"} <= said
    with Image.open(_saved(page, "Save Recall of each class as PNG", tmp_path)) as image:
        red, _, blue = np.asarray(image.convert("RGB"), int).T
        assert image.width > 800
    assert ((blue > 150) & (red < 120)).any()  # as on the page
    with _saved(page, "Save Backbones, ranked by test accuracy as CSV", tmp_path).open(
        newline="", encoding="utf-8"
    ) as file:
        rows = list(csv.DictReader(file))
    (swift,) = (row for row in rows if row["Backbone"] == "swift")
    assert 0 < float(swift["95% interval low"]) < float(swift["Accuracy"]) < 1
    assert not any(row["Backbone"].startswith("untrained") for row in rows)


def test_a_filter_is_shown_only_if_it_divides_the_table(
    page: Any, browser: Any, tmp_path: Path
) -> None:
    assert page.locator("#leaderboard > div").first.get_by_label("failed (1)").count() == 1
    whole = make_run(tmp_path / "run", [NETS[0], NETS[1], NETS[3]], images=80)
    report.render(whole)
    for other in _opened(browser, whole / "report.html", width=1280):
        assert other.locator("#leaderboard .badge").all_inner_texts() == ["recommended"]
        assert other.locator("#leaderboard input[type=search]").count() == 0


def test_no_line_goes_through_a_name(page: Any) -> None:
    crossed = """() => {
      const drawing = document.querySelector("#tradeoff svg");
      const front = drawing.querySelector("path.dashed");
      const length = front.getTotalLength();
      const names = [...drawing.querySelectorAll("text.over")].map((one) => one.getBBox());
      const part = length / 1999;
      const at = Array.from({ length: 2000 }, (_, k) => front.getPointAtLength(k * part));
      return [names.length, at.filter(({ x, y }) => names.some((box) =>
        x > box.x && x < box.x + box.width && y > box.y + 2 && y < box.y + box.height - 2)).length];
    }"""
    names, crossings = page.evaluate(crossed)
    assert names >= 3
    assert crossings == 0


def test_few_marks_have_their_names_on_a_phone(browser: Any, tmp_path: Path) -> None:
    folder = make_run(tmp_path, SIX, seeds=(0, 1), images=80)
    report.render(folder)
    for phone in _opened(browser, folder / "report.html", width=390):
        names = phone.locator("#tradeoff svg text.over").all_text_contents()
        assert sorted(names) == sorted(net.name for net in SIX if not net.fails)


def test_headings_link_to_their_sections(page: Any) -> None:
    targets = page.locator("a.anchor").evaluate_all("all => all.map((a) => a.getAttribute('href'))")
    assert {"#leaderboard", "#tradeoff"} <= set(targets)
    assert all(page.locator(target).count() == 1 for target in targets)


def test_a_cell_of_the_matrix_opens_its_images(page: Any) -> None:
    cell = page.locator("#chart-confusion .point[aria-expanded]").nth(1)
    assert re.fullmatch(r"[\d,]+\d+[.]\d%", cell.text_content())
    cell.click()
    drill = page.locator("#confusion .drill")
    assert cell.get_attribute("aria-expanded") == "true"
    assert drill.locator("img").count() > 0
    image = "image => image.decode().then(() => image.naturalWidth)"
    assert drill.locator("img").first.evaluate(image) > 0
    drill.get_by_role("button", name="Close").click()
    assert drill.count() == 0
    page.keyboard.press("ArrowRight")  # the cell has the focus again
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    assert drill.count() == 1
    page.keyboard.press(" ")
    assert drill.count() == 0
    listed = page.locator("#confusion td button:visible").first
    listed.click()
    assert listed.get_attribute("aria-expanded") == "true"
    assert drill.locator("img").count() > 0
    page.locator("#confusion").get_by_role("button", name="middling").click()
    assert drill.count() == 0
    assert "untrained" not in page.locator("#confusion").inner_text()


def test_a_large_matrix_names_the_cell_nearest_to_the_pointer(browser: Any, tmp_path: Path) -> None:
    classes = [f"kind {i}" for i in range(60)]
    report.render(make_run(tmp_path, NETS[:2], classes=classes, images=120))
    for page in _opened(browser, tmp_path / "report.html", width=390):
        cells = page.locator("#chart-confusion .cover")
        cells.scroll_into_view_if_needed()
        box, tip = cells.bounding_box(), page.locator("#tip")
        where = (box["x"] + box["width"] * 15.4 / 60, box["y"] + box["height"] * 15.6 / 60)
        page.mouse.move(*where)
        assert tip.inner_text() == "kind 15, correct"
        page.mouse.click(*where)
        drill = page.locator("#confusion .drill")
        assert drill.locator("h3").inner_text() == "kind 15, correct"
        drill.get_by_role("button", name="Close").click()
        assert drill.count() == 0
        page.mouse.move(2, 2)
        assert tip.is_hidden()


def test_cells_without_room_for_all_figures_have_none(browser: Any, tmp_path: Path) -> None:
    nets = [Net(f"net{i}", i / 8) for i in range(20)]  # of the worst, figures of one digit
    report.render(make_run(tmp_path, nets, classes=[f"kind {i}" for i in range(9)], images=360))
    for page in _opened(browser, tmp_path / "report.html", width=390):
        cells = page.locator("#chart-class_recall .point")
        assert cells.count() == 180
        assert cells.locator("text").count() == 0
        page.set_viewport_size({"width": 1280, "height": 900})
        cells.locator("text").last.wait_for()
        assert cells.locator("text").count() == 180


def test_mistakes_are_drawn_when_they_are_opened(page: Any) -> None:
    own = page.locator("#mistakes details").last
    assert own.locator("img").count() == 0
    own.locator("summary").click()
    own.locator("img").first.wait_for()


def test_dark_and_light(page: Any) -> None:
    paper = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(paper) != light
    page.get_by_role("button", name="Light").click()
    assert page.evaluate(paper) == light
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(paper) == light  # the reader has chosen


def test_everything_is_reachable_by_keyboard(page: Any) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    # On from the start of the results: the columns, the filter, two boxes, the table, its heads.
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Backbone":
            break
    page.keyboard.press("Enter")
    assert page.locator(f"{BOARD} th[aria-sort] >> nth=0").inner_text() == "Backbone"
    reader = page.locator("#curves [role=slider]").first
    reader.focus()
    page.keyboard.press("ArrowRight")
    assert reader.get_attribute("aria-valuenow") == "2"
    assert "epoch 2" in page.locator("#tip").inner_text()


def test_commands_are_copied_or_selected(page: Any) -> None:
    command = page.locator("#reproduction .command").first
    command.get_by_role("button").click()
    command.get_by_role("button", name=re.compile("Copied|Selected")).wait_for()


def test_a_narrow_table_keeps_three_columns_and_scrolls(phone: Any) -> None:
    phone.set_viewport_size({"width": 240, "height": 900})
    phone.wait_for_function("innerWidth === 240")
    phone.wait_for_timeout(100)
    heads = phone.locator("#disagreements thead th:visible").all_inner_texts()
    assert heads[:3] == ["First", "Second", "Only the first correct"]


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_scrolls_only_vertically(browser: Any, folder: Path, width: int) -> None:
    for page in _opened(browser, folder / "report.html", width=width):
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_name_breaks_between_its_words(browser: Any, tmp_path: Path) -> None:
    report.render(make_run(tmp_path, [NETS[0], Net("efficientnet_lite0")], images=20))
    for page in _opened(browser, tmp_path / "report.html", width=360):
        name = page.locator("#calibration tbody th .name", has_text="efficientnet_lite0")
        assert name.evaluate("n => [...n.childNodes].map((one) => one.textContent)") == [
            "efficientnet_",
            "",
            "lite0",
        ]


def test_touch_targets_are_large_enough(phone: Any) -> None:
    for button in phone.locator("button.button:visible").all()[:12]:
        assert button.bounding_box()["height"] >= 32


def test_printing_shows_every_backbone_and_no_button(page: Any) -> None:
    page.emulate_media(media="print")
    assert page.locator(".button:visible").count() == 0
    assert page.locator(f"{BOARD} tbody tr:visible").count() == 4
    assert page.locator("#tradeoff .chart svg").is_visible()


def test_no_table_is_wider_than_a_printed_page(browser: Any, tmp_path: Path) -> None:
    # A browser shrinks all that is printed if anything is.
    folder = make_run(tmp_path, SIX)
    report.render(folder)
    for page in _opened(browser, folder / "report.html", width=688):
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.evaluate("document.documentElement.scrollWidth") <= 688


def test_print_has_every_confusion_matrix_and_collapsed_parts(
    page: Any,
) -> None:
    matrices, pairs = (
        page.locator("#chart-confusion .chart"),
        page.locator("#certainty details:not(.chooser)").first,
    )
    assert (matrices.count(), pairs.get_attribute("open")) == (1, None)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert (matrices.count(), pairs.get_attribute("open")) == (3, "")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert (matrices.count(), pairs.get_attribute("open")) == (1, None)


def test_it_opens_in_under_a_second(browser: Any, folder: Path) -> None:
    timing = "() => performance.getEntriesByType('navigation')[0].domComplete"
    taken = [
        page.evaluate(timing)
        for _ in range(3)
        for page in _opened(browser, folder / "report.html", width=1280)
    ]
    assert min(taken) < 1000


def test_every_section_has_a_heading_and_every_control_a_name(page: Any) -> None:
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, [tabindex='0'], [role=img]")]
          .filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim()
            || e.labels?.[0]?.textContent.trim()))
          .map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert nameless == []
    levels = page.locator("h1, h2, h3").evaluate_all("all => all.map((h) => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_what_the_page_builds_is_html(page: Any) -> None:
    for summary in page.locator("main summary:visible").all():
        summary.click()
    built = page.evaluate("document.documentElement.outerHTML")
    assert errors(f"<!doctype html>{built}") == []


@pytest.mark.parametrize("name", ["report.html", "../index.html"])
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_axe_finds_no_accessibility_violation(
    browser: Any, folder: Path, scheme: str, width: int, name: str
) -> None:
    package = "axe_playwright_python"
    axe = pytest.importorskip(
        f"{package}.sync_playwright", reason="pip install axe-playwright-python"
    )
    size = {"width": width, "height": 900}
    page = browser.new_context(color_scheme=scheme, viewport=size).new_page()
    page.goto((folder / name).as_uri())
    page.wait_for_selector("table")
    for summary in page.locator("main summary:visible").all():
        summary.click()
    found = axe.Axe().run(page).response["violations"]
    page.context.close()
    nodes = [(one["id"], node["html"][:200]) for one in found for node in one["nodes"]]
    assert nodes == []


def test_the_index_leads_to_the_report(browser: Any, folder: Path) -> None:
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((folder.parent / "index.html").as_uri())
    page.get_by_role("link", name="run", exact=True).first.click()
    page.wait_for_selector(".verdict")
    assert page.url == (folder / "report.html").as_uri()
    assert said == []
    page.close()


def test_heatmaps_can_be_switched_off(browser: Any, tmp_path: Path) -> None:
    explained_run(tmp_path / "run")
    for path in ("00003.jpg", "train/00007.jpg"):
        picture = tmp_path / "run" / thumbnails.FOLDER / path
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (72, 72), (90, 120, 150)).save(picture)
    report.render(tmp_path / "run")
    opened = _opened(browser, tmp_path / "run" / "report.html", width=360)
    page = next(opened)
    gallery = page.locator("#mistakes details", has_text="most confident mistakes")
    gallery.locator("summary").click()
    gallery.locator(".sheet").wait_for()  # the browser tells later that it was opened
    gallery.locator("select").select_option(label="one")
    shot = gallery.locator(".sheet > li")
    assert shot.locator(".shot img").get_attribute("alt").endswith("heatmap strongest: bottom left")
    assert shot.locator(".near li").all_inner_texts() == ["dogs 0.91", "cats 0.50", "cats 0.25"]
    assert shot.locator(".near img").count() == 1
    canvas = shot.locator("canvas")
    assert canvas.bounding_box() == shot.locator(".shot img").bounding_box()
    # The strongest place is gold, one that speaks against the answer is dark.
    drawn = "c => [...c.getContext('2d').getImageData(0, 0, 2, 2).data]"
    colours = canvas.evaluate(drawn)
    red, _, blue, opacity = colours[8:12]
    assert red > 250
    assert blue < 5
    assert 135 < opacity < 145
    assert max(colours[:3]) < 50
    gallery.get_by_label("Heatmaps").uncheck()
    assert not canvas.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    next(opened, None)
