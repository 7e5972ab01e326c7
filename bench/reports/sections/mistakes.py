"""Mistakes: the images that every backbone gets wrong, and each backbone's most confident ones."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.mistakes import MAX_PER_BACKBONE, MAX_SHARED, Mistake, Suspect, shared
from bench.reports.blocks import Block, Column, Gallery, Section, Shot, Shots, Table, Value, words
from bench.types import Split

PLACE = 16
COLUMNS = (
    Column("#", fmt.whole),
    *words("Image", "Label", "Taken for"),
    Column("Confidence", fmt.percent),
)


def section(findings: Findings) -> Section | None:
    """Return what all get wrong, most suspect first, then galleries of each backbone."""
    if not any(findings.mistakes.values()):
        return None
    images = Images(findings)
    suspects = shared(findings.mistakes)[:MAX_SHARED]
    blocks: list[Block] = []
    if suspects:
        rows = tuple(images.row(number, one) for number, one in enumerate(suspects, 1))
        blocks.append(Table("Images that every backbone gets wrong", COLUMNS, rows, folded=True))
        blocks.append(
            Gallery(
                "label_suspects",
                "Pictures of what every backbone misclassifies",
                (
                    Shots(
                        tuple(
                            images.shot(s, f"wrong by all {len(s.by_backbone)}") for s in suspects
                        ),
                        about="True → predicted; the most confident first.",
                    ),
                ),
            )
        )
    sheets = tuple(
        images.sheet(label, found) for label, found in findings.mistakes.items() if found
    )
    blocks.append(Gallery("mistakes", "The most confident mistakes of each backbone", sheets))
    return Section("mistakes", "Mistakes", _about(findings), blocks)


def _about(findings: Findings) -> str:
    together, images = len(findings.mistakes), len(findings.run.dataset.splits["test"])
    if together < 2:
        return "With one pretrained backbone there are no shared mistakes."
    found = len(shared(findings.mistakes))
    if not found:
        return "No image is misclassified by every pretrained backbone."
    listed = f" The first {MAX_SHARED} are listed." if found > MAX_SHARED else ""
    return (
        f"{found:,} of {images:,} test images are wrong with each of the {together} pretrained "
        f"backbones. The more confident all of them are, the more likely the label is wrong: look "
        f"at these first. Confidence is the mean over the backbones of the probability given to "
        f"their wrong answers.{listed}"
    )


class Images:
    """Test images by name, with the names of their classes."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._classes = findings.run.dataset.classes
        self._ids = findings.run.dataset.splits.get("test", Split((), ())).ids

    def row(self, number: int, suspect: Suspect) -> tuple[Value, ...]:
        return (
            number,
            self._file(suspect.image),
            self._classes[suspect.true],
            self._classes[suspect.predicted],
            suspect.confidence / len(suspect.by_backbone),
        )

    def sheet(self, label: str, found: Sequence[Mistake]) -> Shots:
        """Return the most confident mistakes of one backbone."""
        shown = found[:MAX_PER_BACKBONE]
        about = f"{len(found):,} images wrong in most seeds"
        if len(found) > len(shown):
            about += f"; the most confident {len(shown)}"
        return Shots(tuple(self.shot(one, sure(one)) for one in shown), label, f"{about}.")

    def shot(self, one: Mistake | Suspect, words: str) -> Shot:
        title = f"{self._classes[one.true]} → {self._classes[one.predicted]}"
        return Shot(one.image, title, words, self._file(one.image))

    def _file(self, place: int) -> str:
        return self._ids[place] if place < len(self._ids) else str(place)


def sure(mistake: Mistake) -> str:
    """Say how sure a backbone was of a wrong answer."""
    words = f"{fmt.percent(mistake.confidence)} sure"
    if mistake.seeds == 1:
        return words
    return f"{words}, {mistake.wrong_seeds} of {mistake.seeds} seeds"
