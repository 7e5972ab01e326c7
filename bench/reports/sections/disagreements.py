"""Disagreements: test images that only one of two backbones classifies correctly."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.mistakes import MAX_COMPARED, MAX_ONE_CORRECT, Mistake, disagreements
from bench.reports.blocks import Block, Column, Section, Table, text_columns
from bench.reports.galleries import ContactSheet, Gallery
from bench.reports.sections.mistakes import ShownImages, confidence_text

PLACE = 17
COLUMNS = (
    *text_columns("First", "Second"),
    Column("Only the first correct", fmt.whole, unit="images"),
    Column("Only the second correct", fmt.whole, unit="images"),
    Column("Both wrong", fmt.whole, unit="images"),
    Column("Both correct", fmt.whole, unit="images"),
)
ABOUT = (
    "Test images by which of two backbones classifies them correctly in most of its seeds. "
    "Backbones of the same accuracy may be correct on different images."
)


def section(findings: Findings) -> Section | None:
    """Return a row for each pair of the first backbones, and the images on which they disagree."""
    pairs = disagreements(findings.mistakes)
    if not pairs:
        return None
    total = len(findings.run.dataset.splits["test"])
    rows = []
    for pair in pairs:
        counts = len(pair.only_first), len(pair.only_second), pair.both_wrong
        rows.append((pair.first, pair.second, *counts, total - sum(counts)))
    images = ShownImages(findings)
    sheets = [
        sheet
        for pair in pairs
        for right, wrong, found in (
            (pair.first, pair.second, pair.only_first),
            (pair.second, pair.first, pair.only_second),
        )
        for sheet in _sheets(images, right, wrong, found)
    ]
    blocks: list[Block] = [Table("Where two backbones disagree", COLUMNS, tuple(rows))]
    if sheets:
        title = "Images that only one of the two gets right"
        blocks.append(Gallery("disagreements", title, tuple(sheets)))
    few = len(findings.mistakes) <= MAX_COMPARED
    about = ABOUT if few else f"{ABOUT} Only the first {MAX_COMPARED} of the ranked table."
    return Section("disagreements", "Disagreements", about, blocks)


def _sheets(
    images: ShownImages, right: str, wrong: str, found: Sequence[Mistake]
) -> list[ContactSheet]:
    if not found:
        return []
    shown = found[:MAX_ONE_CORRECT]
    about = f"{len(found):,} images that {right} gets right and {wrong} wrong"
    about += f"; the most confident {len(shown)}." if len(shown) < len(found) else "."
    label = f"{right} right, {wrong} wrong"
    shots = (images.shot(one, confidence_text(one), wrong) for one in shown)
    return [ContactSheet(tuple(shots), label, about)]
