"""Mistakes and disagreements, in figures that a reader can check by hand."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from synthetic import Net, answers, judged, make_run, write_records

from bench import reports as report
from bench.analysis.findings import Findings, analyse_run
from bench.analysis.metrics.classification import Predictions
from bench.analysis.mistakes import (
    Mistake,
    disagreements,
    find_mistakes,
    shared_mistakes,
    shown_images,
)
from bench.data import thumbnails
from bench.data.pixels import KIND, cache_parts
from bench.reports.blocks import Table
from bench.reports.charts import Chart, Points
from bench.reports.figures import sheet, style
from bench.reports.galleries import ContactSheet, Gallery, Near, Shot
from bench.reports.html import report_page
from bench.reports.sections import disagreements as disagreements_section
from bench.reports.sections import embedding
from bench.reports.sections import mistakes as mistakes_section
from bench.storage.arrays import read_arrays, write_arrays
from bench.storage.cache import Store
from bench.storage.records import read_records, read_run
from bench.types import Split


def predictions(labels: list[int], *answers: tuple[int, float]) -> Predictions:
    predicted, confidence = zip(*answers, strict=True)
    return Predictions(np.array(labels), np.array(predicted), np.array(confidence))


def brief(found: Any) -> list[tuple[int, float]]:
    return [(one.image, round(one.confidence, 3)) for one in found]


def test_the_most_confident_mistake_comes_first() -> None:
    one = predictions([0, 0, 1, 1], (1, 0.6), (0, 0.9), (0, 0.95), (1, 0.8))
    found = find_mistakes([one])
    assert brief(found) == [(2, 0.95), (0, 0.6)]
    assert (found[0].true, found[0].predicted, found[0].wrong_seeds, found[0].seeds) == (1, 0, 1, 1)
    assert find_mistakes([]) == ()


def test_the_predicted_class_has_the_highest_summed_confidence() -> None:
    labels = [0, 0, 0]
    seeds = (
        predictions(labels, (1, 0.9), (3, 0.6), (0, 0.9)),
        predictions(labels, (2, 0.5), (2, 0.6), (0, 0.9)),
        predictions(labels, (2, 0.5), (0, 0.9), (1, 0.9)),
    )
    # Equally confident ones: the first class. Right in most seeds is no mistake.
    found = find_mistakes(seeds)
    assert [(m.image, m.predicted, m.wrong_seeds) for m in found] == [(0, 2, 3), (1, 2, 2)]
    assert [m.confidence for m in found] == pytest.approx([1.9 / 3, 1.2 / 3])


def wrong(*images: int) -> tuple[Mistake, ...]:
    return tuple(Mistake(i, 0, 1, 0.9 - i / 100, 1, 1) for i in images)


def test_two_backbones_disagree_where_one_of_them_is_right() -> None:
    by_backbone = {"a": wrong(0, 1, 2), "b": wrong(2, 3)}
    (pair,) = disagreements(by_backbone)
    assert (pair.first, pair.second) == ("a", "b")
    assert [m.image for m in pair.only_first] == [3]
    assert [m.image for m in pair.only_second] == [0, 1]
    assert pair.both_wrong == 1
    assert disagreements({"a": wrong(0)}) == ()
    # Of the first four of the table: six pairs.
    assert len(disagreements(dict.fromkeys("abcdef", wrong(0)))) == 6


def test_images_that_divide_two_backbones_are_kept() -> None:
    # Image 90 is the last of b's mistakes, and the only one that a gets right.
    most = wrong(*range(60))
    kept = shown_images({"a": most, "b": (*most, *wrong(90))})
    assert 90 in kept
    assert 59 not in kept


@pytest.mark.slow
def test_the_section_of_disagreements_by_hand(tmp_path: Path) -> None:
    make_run(tmp_path, [Net("a"), Net("b")], images=20)
    for record, errors in zip(read_records(tmp_path), ([0, 1, 2], [2, 3]), strict=True):
        write_arrays(tmp_path, record.trial.key, judged(answers(errors, 20)))
    section = disagreements_section.section(analyse_run(read_run(tmp_path)))
    assert section is not None
    table, gallery = section.blocks
    assert isinstance(table, Table)
    assert isinstance(gallery, Gallery)
    assert table.texts == [["b", "a", "2", "1", "1", "16"]]
    assert [sheet.label for sheet in gallery.sheets] == ["b right, a wrong", "a right, b wrong"]
    assert [shot.file for shot in gallery.sheets[1].shots] == ["test/00003.png"]


def test_seeds_vote_on_mistakes() -> None:
    labels = [0, 0, 0]
    seeds = [
        predictions(labels, (1, 0.9), (1, 0.6), (2, 0.5)),
        predictions(labels, (1, 0.9), (1, 0.6), (1, 0.8)),
        predictions(labels, (0, 0.9), (0, 0.9), (2, 0.7)),
    ]
    found = find_mistakes(seeds)
    # Image 2: wrong in all three, for class 2 with 0.5 + 0.7, for class 1 with 0.8.
    assert brief(found) == [(2, 0.667), (0, 0.6), (1, 0.4)]
    assert [one.predicted for one in found] == [2, 1, 1]
    assert [one.wrong_seeds for one in found] == [3, 2, 2]
    # Half of the seeds is not most of them.
    assert find_mistakes([seeds[0], predictions(labels, (0, 1.0), (0, 1.0), (0, 1.0))]) == ()


def test_shared_mistakes_are_ranked_by_summed_confidence() -> None:
    labels = [0, 1, 0, 1]
    by_backbone = {
        "a": find_mistakes([predictions(labels, (1, 0.7), (0, 0.9), (1, 0.99), (1, 0.9))]),
        "b": find_mistakes([predictions(labels, (1, 0.8), (0, 0.9), (0, 0.99), (1, 0.9))]),
    }
    found = shared_mistakes(by_backbone)
    assert brief(found) == [(1, 1.8), (0, 1.5)]  # image 2 is wrong for `a` alone
    assert (found[0].true, found[0].predicted) == (1, 0)
    assert found[0].by_backbone["b"].confidence == 0.9
    assert shown_images(by_backbone) == (0, 1, 2)


def test_one_backbone_has_no_shared_mistakes() -> None:
    assert shared_mistakes({"a": find_mistakes([predictions([0], (1, 0.9))])}) == ()
    assert shared_mistakes({}) == ()


@pytest.mark.parametrize("source", ["imagenet", "random init"])
def test_random_init_marks_no_image_as_mistake(tmp_path: Path, source: str) -> None:
    nets = [Net("one", 0.5), Net("two", 0.4), Net("three", 0.5, source=source)]
    found = analyse_run(read_run(make_run(tmp_path, nets, seeds=(0, 1, 2))))
    assert ("three" in found.mistakes) is (source == "imagenet")
    assert set(found.mistakes) >= {"one", "two"}
    for each in found.mistakes.values():
        assert each
        assert all(mistake.seeds == 3 for mistake in each)


def mistaken_run(folder: Path) -> Path:
    """Both backbones predict cats for test image 3, a dog; only `one` gets image 5 wrong, too."""
    make_run(folder, [Net("one"), Net("two")], images=8)
    for number, record in enumerate(read_records(folder)):
        arrays = judged(answers([3] if number else [3, 5], 8))
        write_arrays(folder, record.trial.key, arrays)
    return folder


@pytest.mark.slow
def test_the_report_lists_what_every_backbone_gets_wrong(tmp_path: Path) -> None:
    folder = mistaken_run(tmp_path / "run")
    assert report.shown_images(report.read(folder)) == {"test": (3, 5), "train": set()}
    report.render(folder)
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "1 of 8 test images are misclassified by each of the 2 pretrained backbones" in text
    (line,) = [line for line in text.splitlines() if "| test/00003.png" in line]
    assert [cell.strip() for cell in line.split("|")[1:-1]] == [
        *("1", "test/00003.png", "dogs", "cats", "90.00%")
    ]
    # No picture of an image was kept, so there is no sheet and no link to one.
    assert "label_suspects" not in text


def test_without_pictures_the_report_names_the_images(tmp_path: Path) -> None:
    make_run(tmp_path, [Net("one")], images=8)
    (record,) = read_records(tmp_path)
    write_arrays(tmp_path, record.trial.key, judged(answers([3, 5], 8)))
    report.render(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    lines = text[text.index("## Mistakes") :].splitlines()
    assert "**The most confident mistakes of each backbone: one**" in lines
    for image in ("test/00003.png", "test/00005.png"):
        assert f"- {image} (dogs → cats, 90.00% confident)" in lines


def explained_run(folder: Path) -> Findings:
    """`mistaken_run`, where the model of `one` explains images 3 and 5."""
    mistaken_run(folder)
    first, second = read_records(folder)
    arrays = judged(
        answers([3, 5], 8),
        explained_images=np.array([3, 5]),
        explained_answers=np.array([0, 1]),  # of 5 the report shows 0: seeds may differ
        explained_heatmaps=np.array([[[-1.0, 0.5], [2.0, 1.0]]] * 2),
        explained_nearest=np.array([[7, 2, 0], [1, 2, 3]]),
        explained_similarity=np.array([[0.914, 0.5, 0.25]] * 2),
        map_images=np.array([0, 2, 3, 5, 7]),
        map=np.arange(10.0).reshape(5, 2) / 8,
        map_shares=np.array([0.5, 0.25]),
    )
    write_arrays(folder, first.trial.key, arrays)
    seconds = {**first.seconds, "heatmaps": 0.4, "neighbours": 3.0}
    write_records(folder, [replace(first, seconds=seconds), second])
    return analyse_run(read_run(folder))


def test_the_map_of_the_test_images_marks_the_mistakes(tmp_path: Path) -> None:
    section = embedding.section(explained_run(tmp_path / "run"))
    assert section is not None
    (chart,) = section.blocks
    assert isinstance(chart, Chart)
    (panel,) = chart.panels
    assert (panel.title, panel.note) == ("one", "Seed 0, 5 of 8 test images.")
    assert panel.x.title == "first component, 50.00% of the variance"
    drawn = [
        (layer.name, [(mark.x, mark.y, mark.label, mark.tip) for mark in layer.marks])
        for layer in panel.layers
        if isinstance(layer, Points)
    ]
    told = ("dogs → cats", "90.00% confident")
    assert drawn == [
        ("wrong predictions", [(0.5, 0.625, "", ()), (0.75, 0.875, "", ())]),
        ("cats", [(0.0, 0.125, "", ()), (0.25, 0.375, "", ())]),
        ("dogs", [(1.0, 1.125, "", ())]),
        ("dogs", [(0.5, 0.625, "test/00003.png", told), (0.75, 0.875, "test/00005.png", told)]),
    ]


def test_a_map_by_umap_is_the_alternative_of_the_same_images(tmp_path: Path) -> None:
    run = explained_run(tmp_path / "run").run
    record = run.records[0]
    arrays = read_arrays(run.folder, record, 2) | {"map_umap": np.arange(10.0, 20.0).reshape(5, 2)}
    write_arrays(run.folder, record.trial.key, arrays)
    section = embedding.section(analyse_run(read_run(run.folder)))
    assert section is not None
    (chart,) = section.blocks
    assert isinstance(chart, Chart)
    first, second = chart.panels
    assert [(panel.title, panel.about) for panel in chart.panels] == [
        ("one", "one"),
        ("one, UMAP", "one"),
    ]
    assert (first.x.title, second.x.title) == (
        "first component, 50.00% of the variance",
        "first dimension of UMAP",
    )
    assert isinstance(second.layers[0], Points)
    assert [(mark.x, mark.y) for mark in second.layers[0].marks] == [(14, 15), (16, 17)]
    assert "The other map, by UMAP" in section.about


def test_of_many_classes_those_with_the_most_mistakes_have_a_colour() -> None:
    true = np.repeat(np.arange(9), 2)
    right = ~np.isin(true, [0, 2, 3, 5, 6, 8])
    assert embedding.most_mistaken(true, right) == [0, 2, 3, 5, 6, 8]


def test_a_mistake_has_the_heatmap_and_the_neighbours_that_its_model_gave(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    findings = explained_run(folder)
    section = mistakes_section.section(findings)
    assert section is not None
    assert "200 ms for each image" in section.about
    assert "took 3.0 s for each backbone" in section.about
    _, suspects, sheets = section.blocks
    assert isinstance(suspects, Gallery)
    assert isinstance(sheets, Gallery)
    other, mine = ({shot.image: shot for shot in one.shots} for one in sheets.sheets)
    assert mine[3].heatmap == ((0.0, 0.25), (1.0, 0.5))
    assert mine[3].strongest == "bottom left"
    assert mine[3].near == (Near(7, "dogs 0.91"), Near(2, "cats 0.50"), Near(0, "cats 0.25"))
    assert (mine[5].heatmap, len(mine[5].near)) == ((), 3)
    assert other[3] == Shot(3, mine[3].title, mine[3].words, mine[3].file)
    assert suspects.sheets[0].shots[0].near == mine[3].near
    assert report.shown_images(findings) == {"test": (3, 5), "train": {0, 1, 2, 3, 7}}

    (folder / "thumbnails" / "train").mkdir(parents=True)
    for place in (7, 6):
        Image.new("RGB", (9, 9)).save(folder / "thumbnails" / "train" / f"{place:05d}.jpg")
    drawn = "".join(report_page(findings, [section]))
    assert '"train/7":"data:image/jpeg' in drawn
    assert '"train/6"' not in drawn


@pytest.mark.slow
def test_thumbnails_outlive_the_photographs(tmp_path: Path, store: Store) -> None:
    folder = mistaken_run(tmp_path / "run")
    split = Split(tuple("abcdefgh"), (0, 1) * 4, tuple(f"{i:064x}" for i in range(8)))
    dataset = replace(read_run(folder).dataset, splits={"test": split})
    squares = np.repeat(np.arange(8, dtype=np.uint8) * 30, 32 * 32 * 3).reshape(8, 32, 32, 3)
    writer = store.begin_draft(KIND, "test images", squares.nbytes)
    writer.append(squares)
    writer.commit(cache_parts(split, 32), 1.0)

    thumbnails.store_thumbnails(folder, (3, 5), dataset, [16, 32], store)
    kept = thumbnails.read_thumbnails(folder)
    assert set(kept) == {3, 5}
    with Image.open(io.BytesIO(kept[5])) as image:
        assert image.size == (thumbnails.EDGE, thumbnails.EDGE)
        assert np.asarray(image).mean() == pytest.approx(150, abs=1)
    before = {file: file.stat().st_mtime_ns for file in (folder / "thumbnails").iterdir()}
    thumbnails.store_thumbnails(folder, (3, 5), dataset, [32], Store(tmp_path / "empty"))
    assert {f: f.stat().st_mtime_ns for f in (folder / "thumbnails").iterdir()} == before

    names = {path.name for path in report.render(folder)}
    assert {"mistakes_one.png", "mistakes_two.png", "label_suspects.png"} <= names
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "(figures/label_suspects.png)" in text
    assert "(figures/mistakes_one.png)" in text


def test_without_the_pixels_there_are_no_thumbnails(tmp_path: Path, store: Store) -> None:
    folder = mistaken_run(tmp_path / "run")
    thumbnails.store_thumbnails(folder, (3,), read_run(folder).dataset, [32], store)
    assert thumbnails.read_thumbnails(folder) == {}


def test_a_sheet_shows_label_prediction_and_file() -> None:
    shots = (Shot(i, f"class {i} → other", f"9{i}.0% sure", f"{i}/a\nb.png") for i in range(10))
    drawn = sheet.draw("A title", ContactSheet(tuple(shots), about="about"), {})
    said = [text.get_text() for text in drawn.texts]
    assert said[:6] == [
        "class 0 → other",
        "90.0% sure",
        "0/a b.png",
        "class 1 → other",
        "91.0% sure",
        "1/a b.png",
    ]
    assert drawn.get_figwidth() > sheet.COLUMNS * sheet.SIDE


@pytest.mark.slow
def test_hostile_file_names_stay_text(tmp_path: Path) -> None:
    folder = mistaken_run(tmp_path / "run")
    described = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    name = "test/<img src=x onerror=alert(1)>\n| a | $x$ \u202e 😀 [link](http://x).png"
    described["splits"]["test"]["ids"][3] = name
    described["classes"] = ["<b>cats</b>", "`dogs`\r\n# heading"]
    (folder / "dataset.json").write_text(json.dumps(described), encoding="utf-8")
    (folder / "thumbnails").mkdir()
    Image.new("RGB", (9, 9)).save(folder / "thumbnails" / "00003.jpg")
    report.render(folder)
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "<" not in text.replace("&lt;", "")
    (line,) = [line for line in text.splitlines() if "onerror" in line]
    assert line.replace("\\|", "").count("|") == 6
    assert "[link](" not in line
    assert not [line for line in text.splitlines() if line.startswith("# heading")]
    assert (folder / "figures" / "label_suspects.png").is_file()


def test_a_sheet_shows_each_image_again_under_its_heatmap() -> None:
    shots = Shot(0, "a", "b", "c", ((0.0, 1.0), (0.5, 0.0))), Shot(1, "d", "e", "f")
    drawn = sheet.draw("A title", ContactSheet(shots), {})
    (axes,) = drawn.axes
    pictures = [np.asarray(image.get_array()).shape[:2] for image in axes.get_images()]
    assert pictures == [(1, 1), (1, 1), (2, 2), (1, 1), (1, 1)]
    _, again, heatmap, *_ = (image.get_extent() for image in axes.get_images())
    assert again == heatmap


def test_a_long_title_of_a_contact_sheet_is_wrapped_and_whole() -> None:
    title = (
        "Pictures of what one gets right and the other wrong: efficientnet_lite0 right, vgg16 wrong"
    )
    one = ContactSheet((Shot(0, "a", "b", "c"),))
    drawn, short = sheet.draw(title, one, {}), sheet.draw("A title", one, {})
    heading = next(text for text in drawn.texts if text.get_fontsize() == style.TITLE)
    assert heading.get_text().split() == title.split()
    assert heading.get_text().count("\n") >= 1
    assert drawn.get_figheight() > short.get_figheight() + 0.9 * style.TITLE_LINE
