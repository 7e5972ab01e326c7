"""The verdict: which backbones are compared, ties, the sentence, and when there is none."""

from __future__ import annotations

import argparse
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from synthetic import Net, answers, judged, make_run, write_records
from test_html_report import data_of

from bench import reports as report
from bench.analysis.findings import Findings, analyse_run
from bench.analysis.pooled import pool_evidence
from bench.analysis.warnings import warnings
from bench.cli.commands import report_command
from bench.cli.main import main
from bench.inference import model_card
from bench.inference.export import About
from bench.reports.blocks import Statement, Table
from bench.reports.formats import json_report, pull_request
from bench.reports.html.blocks import section_data
from bench.reports.markdown import section_text
from bench.reports.sections import certainty, leaderboard, overview, sections, tradeoff
from bench.storage.arrays import write_arrays
from bench.storage.records import read_records, read_run
from bench.types import Record, Session


def made(
    folder: Path,
    wrong: dict[str, list[list[int]]],
    *,
    images: int = 100,
    source: str = "imagenet",
) -> Findings:
    """A run in which each backbone gets the listed images wrong, with a list for each seed."""
    nets = [
        Net(name, latency_ms=10.0 * (index + 1), source=source) for index, name in enumerate(wrong)
    ]
    seeds = tuple(range(len(next(iter(wrong.values())))))
    make_run(folder, nets, seeds=seeds, images=images, queries=64)
    for record in read_records(folder):
        write(folder, record, wrong[record.trial.backbone][record.trial.seed], images)
    return analyse_run(read_run(folder))


def report_again(folder: Path) -> int:
    """Return the exit code of `report` on the run in `folder`."""
    asked = {"results": folder.parent / "results", "run": str(folder), "price_per_hour": None}
    asked |= {"section": None, "latex": False, "format": "", "open": False, "margin": None}
    return report_command.main(argparse.Namespace(**asked))


def write(folder: Path, record: Record, wrong: list[int], images: int) -> None:
    latency = np.full(64, 0.01 if record.trial.backbone == "a" else 0.005)
    arrays = judged(answers(wrong, images), latency_keras_b1=latency)
    write_arrays(folder, record.trial.key, arrays)


ONE_SEED = "One seed: this compares the trained networks, not the backbones."


def test_a_worse_backbone_is_not_recommended(tmp_path: Path) -> None:
    # Ten images that only a gets right, two that only b does: p = 2 * (1 + 12 + 66 / 2) / 4096. By
    # Agresti and Min 8 / 102 +- 1.96 * 0.0345 = 1.1 to 14.6 points.
    verdict = made(tmp_path, {"a": [[0, 1]], "b": [list(range(2, 12))]}).verdict
    assert (verdict.best, verdict.recommended) == ("a", "a")
    (pair,) = verdict.pairs
    assert pair.p == pair.p_holm == pytest.approx(92 / 4096)
    assert pair.differ
    assert pair.difference == pytest.approx(0.08)
    assert [s.ties for s in verdict.standings] == ["a", "b"]
    assert [s.place for s in verdict.standings] == ["best", "worse"]
    assert verdict.sentence == (
        "a is best, 98.00% (93.0–99.4%). Take a: no cheaper one is shown to be within 1 point. "
        f"Worse: b. {ONE_SEED}"
    )
    assert "From paired 95% intervals on 100 test images and one seed. P(first)" in (
        verdict.certainty
    )


def test_a_report_explains_a_worse_backbone_tied_with_the_best(tmp_path: Path) -> None:
    # b as above. Over two comparisons with the best: 8 / 102 - 2.24 * 0.0345 > 0, so it is worse.
    # Over three pairs p is 3 * 92 / 4096 = 0.067.
    findings = made(tmp_path, {"a": [[0, 1]], "c": [[0, 1, 12]], "b": [list(range(2, 12))]})
    assert {s.label: (s.place, s.ties) for s in findings.verdict.standings} == {
        "a": ("best", "a"),
        "c": ("undecided", "a"),
        "b": ("worse", "a"),
    }
    why = (
        "Worse, but without a significant difference: b. The verdict is corrected for the "
        "2 comparisons with the best, but ties and pairwise significance for all 3 pairs, which is "
        "stricter."
    )
    section = certainty.section(findings)
    assert section is not None
    assert why in section.about
    assert why in leaderboard.table(findings).about
    assert certainty.worse_but_tied(made(tmp_path / "two", CLOSE).verdict) == ""


def test_the_best_that_is_also_the_cheapest_is_called_so(tmp_path: Path) -> None:
    # b is the best and answers in 5 ms, a in 10.
    verdict = made(tmp_path, {"b": [[0, 1]], "a": [list(range(2, 12))]}).verdict
    assert "b is best, 98.00% (93.0–99.4%). Take b, also the cheapest (5.00 ms at p50). " in (
        verdict.sentence
    )
    assert verdict.recommended == "b"


def test_no_significant_difference_is_no_reason_to_recommend_the_cheaper(tmp_path: Path) -> None:
    # Seven against two: 5 / 102 +- 1.96 * 0.0306 = -1.1 to 10.91 points, and p = 0.11. b answers in
    # 5 ms, a in 10. (1.96 + 0.84)^2 * (0.09 - 0.05^2) / 0.05^2 = 275 images would show b worse.
    verdict = made(tmp_path, {"a": [[0, 1]], "b": [list(range(2, 9))]}).verdict
    assert not verdict.pairs[0].differ
    assert (verdict.best, verdict.recommended) == ("a", "a")
    assert verdict.not_significant == ("b",)
    other = verdict.standings[1]
    assert other.place == "undecided"
    assert other.images_to_decide == pytest.approx(275, rel=0.03)
    assert other.could_be == pytest.approx(verdict.pairs[0].high)
    assert verdict.sentence == (
        "a is best, 98.00% (93.0–99.4%). Take a: no cheaper one is shown to be within 1 point. "
        f"Undecided: b (5.0 behind, could be 11.0); about 280 test images would decide. {ONE_SEED}"
    )


# 2 of 1,000 images: 0.2 points, and 0.54 at the upper end.
CLOSE: dict[str, list[list[int]]] = {"a": [[]], "b": [[0, 1]]}


def test_the_cheapest_within_the_margin_is_recommended(tmp_path: Path) -> None:
    found = made(tmp_path, CLOSE, images=1000)
    verdict = found.verdict
    assert [s.place for s in verdict.standings] == ["best", "within"]
    assert (verdict.best, verdict.recommended) == ("a", "b")
    assert verdict.cheapest_by == "p50 latency"
    assert verdict.sentence == (
        "a is best, 100.00% (99.6–100.0%). Within 1 point of it: b; take b, the cheapest (5.00 ms "
        "at p50), at most 0.6 points less accurate by the 95% intervals. "
        f"{ONE_SEED}"
    )
    assert found.table["verdict"].tolist() == ["best", "within 1 point"]


@pytest.mark.slow
def test_the_margin_is_the_runs_or_the_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "r"
    made(folder, CLOSE, images=1000)
    words = ["--results", str(tmp_path)]
    assert main(["report", "r", *words, "--margin", "0.5"]) == 0
    # 0.54, rounded up: what is above the margin reads as above it.
    assert "Undecided: b (0.2 behind, could be 0.6)" in " ".join(capsys.readouterr().out.split())
    meta = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    (folder / "run.json").write_text(json.dumps(meta | {"margin": 0.5}), encoding="utf-8")
    assert main(["choose", "r", *words]) == 0
    assert capsys.readouterr().out.startswith("Take a:")
    assert main(["choose", "r", *words, "--margin", "1"]) == 0
    assert capsys.readouterr().out.startswith("Take b:")
    assert main(["report", "r", "--margin", "100"]) == 2
    assert "must be percentage points above 0 and below 100; got '100'" in capsys.readouterr().err
    (folder / "run.json").write_text(json.dumps(meta | {"margin": "1"}), encoding="utf-8")
    assert main(["report", "r", *words]) == 1
    assert "Expected `float`, got `str` - at `$.margin`" in capsys.readouterr().err


def test_if_the_speed_of_the_machine_changed_arithmetic_decides(tmp_path: Path) -> None:
    # 5 against 10 ms, while the same work took from 1 to 2.5: no difference. a has less arithmetic.
    made(tmp_path, CLOSE, images=1000)
    session = Session("now", ("a", "b"), 1, 3, 1e9, (0.001, 0.0025))
    flops = {"a": 600_000_000, "b": 800_000_000}
    write_records(
        tmp_path,
        [
            replace(r, session=session, flops=flops[r.trial.backbone])
            for r in read_records(tmp_path)
        ],
    )
    verdict = analyse_run(read_run(tmp_path)).verdict
    assert (verdict.recommended, verdict.cheapest_by) == ("a", "GMACs")
    assert "take a, also the cheapest (0.300 GMACs)" in verdict.sentence
    steady = replace(session, calibration=(0.001, 0.00105))
    write_records(tmp_path, [replace(r, session=steady) for r in read_records(tmp_path)])
    found = analyse_run(read_run(tmp_path))
    assert found.verdict.recommended == "b"
    assert not any("count as equal" in text for text in warnings(found))
    # Steady within each session, and three times slower in the other.
    slow = replace(session, started="later", calibration=(0.003, 0.0031))
    sessions = {"a": slow, "b": steady}
    write_records(
        tmp_path,
        [replace(r, session=sessions[r.trial.backbone]) for r in read_records(tmp_path)],
    )
    found = analyse_run(read_run(tmp_path))
    assert found.verdict.recommended == "a"
    told = " ".join(warnings(found))
    assert "The machine's speed differed between the 2 sessions" in told
    assert (
        "within a factor of 4.3 count as equal; the one with fewer multiplications is taken" in told
    )
    # As steady, but on a node of a cluster.
    sessions["a"] = replace(steady, started="later", node="n1")
    write_records(
        tmp_path,
        [replace(r, session=sessions[r.trial.backbone]) for r in read_records(tmp_path)],
    )
    found = analyse_run(read_run(tmp_path))
    assert found.verdict.recommended == "a"
    told = " ".join(warnings(found))
    assert (
        "timed on n1 and on the machine of the command. For the recommendation, latencies" in told
    )


def test_ties_are_not_transitive(tmp_path: Path) -> None:
    # Each loses five more than the one before: p = 1/32 a step and 1/1024 over two. Holm asks
    # 1/1024 * 3, then 1/32 * 2 = 0.0625: only the ends differ.
    verdict = made(tmp_path, {"a": [[]], "b": [list(range(5))], "c": [list(range(10))]}).verdict
    assert [s.ties for s in verdict.standings] == ["a", "ab", "b"]
    assert verdict.not_significant == ("b",)
    assert [p.p_holm for p in verdict.pairs] == pytest.approx([1 / 16, 3 / 1024, 1 / 16])
    # How often each is first, in tenths: a is in nearly all draws.
    assert [s.first for s in verdict.standings] == [1.0, 0.0, 0.0]
    assert "P(first), with other test images: a above 0.9 and b below 0.1." in verdict.certainty


def test_a_page_starts_with_the_recommendation_and_bars_of_p_first(tmp_path: Path) -> None:
    found = made(tmp_path, {"a": [[]], "b": [list(range(3))], "c": [list(range(10))]})
    statement = overview.section(found).blocks[0]
    assert isinstance(statement, Statement)
    rest = statement.sentence.removeprefix(statement.lead)
    assert rest.startswith(" Undecided: b (3.0 behind")
    assert rest.endswith(f" Worse: c. {ONE_SEED}")
    assert statement.lead.endswith("Take a: no cheaper one is shown to be within 1 point.")
    assert statement.shares == (("a", 1.0), ("b", 0.0))
    assert statement.shares_title == "P(first): how often each is first with other test images"


def test_table_and_verdict_have_the_same_accuracy_over_the_seeds_that_all_have(
    tmp_path: Path,
) -> None:
    # Over all three seeds a has 90%, over the two that b has as well 98.5%, less than b's 99%.
    found = made(tmp_path, {"a": [[0], list(range(27)), [1, 2]], "b": [[3], [4], [5]]})
    records = [r for r in found.run.records if (r.trial.backbone, r.trial.seed) != ("b", 1)]
    write_records(tmp_path, records)
    found = analyse_run(read_run(tmp_path))
    verdict = found.verdict
    assert verdict.seeds == (0, 2)
    assert [(s.label, s.accuracy) for s in verdict.standings] == [("b", 0.99), ("a", 0.985)]
    table = found.table
    assert table["label"].tolist() == ["b", "a"]
    assert table["accuracy"].tolist() == [0.99, 0.985]
    assert table["accuracy_low"].tolist() == [s.low for s in verdict.standings]
    assert table["seeds"].tolist() == [2, 3]
    assert "Compared on the 2 of 3 seeds that all of them finished." in verdict.certainty


@pytest.mark.slow
def test_two_seeds_give_intervals_and_no_ties(tmp_path: Path) -> None:
    found = made(tmp_path, {"a": [[0], [1]], "b": [[3], [4]]})
    assert "Two seeds show too little" in found.verdict.certainty
    assert [s.ties for s in found.verdict.standings] == ["", ""]
    report.render(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "Verdict" in text
    assert "Ties" not in text
    section = certainty.section(found)
    assert section is not None
    (table,) = (block for block in section.blocks if isinstance(block, Table))
    assert "+0.00" in table.texts[0]
    assert table.columns[-1].title == "P(ahead)"
    assert "Two seeds are too few for a test." in section_text(section)
    assert found.verdict.not_significant == ()
    assert "One seed" not in found.verdict.sentence


@pytest.mark.slow
def test_without_a_shared_seed_nothing_is_compared(tmp_path: Path) -> None:
    found = made(tmp_path, {"a": [[0], [1]], "b": [[3], [4]]})
    kept = [r for r in found.run.records if (r.trial.backbone == "a") == (r.trial.seed == 0)]
    write_records(tmp_path, kept)
    found = analyse_run(read_run(tmp_path))
    assert found.verdict.best is None
    assert found.verdict.sentence == (
        "Nothing is ranked: the trials differ in seed (0 for a; 1 for b: no seed finished for all)."
    )
    assert found.backbones["rank"].isna().all()
    assert report_again(tmp_path) == 3


def test_a_single_backbone_has_no_comparison(tmp_path: Path) -> None:
    verdict = made(tmp_path, {"a": [[0, 1]]}).verdict
    assert verdict.best == "a"
    assert verdict.pairs == ()
    assert "the only pretrained backbone that finished (98.00%)" in verdict.sentence


def test_random_weights_take_no_part(tmp_path: Path) -> None:
    verdict = made(tmp_path, {"a": [[0]], "b": [[1]]}, source="random init").verdict
    assert (verdict.best, verdict.standings, verdict.pairs) == (None, (), ())
    assert "No pretrained backbone finished" in verdict.sentence


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("dataset_fingerprint", {"dataset_fingerprint": "f" * 64}),
        ("protocol_digest", {"protocol": "two-step", "protocol_digest": "e" * 64}),
    ],
)
def test_trials_of_another_kind_are_not_ranked(
    tmp_path: Path, field: str, change: dict[str, str]
) -> None:
    found = made(tmp_path, {"a": [[0]], "b": [[1]]})
    first, second = found.run.records
    write_records(
        tmp_path,
        [first, replace(second, trial=replace(second.trial, **change))],  # type: ignore[arg-type]
    )
    found = analyse_run(read_run(tmp_path))
    assert found.trials["rank"].isna().all()
    assert found.backbones["rank"].isna().all()
    assert found.verdict.best is None
    assert report_again(tmp_path) == 3
    assert found.verdict.sentence.startswith(f"Nothing is ranked: the trials differ in {field} (")
    assert "for a; " in found.verdict.sentence


def test_trials_on_other_test_images_are_not_ranked(tmp_path: Path) -> None:
    found = made(tmp_path, {"a": [[0]], "b": [[1]]})
    write(tmp_path, found.run.records[1], [1], 98)
    found = analyse_run(read_run(tmp_path))
    assert found.trials["rank"].isna().all()
    assert "differ in test_labels (100 images" in found.verdict.sentence


def test_several_seeds_widen_the_interval(tmp_path: Path) -> None:
    """Seeds far apart show that another seed may be as far: two of them decide nothing."""
    alike = made(tmp_path / "alike", {"a": [[0, 1], [0, 1]]})
    apart = made(tmp_path / "apart", {"a": [[], list(range(4))]})
    close, far = alike.backbones.iloc[0], apart.backbones.iloc[0]
    assert close["accuracy"] == far["accuracy"] == pytest.approx(0.98)
    # Two seeds that answer alike are worth one: Wilson for 98 of 100.
    assert (close["accuracy_low"], close["accuracy_high"]) == pytest.approx(
        (0.9300, 0.9945), abs=1e-4
    )
    assert far["accuracy_low"] < 0.85


@pytest.mark.slow
def test_report_and_terminal_open_with_the_verdict(tmp_path: Path) -> None:
    found = made(tmp_path, {"a": [[0, 1]], "b": [list(range(2, 12))]})
    report.render(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert text.splitlines()[2] == f"**{found.verdict.sentence}**"
    # Agresti and Min: 10.5 images won and 2.5 lost of 102, so 8/102 +- 1.96 * 0.0345.
    row = next(line for line in text.splitlines() if "+8.00 " in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:2] == ["a", "b"]
    assert cells[3] == "+1.08 to +14.60"
    assert cells[-2:] == ["0.022", "significant"]
    stored = json.loads((tmp_path / "verdict.json").read_text(encoding="utf-8"))
    assert (stored["best"], stored["recommended"], stored["pairs"][0]["differ"]) == ("a", "a", True)
    assert stored["margin"] == 0.01
    assert [s["place"] for s in stored["standings"]] == ["best", "worse"]
    out = io.StringIO()
    report.show(sections(report.read(tmp_path)), Console(file=out, width=200))
    assert out.getvalue().splitlines()[0].strip() == found.verdict.sentence
    assert re.search(r"Verdict +Ties +P\(first\)", out.getvalue())
    # With one seed no report says that seeds were drawn.
    for path in ("report.md", "report.html"):
        assert "test images and seeds" not in (tmp_path / path).read_text(encoding="utf-8")


def test_what_must_not_be_ranked_is_not_averaged(tmp_path: Path) -> None:
    found = made(tmp_path, {"a": [[0], [1]]})
    first, second = found.run.records
    write_records(
        tmp_path, [first, replace(second, trial=replace(second.trial, protocol_digest="e"))]
    )
    found = analyse_run(read_run(tmp_path))
    assert len(found.table) == 2
    assert "a; default e for a" in found.verdict.sentence


@pytest.mark.slow
def test_every_report_renders_the_same_verdict(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    findings = made(folder, CLOSE, images=1000)
    verdict = findings.verdict
    report.render(folder)
    report.write_index(tmp_path)
    about = About(("cats", "dogs"), 224, "b", "r", "key", None, "0")
    of_b = pool_evidence(findings.run, findings.run.records[1:2])
    pages = {
        "report.md": (folder / "report.md").read_text(encoding="utf-8"),
        "pull request": pull_request.text(findings),
        "card": model_card.text(findings.run, of_b, about, "b.onnx", "loaded again"),
        "json": json_report.content(findings).verdict.sentence,
        "verdict.json": json.loads((folder / "verdict.json").read_text("utf-8"))["sentence"],
        "html": json.dumps(section_data(overview.section(findings)), ensure_ascii=False),
    }
    for name, page in pages.items():
        assert verdict.sentence in page, name
    content = json_report.content(findings).verdict
    assert (content.best, content.recommended, content.within) == ("a", "b", ("b",))
    board = leaderboard.table(findings)
    place = [column.title for column in board.columns].index("Verdict")
    assert [row[place] for row in board.rows] == ["best", "within 1 point"]
    assert [(row, mark.state, mark.badge) for row, mark in board.marks.items()] == [
        (1, "chosen", "recommended")
    ]
    against = tradeoff.section(findings)
    assert against is not None
    assert "Recommended: b." in against.about
    index = (tmp_path / "index.html").read_text(encoding="utf-8")
    (row,) = data_of(index)["sections"]["runs"]["blocks"][0]["rows"]
    assert [cell["text"] for cell in row][-3:] == ["a", "100.00%", "b"]


def test_a_verdict_of_before_the_margin_is_not_on_a_card(tmp_path: Path) -> None:
    findings = made(tmp_path, CLOSE, images=10)
    (tmp_path / "verdict.json").write_text('{"sentence": "take the cheapest"}', encoding="utf-8")
    about = About(("cats", "dogs"), 224, "b", "r", "key", None, "0")
    of_b = pool_evidence(findings.run, findings.run.records[1:2])
    text = model_card.text(findings.run, of_b, about, "b.onnx", "loaded again")
    assert "take the cheapest" not in text


@pytest.mark.parametrize("source", ["imagenet", "random init"])
def test_a_card_gives_no_accuracy_of_random_weights(tmp_path: Path, source: str) -> None:
    findings = made(tmp_path, CLOSE, images=10, source=source)
    about = About(("cats", "dogs"), 224, "b", "r", "key", None, "0")
    of_b = pool_evidence(findings.run, findings.run.records[1:2])
    text = model_card.text(findings.run, of_b, about, "b.onnx", "loaded again")
    random = source == "random init"
    assert ("its predictions mean nothing" in text) == random
    for words in ("%", "| test accuracy |", "10 test images leave its accuracy uncertain"):
        assert (words in text) != random, words
    assert "median latency, one image" in text


def test_no_report_shows_a_probability_of_zero(tmp_path: Path) -> None:
    # 400 of 1,000 that one alone gets right: p is far below what can be computed.
    findings = made(tmp_path, {"a": [[]], "b": [list(range(400))]}, images=1000)
    assert 0 < findings.verdict.pairs[0].p < 1e-9
    section = certainty.section(findings)
    assert section is not None
    assert "<0.001" in section_text(section).replace("&lt;", "<")
    (table,) = (block for block in section.blocks if isinstance(block, Table))
    (row,) = table.texts
    assert row[4:6] == [">0.9", "<0.001"]
    board = leaderboard.table(findings)
    assert board.texts[0][[column.title for column in board.columns].index("P(first)")] == ">0.9"
    assert "P(first), with other test images: a above 0.9" in findings.verdict.certainty
    assert "100%" not in findings.verdict.certainty


@pytest.mark.slow
def test_rows_of_single_trials_are_not_called_means(tmp_path: Path) -> None:
    """Trials that cannot be ranked are shown one by one, even with several seeds."""
    found = made(tmp_path, {"a": [[0], [1]], "b": [[3], [4]]})
    records = list(found.run.records)
    records[0] = replace(records[0], trial=replace(records[0].trial, protocol_digest="e"))
    write_records(tmp_path, records)
    report.render(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    results = text[text.index("## Results") :]
    assert "Means over seeds ±" not in results[: results.index("![")]


def test_a_card_names_the_backend_that_was_timed(tmp_path: Path) -> None:
    findings = made(tmp_path, CLOSE, images=10)
    about = About(("cats", "dogs"), 224, "b", "r", "key", None, "0")
    record = replace(findings.run.records[1], environment={"keras_backend": "jax"})
    of_b = pool_evidence(findings.run, [record])
    text = model_card.text(findings.run, of_b, about, "b.onnx", "loaded again")
    assert "on the machine of the run, through Keras on jax." in text
