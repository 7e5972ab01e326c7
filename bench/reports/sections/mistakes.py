"""Mistakes: the images that every backbone gets wrong, and each backbone's most confident ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.mistakes import MAX_PER_BACKBONE, MAX_SHARED, Mistake, Suspect, shared
from bench.reports.blocks import Block, Column, Section, Table, Value, words
from bench.reports.galleries import Gallery, Near, Shot, Shots
from bench.types import Split

PLACE = 16
COLUMNS = (
    Column("#", fmt.whole),
    *words("Image", "Label", "Taken for"),
    Column("Confidence", fmt.percent),
)
DOWN, ACROSS = ("top", "middle", "bottom"), ("left", "centre", "right")


def section(findings: Findings) -> Section | None:
    """Return what all get wrong, most suspect first, then galleries of each backbone."""
    if not any(findings.mistakes.values()):
        return None
    images = ShownImages(findings)
    suspects = shared(findings.mistakes)[:MAX_SHARED]
    blocks: list[Block] = []
    if suspects:
        rows = tuple(images.row(number, one) for number, one in enumerate(suspects, 1))
        blocks.append(Table("Images that every backbone gets wrong", COLUMNS, rows, folded=True))
        shots = tuple(
            images.shot(s, f"wrong by all {len(s.by_backbone)}", *s.by_backbone) for s in suspects
        )
        sheet = Shots(shots, about="True → predicted; the most confident first.")
        title = "Pictures of what every backbone misclassifies"
        blocks.append(Gallery("label_suspects", title, (sheet,), listed=True))
    sheets = tuple(
        images.sheet(label, found) for label, found in findings.mistakes.items() if found
    )
    blocks.append(Gallery("mistakes", "The most confident mistakes of each backbone", sheets))
    about = " ".join(filter(None, (_shared(findings), _explained(findings))))
    return Section("mistakes", "Mistakes", about, blocks)


def _explained(findings: Findings) -> str:
    """Say what heatmaps and neighbours are, and what they cost."""
    costs = [(one.record.seconds, len(one.images)) for one in findings.explanations.values()]
    if not (images := sum(count for _, count in costs)):
        return ""
    heatmaps, neighbours = (
        sum(seconds.get(part, 0.0) for seconds, _ in costs) for part in ("heatmaps", "neighbours")
    )
    return (
        f"Heatmaps show what of an image speaks for the wrong answer: gradient times activation of "
        f"the last feature map; {fmt.milliseconds(1000 * heatmaps / images)} an image. Under an "
        f"image are the training images whose features are nearest to its own, with their label "
        f"and the cosine: one that is nearly the same under another label is a label to check. "
        f"Loading a model and searching them took {fmt.duration(neighbours / len(costs))} a "
        f"backbone."
    )


def _shared(findings: Findings) -> str:
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


class ShownImages:
    """Test images by name, with the names of their classes."""

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

    def sheet(self, label: str, found: Sequence[Mistake]) -> Shots:
        """Return the most confident mistakes of one backbone."""
        shown = found[:MAX_PER_BACKBONE]
        about = f"{len(found):,} images wrong in most seeds"
        if len(found) > len(shown):
            about += f"; the most confident {len(shown)}"
        return Shots(tuple(self.shot(one, sure(one), label) for one in shown), label, f"{about}.")

    def shot(self, one: Mistake | Suspect, words: str, *labels: str) -> Shot:
        """Return an image with what the first of these backbones that explains it has to say."""
        title = f"{self._classes[one.true]} → {self._classes[one.predicted]}"
        shot = Shot(one.image, title, words, self._file(one.image))
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
    """Say where a heatmap is strongest."""
    if not heatmap.any():
        return "nowhere"
    rows, columns = heatmap.shape
    row, column = divmod(int(heatmap.argmax()), columns)
    down, across = (2 * row + 1) * 3 // (2 * rows), (2 * column + 1) * 3 // (2 * columns)
    return "centre" if down == across == 1 else f"{DOWN[down]} {ACROSS[across]}"


def sure(mistake: Mistake) -> str:
    """Say how sure a backbone was of a wrong answer."""
    words = f"{fmt.percent(mistake.confidence)} sure"
    if mistake.seeds == 1:
        return words
    return f"{words}, {mistake.wrong_seeds} of {mistake.seeds} seeds"
