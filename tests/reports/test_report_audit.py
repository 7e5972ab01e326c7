"""The audit in reports: the effect of leaked images on accuracy, and the section about it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from synthetic import SIX, audit_of, make_run

from bench import reports as report
from bench.analysis.leaks import leak_effects
from bench.analysis.metrics.classification import Predictions
from bench.data.audit.result import (
    BrokenGroup,
    ImagePair,
    KeptAudit,
    LocatedImage,
    leaked_test_ids,
    load_audit,
)
from bench.errors import BenchError
from bench.reports.sections import sections
from bench.system.files import to_json, write_atomic
from bench.types import OnLeak, WrongExtension

PAIR = ImagePair(
    LocatedImage("train/a|b.png", "train", 0),
    LocatedImage("test/00001.png", "test", 1),
    "near",
    0.9,
)


def kept(*pairs: ImagePair, on_leak: OnLeak = "warn", dropped: tuple[str, ...] = ()) -> KeptAudit:
    audit = audit_of(*pairs)
    pictures = tuple(f"audit/{n:03d}.jpg" for n in range(1, len(pairs) + 1))
    return KeptAudit(audit, leaked_test_ids(audit), on_leak, dropped, 1.25, pictures)


def predictions(*predicted: int) -> Predictions:
    return Predictions(np.zeros(4, np.int64), np.array(predicted), np.full(4, 0.9))


IDS = tuple(f"test/0000{n}.png" for n in range(4))


def test_accuracy_with_and_without_leaked_images() -> None:
    (leak,) = leak_effects(kept(PAIR), IDS, {"net": (predictions(0, 0, 0, 1),)})
    assert (leak.every.accuracy, leak.every.images) == (0.75, 4)
    assert leak.clean is not None
    # Without test/00001.png two of three are right; Wilson's interval of that.
    assert (leak.clean.accuracy, leak.clean.images) == pytest.approx((2 / 3, 3))
    assert (leak.clean.low, leak.clean.high) == pytest.approx((0.2077, 0.9385), abs=1e-4)


def test_seeds_are_averaged_and_give_an_interval_of_both() -> None:
    (leak,) = leak_effects(
        kept(PAIR), IDS, {"net": (predictions(0, 0, 0, 1), predictions(0, 1, 0, 0))}
    )
    assert leak.every.accuracy == 0.75
    assert leak.clean is not None
    assert leak.clean.accuracy == pytest.approx(5 / 6)
    assert leak.clean.low < 5 / 6 < leak.clean.high


def test_without_clean_images_there_is_no_clean_accuracy() -> None:
    pairs = [dataclasses.replace(PAIR, second=LocatedImage(id, "test", 0)) for id in IDS]
    (leak,) = leak_effects(kept(*pairs), IDS, {"net": (predictions(0, 0, 0, 1),)})
    assert leak.clean is None


@pytest.mark.parametrize("audit", [None, kept(), kept(PAIR, on_leak="drop", dropped=("train/a",))])
def test_without_a_leak_or_where_it_was_dropped_there_is_nothing_to_compare(
    audit: KeptAudit | None,
) -> None:
    assert leak_effects(audit, IDS, {"net": (predictions(0, 0, 0, 1),)}) == ()


def rendered(folder: Path, audit: KeptAudit | None) -> str:
    make_run(folder, SIX)
    if audit is not None:
        write_atomic(folder / "audit.json", to_json(audit))
    report.render(folder)
    return (folder / "report.md").read_text()


@pytest.mark.slow
def test_the_report_shows_the_leak_the_pairs_and_both_accuracies(tmp_path: Path) -> None:
    text = rendered(tmp_path / "run", kept(PAIR))
    leak = (
        "1 of 60 test images (1.7%) has a copy in train or validation, such as test/00001.png of "
        "train/a\\|b.png; --on-leak drop leaves out 1 training and 0 validation images."
    )
    assert text.count(leak) == 2  # among the warnings, and in its section
    assert "1 picture under two labels" in text
    assert "![](audit/001.jpg)" in text
    assert "near, 0.900, two labels" in text
    section = text[text.index("Without leaked images") :].split("\n\n")[0]
    assert section.count("60 |") == section.count("59 |") == 3
    assert "random init" not in section


@pytest.mark.slow
def test_the_terminal_warns_of_the_leak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rendered(tmp_path / "run", kept(PAIR))
    report.show(sections(report.read(tmp_path / "run")), Console(width=300))
    assert "! 1 of 60 test images (1.7%) has a copy" in capsys.readouterr().out


@pytest.mark.slow
def test_a_clean_audit_says_so_and_an_old_run_has_none(tmp_path: Path) -> None:
    text = rendered(tmp_path / "clean", kept())
    assert "No test image leaked into train or validation." in text
    assert "Without leaked images" not in text
    assert "## Data audit" not in rendered(tmp_path / "old", None)


@pytest.mark.slow
def test_groups_and_extensions_are_named(tmp_path: Path) -> None:
    images = (PAIR.first, PAIR.second, LocatedImage("test/00003.png", "test", 1))
    audit = audit_of(
        broken_groups=(BrokenGroup("rex", images),),
        wrong_extensions=(WrongExtension("train/x.jpg", "PNG"),),
    )
    text = rendered(tmp_path / "run", dataclasses.replace(kept(), audit=audit))
    assert (
        "- rex: 3 images, as train/a\\|b.png (train, cats), test/00001.png (test, dogs)\n" in text
    )
    assert "- train/x.jpg: a PNG file\n" in text


@pytest.mark.slow
def test_names_in_an_audit_stay_text(tmp_path: Path) -> None:
    hostile = WrongExtension("train/x.jpg", "<b>|@me")
    audit = audit_of(wrong_extensions=(hostile,))
    text = rendered(tmp_path / "run", dataclasses.replace(kept(), audit=audit))
    assert r"- train/x.jpg: a &lt;b&gt;\|@me file" in text


@pytest.mark.parametrize("path", ["../secret.jpg", "/etc/passwd", "https://example.org/1.jpg"])
def test_a_picture_from_elsewhere_is_refused(tmp_path: Path, path: str) -> None:
    folder = make_run(tmp_path / "run", SIX[:1])
    audit = dataclasses.replace(kept(PAIR), pictures=(path,))
    write_atomic(folder / "audit.json", to_json(audit))
    with pytest.raises(BenchError, match=r"is not audit/NUMBER\.jpg"):
        load_audit(folder)
