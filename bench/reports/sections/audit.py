"""Data audit: what was found before training, the pairs, and the effect of leaked images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest

from bench.analysis import format as fmt
from bench.analysis.findings import Findings
from bench.analysis.leaks import leaks
from bench.data.audit.result import (
    NO_LEAK,
    Audit,
    BrokenGroup,
    KeptAudit,
    Located,
    other_findings,
    outcome_text,
)
from bench.reports.blocks import (
    Block,
    Column,
    Estimate,
    Image,
    Notes,
    Section,
    Table,
    Value,
    notes,
    words,
)
from bench.types import SPLITS

PLACE = 25
MAX_PAIRS = 300
MAX_NAMED = 20
KNOWN_SECONDS = 0.05  # no audit is that quick
COUNTS = (
    Column("Looked for"),
    Column("In two splits", fmt.whole),
    Column("In one split", fmt.whole),
)
ACCURACIES = (
    Column("Backbone"),
    Column("All test images", fmt.percent),
    Column("Images", fmt.whole),
    Column("Without leaked images", fmt.percent),
    Column("Images without", fmt.whole),
)
ABOUT_ACCURACIES = (
    "From the stored answers, with 95% intervals. The weights are the same: they were trained on "
    "the copies. `--on-leak drop` trains without them."
)


def section(findings: Findings) -> Section | None:
    """Return what the run's audit found; nothing without one."""
    kept = findings.audit
    if kept is None:
        return None
    ids = findings.run.dataset.splits["test"].ids
    rows: list[tuple[Value, ...]] = []
    for leak in leaks(kept, ids, findings.guesses):
        row: list[Value] = [leak.label]
        for one in (leak.every, leak.clean):
            row += [Estimate(one.accuracy, one.low, one.high), one.images] if one else [None, 0]
        rows.append(tuple(row))
    title = "Accuracy without leaked images"
    tables = [Table(title, ACCURACIES, tuple(rows), about=ABOUT_ACCURACIES)] if rows else []
    return of_audit(kept, "Data audit", tables)


def of_audit(kept: KeptAudit, title: str, tables: Iterable[Table] = ()) -> Section:
    """Return the section of an audit, of a run or without one."""
    outcome = outcome_text(kept) or NO_LEAK
    return Section("audit", title, f"{outcome[:1].upper()}{outcome[1:]}.", [*_blocks(kept, tables)])


def _blocks(kept: KeptAudit, tables: Iterable[Table]) -> Iterator[Block]:
    found = kept.audit
    if others := [*other_findings(found), *found.notes]:
        yield notes(others)
    yield from tables
    yield _counts(kept)
    if found.pairs:
        yield Table(
            "The pairs", words("Picture", "Left", "Right", "How"), tuple(_pairs(kept)), folded=True
        )
        if (more := len(found.pairs) - MAX_PAIRS) > 0:
            yield Notes((), more=more, where="in `audit.json`")
    several = [(group.name, _members(group, found)) for group in found.broken_groups]
    wrong = [(wrong.id, f"a {wrong.format} file") for wrong in found.wrong_extensions]
    for title, named in (("In several splits", several), ("Wrong extensions", wrong)):
        if named:
            more = max(0, len(named) - MAX_NAMED)
            yield Notes(tuple(named[:MAX_NAMED]), title, more, "in `audit.json`")


def _counts(kept: KeptAudit) -> Table:
    found = kept.audit
    near = f"Near copies (details agree to {found.threshold:.2f} or more)"
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (title, *(len(found.pairs_of(kind, across=across)) for across in (True, False)))
        for title, kind in (("The same file twice", "exact"), (near, "near"))
    )
    known = ", because its findings were cached" if kept.seconds < KNOWN_SECONDS else ""
    about = (
        f"Of all pairs among {sum(found.images.values()):,} images, {found.compared:,} that "
        f"perceptual hashes (pHash and dHash, also mirrored) found similar were aligned and "
        f"compared in detail. The audit took {fmt.duration(kept.seconds)}{known}."
    )
    return Table("Copies found", COUNTS, rows, about=about)


def _pairs(kept: KeptAudit) -> Iterator[tuple[Value, ...]]:
    """Yield each pair, the first ones with a picture."""
    found = kept.audit
    for pair, path in zip_longest(found.pairs[:MAX_PAIRS], kept.pictures[: len(found.pairs)]):
        how = "the same file" if pair.kind == "exact" else f"near, {pair.similarity:.3f}"
        how += ", mirrored" if pair.mirrored else ""
        how += ", two labels" if pair.conflicting else ""
        picture = Image(path) if path else ""
        yield picture, _named(pair.first, found), _named(pair.second, found), how


def _members(group: BrokenGroup, found: Audit) -> str:
    """Return an image of each split that the group is in."""
    first = {image.split: image for image in reversed(group.images)}
    shown = ", ".join(_named(first[split], found) for split in SPLITS if split in first)
    return f"{len(group.images):,} images, as {shown}"


def _named(image: Located, found: Audit) -> str:
    return f"{image.id} ({image.split}, {found.classes[image.label]})"
