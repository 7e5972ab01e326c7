"""Mistakes: the images that every backbone gets wrong, and each backbone's most confident ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.mistakes import MAX_PER_BACKBONE, MAX_SHARED, Mistake, Suspect, shared_mistakes
from bench.reports.blocks import Block, Column, Section, Table, Value, text_columns
from bench.reports.galleries import ContactSheet, Gallery, Near, Shot
from bench.types import Split

PLACE = 16
COLUMNS = (
    Column("#", fmt.whole),
    *text_columns("Image", "Label", "Predicted"),
    Column("Confidence", fmt.percent),
)
DOWN, ACROSS = ("top", "middle", "bottom"), ("left", "centre", "right")


def section(findings: Findings) -> Section | None:
    """Return the images that all backbones misclassify, then a gallery for each backbone."""
    if not any(findings.mistakes.values()):
        return None
    images = ShownImages(findings)
    suspects = shared_mistakes(findings.mistakes)[:MAX_SHARED]
    blocks: list[Block] = []
    if suspects:
        rows = tuple(images.row(number, one) for number, one in enumerate(suspects, 1))
        blocks.append(Table("Images that every backbone gets wrong", COLUMNS, rows, folded=True))
        shots = tuple(
            images.shot(s, f"wrong with all {len(s.by_backbone)}", *s.by_backbone) for s in suspects
        )
        sheet = ContactSheet(shots, about="True → predicted; the most confident first.")
        title = "Pictures of what every backbone misclassifies"
        blocks.append(Gallery("label_suspects", title, (sheet,), listed=True))
    sheets = tuple(
        images.sheet(label, found) for label, found in findings.mistakes.items() if found
    )
    blocks.append(Gallery("mistakes", "The most confident mistakes of each backbone", sheets))
    about = " ".join(filter(None, (_shared(findings), _explained(findings))))
    return Section("mistakes", "Mistakes", about, blocks)


def _explained(findings: Findings) -> str:
    """Return sentences about heatmaps and nearest neighbours, with the time that they took."""
    costs = [(one.record.seconds, len(one.images)) for one in findings.explanations.values()]
    if not (images := sum(count for _, count in costs)):
        return ""
    heatmaps, neighbours = (
        sum(seconds.get(part, 0.0) for seconds, _ in costs) for part in ("heatmaps", "neighbours")
    )
    return (
        f"Heatmaps show the parts of an image that support the wrong prediction: gradient times "
        f"activation of the last feature map ({fmt.milliseconds(1000 * heatmaps / images)} for "
        f"each image). Below an image are the training images with the nearest features, with "
        f"their label and the cosine similarity: if one is nearly the same but has another label, "
        f"check both labels. Loading a model and searching took "
        f"{fmt.duration(neighbours / len(costs))} for each backbone."
    )


def _shared(findings: Findings) -> str:
    together, images = len(findings.mistakes), len(findings.run.dataset.splits["test"])
    if together < 2:
        return "With one pretrained backbone there are no shared mistakes."
    found = len(shared_mistakes(findings.mistakes))
    if not found:
        return "No image is misclassified by every pretrained backbone."
    listed = f" The first {MAX_SHARED} are listed." if found > MAX_SHARED else ""
    return (
        f"{found:,} of {images:,} test images are misclassified by each of the {together} "
        f"pretrained backbones. The more confident these are, the more likely the label is wrong: "
        f"the most suspect images come first. Confidence is the mean over the backbones of the "
        f"probability of their wrong predictions.{listed}"
    )


class ShownImages:
    """Test images with the names of their files and classes."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._classes = findings.run.dataset.classes
        self._ids = findings.run.dataset.splits.get("test", Split((), ())).ids
        self._trained = findings.run.dataset.splits.get("train", Split((), ())).labels

    def row(self, number: int, suspect: Suspect) -> tuple[Value, ...]:
        return (
            number,
            self._file(suspect.image),
            self._classes[suspect.true],
            self._classes[suspect.predicted],
            suspect.confidence / len(suspect.by_backbone),
        )

    def sheet(self, label: str, found: Sequence[Mistake]) -> ContactSheet:
        """Return the most confident mistakes of one backbone."""
        shown = found[:MAX_PER_BACKBONE]
        about = f"{len(found):,} images wrong in most seeds"
        if len(found) > len(shown):
            about += f"; the most confident {len(shown)}"
        return ContactSheet(
            tuple(self.shot(one, confidence_text(one), label) for one in shown), label, f"{about}."
        )

    def shot(self, one: Mistake | Suspect, caption: str, *labels: str) -> Shot:
        """Return an image with the heatmap and neighbours of the first of these backbones that has
        them."""
        title = f"{self._classes[one.true]} → {self._classes[one.predicted]}"
        shot = Shot(one.image, title, caption, self._file(one.image))
        found = [self._findings.explanations[n] for n in labels if n in self._findings.explanations]
        found = [explained for explained in found if one.image in explained.images]
        if not found:
            return shot
        heatmap = found[0].heatmap(one.image, one.predicted)
        near = tuple(
            Near(near.image, f"{self._classes[self._trained[near.image]]} {near.similarity:.2f}")
            for near in found[0].images[one.image].nearest
            if near.image < len(self._trained)
        )
        if heatmap is None or isinstance(one, Suspect):
            return replace(shot, near=near)
        rows = tuple(tuple(round(float(share), 2) for share in row) for row in heatmap)
        return replace(shot, heatmap=rows, strongest=_strongest(heatmap), near=near)

    def _file(self, place: int) -> str:
        return self._ids[place] if place < len(self._ids) else str(place)


def _strongest(heatmap: NDArray[np.float64]) -> str:
    """Return where a heatmap has its largest value, in words."""
    if not heatmap.any():
        return "nowhere"
    rows, columns = heatmap.shape
    row, column = divmod(int(heatmap.argmax()), columns)
    down, across = (2 * row + 1) * 3 // (2 * rows), (2 * column + 1) * 3 // (2 * columns)
    return "centre" if down == across == 1 else f"{DOWN[down]} {ACROSS[across]}"


def confidence_text(mistake: Mistake) -> str:
    """Return the confidence of a wrong prediction and how many seeds made it, in words."""
    text = f"{fmt.percent(mistake.confidence)} confident"
    if mistake.seeds == 1:
        return text
    return f"{text}, {mistake.wrong_seeds} of {mistake.seeds} seeds"
