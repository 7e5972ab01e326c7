"""Contact sheets: each backbone's most confident mistakes, and the images that all get wrong."""

from __future__ import annotations

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.mistakes import MAX_PER_BACKBONE, MAX_SHARED, Mistake, shared
from bench.reports.html.values import Json, text
from bench.types import Split


def data(findings: Findings) -> Json | None:
    if not any(findings.mistakes.values()):
        return None
    classes = findings.run.dataset.classes
    split = findings.run.dataset.splits.get("test", Split((), ()))

    def image(place: int, true: int, predicted: int, words: str) -> Json:
        return {
            "image": place,
            "file": text(split.ids[place]) if place < len(split) else str(place),
            "title": f"{text(classes[true], 60)} → {text(classes[predicted], 60)}",
            "words": words,
        }

    suspects = shared(findings.mistakes)
    return {
        "shared": [
            image(s.image, s.true, s.predicted, f"wrong by all {len(s.by_backbone)}")
            for s in suspects[:MAX_SHARED]
        ],
        "shared_total": len(suspects),
        "together": len(findings.mistakes),
        "backbones": [
            {
                "label": text(label),
                "total": len(found),
                "images": [
                    image(m.image, m.true, m.predicted, _words(m)) for m in found[:MAX_PER_BACKBONE]
                ],
            }
            for label, found in findings.mistakes.items()
            if found
        ],
    }


def _words(mistake: Mistake) -> str:
    sure = f"{fmt.percent(mistake.confidence)} sure"
    if mistake.seeds == 1:
        return sure
    return f"{sure}, {mistake.wrong_seeds} of {mistake.seeds} seeds"
