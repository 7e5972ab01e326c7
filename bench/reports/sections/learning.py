"""Learning curves: accuracy at each size of the training set, and the best backbone at each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.analysis import format as fmt
from bench.analysis.escape import markdown as safe
from bench.analysis.escape import shorten
from bench.analysis.findings import Findings
from bench.analysis.learning import BestAtSize, LearningCurves, Point
from bench.reports.figures import Picture
from bench.reports.markdown_parts import shown, table

LONG = 400


def text(findings: Findings, pictures: Sequence[Picture]) -> str:
    """Return a row a backbone, a column a size; then the best at each."""
    found = findings.learning
    if found is None:
        return ""
    parts = ["## Learning curves"]
    if found.points:
        parts += [_table(found), _about(findings)]
        parts += (
            ["\n".join(f"- {sentence(best, findings.margin, safe)}" for best in found.best)]
            if found.best
            else []
        )
        parts += shown(pictures, "learning", "")
    else:
        parts.append("No pretrained backbone finished, so there is no meaningful curve.")
    failed = [r for r in findings.run.smaller if r.status == "failed"]
    parts += (
        [
            "\n".join(
                _failure(r.trial.backbone, r.trial.seed, r.trial.fraction, r.reason) for r in failed
            )
        ]
        if failed
        else []
    )
    return "\n\n".join(parts)


def _table(found: LearningCurves) -> str:
    titles = ["Backbone", *(f"{images:,} images" for images in found.sizes)]
    rows = []
    for label, points in found.points.items():
        at = {point.images: point for point in points}
        cells = (_cell(at[images]) if images in at else fmt.MISSING for images in found.sizes)
        rows.append([safe(label), *cells])
    return table(titles, rows)


def _cell(point: Point) -> str:
    return f"{fmt.percent(point.accuracy)} ({fmt.interval(point.low, point.high)})"


def _about(findings: Findings) -> str:
    over = "means over seeds, with" if findings.several_seeds else "with"
    what = "test images and seeds" if findings.several_seeds else "test images"
    return (
        f"Test accuracy by the number of training images, {over} 95% intervals over {what}. "
        f"Each smaller set has its share of every class, is a subset of the larger ones, and is "
        f"drawn again for each seed. All validation and test images are used. The number of epochs "
        f"is the same, so fewer images also mean fewer steps."
    )


def sentence(best: BestAtSize, margin: float, name: Callable[[str], str]) -> str:
    """Return the comparison at one size; `name` escapes a label for the format."""
    line = f"With {best.images:,} images: {name(best.label)} is best, {fmt.percent(best.accuracy)}"
    if best.within:
        line += f"; within {fmt.points(margin)}: {', '.join(map(name, best.within))}"
    if best.undecided:
        line += f"; undecided: {', '.join(map(name, best.undecided))}"
    if not best.within and not best.undecided:
        line += "; all others are worse"
    return f"{line}."


def _failure(backbone: str, seed: int, fraction: float, reason: str) -> str:
    share = f"{100 * fraction:g}% of the images"
    return (
        f"- {safe(backbone)}, seed {seed}, on {share} failed: {safe(shorten(reason, LONG), LONG)}"
    )
