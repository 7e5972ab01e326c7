"""Which backbone to take when there are few images: accuracy at each size of the training set."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report import format as fmt
from bench.report.escape import markdown as safe
from bench.report.escape import shorten
from bench.report.figures import Picture
from bench.report.findings import Findings
from bench.report.learning import Best, Curves, Point
from bench.report.markdown_parts import shown, table

LONG = 400


def text(findings: Findings, pictures: Sequence[Picture]) -> str:
    """A row a backbone, a column a size; then the best at each."""
    found = findings.learning
    if found is None:
        return ""
    parts = ["## Learning curves"]
    if found.points:
        parts += [_table(found), _about(findings)]
        parts += ["\n".join(f"- {_sentence(best)}" for best in found.best)] if found.best else []
        parts += shown(pictures, "learning", "")
    else:
        parts.append("No pretrained backbone finished, so there is no curve that means anything.")
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


def _table(found: Curves) -> str:
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
    seeds = "means over seeds, with " if findings.several_seeds else ""
    return (
        f"Test accuracy by the number of training images; {seeds}95% intervals over test images "
        f"and seeds. Each smaller set holds its share of every class, is part of the larger ones, "
        f"and is drawn anew by each seed. Validation and test images are all there, and the "
        f"epochs are as many, so fewer images also mean fewer steps."
    )


def _sentence(best: Best) -> str:
    line = f"With {best.images:,} images: {safe(best.label)}, {fmt.percent(best.accuracy)}"
    if not best.tied:
        return f"{line}, ahead of all others."
    return f"{line}; not told apart from it: {', '.join(map(safe, best.tied))}."


def _failure(backbone: str, seed: int, fraction: float, reason: str) -> str:
    share = f"{100 * fraction:g}% of the images"
    return (
        f"- {safe(backbone)}, seed {seed}, on {share} failed: {safe(shorten(reason, LONG), LONG)}"
    )
