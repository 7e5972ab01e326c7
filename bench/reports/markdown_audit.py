"""Data audit: the findings, the pairs, and the effect of leaked images on each accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.analysis import format as fmt
from bench.analysis.escape import markdown as safe
from bench.analysis.findings import Findings
from bench.analysis.leaks import Estimate, leaks
from bench.data.audit.result import (
    NO_LEAK,
    BrokenGroup,
    KeptAudit,
    Located,
    other_findings,
    outcome_text,
)
from bench.reports.figures import Picture
from bench.reports.markdown_parts import table
from bench.types import SPLITS

LONG = 400
MAX_NAMED = 20
KNOWN_SECONDS = 0.05  # no audit is that quick


def text(findings: Findings, pictures: Sequence[Picture]) -> str:
    """Return the section; nothing without an audit; `pictures` are of other sections."""
    if findings.audit is None:
        return ""
    kept = findings.audit
    return "\n\n".join(["## Data audit", *_said(kept), *_accuracies(findings), *_shown(kept)])


def alone(kept: KeptAudit) -> str:
    """Return the report of an audit without a run."""
    return "\n\n".join([f"# {safe(kept.audit.dataset)}", *_said(kept), *_shown(kept)]) + "\n"


def _said(kept: KeptAudit) -> Iterator[str]:
    found = kept.audit
    yield safe(outcome_text(kept) or NO_LEAK, LONG) + "."
    others = [*other_findings(found), *found.notes]
    if others:
        yield "\n".join(f"- {safe(other, LONG)}" for other in others)


def _shown(kept: KeptAudit) -> Iterator[str]:
    found = kept.audit
    rows = [
        [title, *(f"{len(found.pairs_of(kind, across=across)):,}" for across in (True, False))]
        for title, kind in (
            ("The same file twice", "exact"),
            (f"Near copies (details agree to {found.threshold:.2f} or more)", "near"),
        )
    ]
    total = sum(found.images.values())
    known = ", because its findings were cached" if kept.seconds < KNOWN_SECONDS else ""
    yield table(["Looked for", "In two splits", "In one split"], rows)
    yield (
        f"Of all pairs among {total:,} images, {found.compared:,} that perceptual hashes (pHash "
        f"and dHash, also mirrored) found similar were aligned and compared in detail. "
        f"The audit took {fmt.duration(kept.seconds)}{known}."
    )
    if kept.pictures:
        yield _pairs(kept)
    yield from _named_ones(
        "In several splits",
        [(group.name, _members(group, found.classes)) for group in found.broken_groups],
    )
    yield from _named_ones(
        "Wrong extensions",
        [(wrong.id, f"a {safe(wrong.format)} file") for wrong in found.wrong_extensions],
    )


def _named_ones(title: str, found: Sequence[tuple[str, str]]) -> Iterator[str]:
    if found:
        lines = [f"- {safe(who)}: {what}" for who, what in found[:MAX_NAMED]]
        more = len(found) - MAX_NAMED
        lines += [f"- and {more:,} more, in `audit.json`"] if more > 0 else []
        yield f"**{title}**\n\n" + "\n".join(lines)


def _members(group: BrokenGroup, classes: Sequence[str]) -> str:
    """Return an image of each split that the group is in."""
    first = {image.split: image for image in reversed(group.images)}
    shown = ", ".join(_named(first[split], classes) for split in SPLITS if split in first)
    return f"{len(group.images):,} images, as {shown}"


def _pairs(kept: KeptAudit) -> str:
    shown = list(zip(kept.audit.pairs, kept.pictures, strict=False))
    classes = kept.audit.classes
    rows = []
    for pair, path in shown:
        how = "the same file" if pair.kind == "exact" else f"near, {pair.similarity:.3f}"
        how += ", mirrored" if pair.mirrored else ""
        how += ", **two labels**" if pair.conflicting else ""
        rows.append(
            [f"![]({path})", _named(pair.first, classes), _named(pair.second, classes), how]
        )
    parts = [table(["", "Left", "Right", "How"], rows, left=(0, 1, 2, 3))]
    more = len(kept.audit.pairs) - len(shown)
    if more:
        parts.append(f"And {more:,} more pairs, in `audit.json`.")
    return "\n\n".join(parts)


def _named(image: Located, classes: Sequence[str]) -> str:
    return f"{safe(image.id)} ({safe(image.split)}, {safe(classes[image.label], 60)})"


def _accuracies(findings: Findings) -> Iterator[str]:
    ids = findings.run.dataset.splits["test"].ids
    rows = [
        [safe(leak.label), _cell(leak.every), _cell(leak.clean)]
        for leak in leaks(findings.audit, ids, findings.guesses)
    ]
    if rows:
        yield table(["Backbone", "All test images", "Without leaked images"], rows)
        yield (
            "From the stored answers, with 95% intervals. The weights are the same: they were "
            "trained on the copies. `--on-leak drop` trains without them."
        )


def _cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return fmt.MISSING
    interval = fmt.interval(estimate.low, estimate.high)
    return f"{fmt.percent(estimate.accuracy)} ({interval}, {estimate.images:,} images)"
