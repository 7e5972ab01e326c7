"""Data audit: what was found before training, with the pairs, and the effect of leaks."""

from __future__ import annotations

from base64 import b64encode

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.leaks import Estimate, leaks
from bench.data.audit.result import (
    NO_LEAK,
    ImagePair,
    KeptAudit,
    Located,
    other_findings,
    outcome_text,
)
from bench.reports.html.values import Json, cell, table, text

MAX_LISTED = 300
MAX_BYTES = 4_000_000  # of pictures inside the page


def data(findings: Findings) -> Json | None:
    kept = findings.audit
    if kept is None:
        return None
    found = kept.audit
    return {
        "outcome": _sentence(text(outcome_text(kept) or NO_LEAK)),
        "others": [text(other) for other in (*other_findings(found), *found.notes)],
        "counts": table(
            ["Looked for", "In two splits", "In one split"],
            [
                [title, *(_count(found.pairs_of(kind, across=a)) for a in (True, False))]
                for title, kind in (("The same file twice", "exact"), ("Near copies", "near"))
            ],
            left=(0,),
        ),
        "pairs": [_pair(pair, found.classes) for pair in found.pairs[:MAX_LISTED]],
        "more": max(0, len(found.pairs) - MAX_LISTED),
        "accuracies": _accuracies(findings),
    }


def pictures(findings: Findings) -> Json:
    """Return pairs with a picture, by place, as far as there is room."""
    found, room = {}, MAX_BYTES
    for place, path in enumerate(findings.audit.pictures if findings.audit else ()):
        file = findings.run.folder / path
        if file.is_file() and file.stat().st_size <= room:
            jpeg = file.read_bytes()
            room -= len(jpeg)
            found[str(place)] = f"data:image/jpeg;base64,{b64encode(jpeg).decode()}"
    return found


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _count(pairs: tuple[ImagePair, ...]) -> Json:
    return cell(f"{len(pairs):,}", len(pairs))


def _pair(pair: ImagePair, classes: tuple[str, ...]) -> Json:
    how = "the same file" if pair.kind == "exact" else f"near, {pair.similarity:.3f}"
    return {
        "how": how + (", mirrored" if pair.mirrored else ""),
        "labels": pair.conflicting,
        "splits": pair.across,
        "images": [_image(image, classes) for image in (pair.first, pair.second)],
    }


def _image(image: Located, classes: tuple[str, ...]) -> list[str]:
    return [text(image.id), f"{image.split}, {text(classes[image.label], 60)}"]


def _accuracies(findings: Findings) -> Json | None:
    kept: KeptAudit | None = findings.audit
    ids = findings.run.dataset.splits["test"].ids
    rows = [
        [text(leak.label), _estimate(leak.every), _estimate(leak.clean)]
        for leak in leaks(kept, ids, findings.guesses)
    ]
    titles = ["Backbone", "All test images", "Without leaked images"]
    return table(titles, rows, left=(0,)) if rows else None


def _estimate(estimate: Estimate | None) -> Json:
    if estimate is None:
        return cell(fmt.MISSING)
    interval = fmt.interval(estimate.low, estimate.high)
    shown = f"{fmt.percent(estimate.accuracy)} ({interval}, {estimate.images:,} images)"
    return cell(shown, estimate.accuracy)
