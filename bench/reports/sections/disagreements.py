"""Where two backbones disagree: the test images that one of them gets right and the other wrong."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.mistakes import MAX_COMPARED, MAX_ONE_RIGHT, Mistake, disagreements
from bench.reports.blocks import Block, Column, Section, Table, words
from bench.reports.galleries import Gallery, Shots
from bench.reports.sections.mistakes import ShownImages, sure

PLACE = 17
COLUMNS = (
    *words("First", "Second"),
    Column("Only the first right", fmt.whole, unit="images"),
    Column("Only the second right", fmt.whole, unit="images"),
    Column("Both wrong", fmt.whole, unit="images"),
    Column("Both right", fmt.whole, unit="images"),
)
ABOUT = (
    "Test images by which of two backbones gets them right, in most of its seeds. Backbones of the "
    "same accuracy may be right on different images."
)


def section(findings: Findings) -> Section | None:
    """Return a row for each pair of the first backbones, and the images that divide them."""
    pairs = disagreements(findings.mistakes)
    if not pairs:
        return None
    images = len(findings.run.dataset.splits["test"])
    rows = []
    for pair in pairs:
        counts = len(pair.only_first), len(pair.only_second), pair.both_wrong
        rows.append((pair.first, pair.second, *counts, images - sum(counts)))
    shots = ShownImages(findings)
    sheets = [
        sheet
        for pair in pairs
        for right, wrong, found in (
            (pair.first, pair.second, pair.only_first),
            (pair.second, pair.first, pair.only_second),
        )
        for sheet in _sheet(shots, right, wrong, found)
    ]
    blocks: list[Block] = [Table("Where two backbones disagree", COLUMNS, tuple(rows))]
    if sheets:
        title = "Pictures of what one gets right and the other wrong"
        blocks.append(Gallery("disagreements", title, tuple(sheets)))
    few = len(findings.mistakes) <= MAX_COMPARED
    about = ABOUT if few else f"{ABOUT} Of the first {MAX_COMPARED} of the table."
    return Section("disagreements", "Disagreements", about, blocks)


def _sheet(images: ShownImages, right: str, wrong: str, found: Sequence[Mistake]) -> list[Shots]:
    if not found:
        return []
    shown = found[:MAX_ONE_RIGHT]
    about = f"{len(found):,} images that {right} gets right and {wrong} takes for something else"
    about += f"; the most confident {len(shown)}." if len(shown) < len(found) else "."
    label = f"{right} right, {wrong} wrong"
    return [Shots(tuple(images.shot(one, sure(one), wrong) for one in shown), label, about)]
