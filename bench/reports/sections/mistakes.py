"""Mistakes: the images that every backbone gets wrong, and each backbone's most confident ones."""

from __future__ import annotations

from typing import Any

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.mistakes import MAX_PER_BACKBONE, MAX_SHARED, Mistake, Suspect, shared
from bench.reports.blocks import Block, Column, Drawing, Section, Table, Value, words
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
    images = _Images(findings)
    suspects = shared(findings.mistakes)[:MAX_SHARED]
    blocks: list[Block] = []
    if suspects:
        rows = tuple(images.row(number, one) for number, one in enumerate(suspects, 1))
        blocks.append(Table("Images that every backbone gets wrong", COLUMNS, rows, folded=True))
    blocks.append(Drawing("mistakes", images.galleries(suspects), pictures="suspects"))
    blocks.append(Drawing("", pictures="mistakes"))
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


class _Images:
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

    def galleries(self, suspects: tuple[Suspect, ...]) -> dict[str, Any]:
        """Return the images of the page's galleries."""
        return {
            "shared": [self._image(s, f"wrong by all {len(s.by_backbone)}") for s in suspects],
            "backbones": [
                {
                    "label": label,
                    "total": len(found),
                    "images": [self._image(m, _sure(m)) for m in found[:MAX_PER_BACKBONE]],
                }
                for label, found in self._findings.mistakes.items()
                if found
            ],
        }

    def _image(self, one: Mistake | Suspect, said: str) -> dict[str, Any]:
        return {
            "image": one.image,
            "file": self._file(one.image),
            "title": f"{self._classes[one.true]} → {self._classes[one.predicted]}",
            "words": said,
        }

    def _file(self, place: int) -> str:
        return self._ids[place] if place < len(self._ids) else str(place)


def _sure(mistake: Mistake) -> str:
    sure = f"{fmt.percent(mistake.confidence)} sure"
    if mistake.seeds == 1:
        return sure
    return f"{sure}, {mistake.wrong_seeds} of {mistake.seeds} seeds"
