"""What an audit found as a section: of a run, of `audit`, and of `audit` in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest

from bench.analysis import format as fmt
from bench.data.audit.result import (
    NO_LEAK,
    Audit,
    BrokenGroup,
    KeptAudit,
    LocatedImage,
    other_findings,
    outcome_text,
)
from bench.reports.blocks import (
    Block,
    Column,
    Image,
    Notes,
    Section,
    Table,
    Value,
    listed,
    not_listed,
    notes,
    words,
)
from bench.types import SPLITS

MAX_PAIRS = 300
MAX_NAMED = 20
WHERE = "in `audit.json`"
KNOWN_SECONDS = 0.05  # no audit is that quick
COUNTS = (
    Column("Looked for"),
    Column("In two splits", fmt.whole),
    Column("In one split", fmt.whole),
)


def alone(kept: KeptAudit) -> Section:
    """Return the section of an audit without a run, whose report would name unusable images."""
    found = kept.audit
    title = f"{found.dataset}: {fmt.divided(found.images)}, {len(found.classes)} classes"
    unusable = [(image.id, image.reason) for image in found.excluded]
    section = of_audit(kept, title)
    return replace(section, blocks=[*section.blocks, *_listed("Unusable images", unusable)])


def in_terminal(kept: KeptAudit) -> Section:
    """Return the same with the pairs in lines, as a terminal has no room for a table of them."""
    pairs = [(how, f"{left} = {right}") for left, right, how in _pairs(kept.audit)]
    blocks = [*alone(kept).blocks, *_listed("The pairs", pairs)]
    told = [replace(b, where="with --json") if isinstance(b, Notes) else b for b in blocks]
    return replace(alone(kept), blocks=told)


def of_audit(kept: KeptAudit, title: str, tables: Iterable[Table] = ()) -> Section:
    """Return the section of an audit, with `tables` of its consequences."""
    outcome = outcome_text(kept) or NO_LEAK
    return Section("audit", title, f"{outcome[:1].upper()}{outcome[1:]}.", [*_blocks(kept, tables)])


def _blocks(kept: KeptAudit, tables: Iterable[Table]) -> Iterator[Block]:
    found = kept.audit
    if others := [*other_findings(found), *found.notes]:
        yield notes(others)
    yield from tables
    yield _counts(kept)
    if found.pairs:
        pictures = map(Image, kept.pictures[: len(found.pairs)])
        pairs = zip_longest(pictures, _pairs(found, MAX_PAIRS), fillvalue="")
        rows = tuple((picture, *pair) for picture, pair in pairs)
        yield Table("The pairs", words("Picture", "Left", "Right", "How"), rows, folded=True)
        yield from not_listed(len(found.pairs) - MAX_PAIRS, WHERE)
    several = [(group.name, _members(group, found)) for group in found.broken_groups]
    wrong = [(wrong.id, f"a {wrong.format} file") for wrong in found.wrong_extensions]
    yield from (*_listed("In several splits", several), *_listed("Wrong extensions", wrong))


def _listed(title: str, named: Sequence[tuple[str, str]]) -> Iterator[Notes]:
    if named:
        yield listed(named, MAX_NAMED, WHERE, title)


def _counts(kept: KeptAudit) -> Table:
    found = kept.audit
    near = f"Near copies (details agree to {found.threshold:.2f} or more)"
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (title, *(len(found.pairs_of(kind, across=across)) for across in (True, False)))
        for title, kind in (("The same file twice", "exact"), (near, "near"))
    )
    across = sum(pair.across for pair in found.conflicts)
    labels = ("One picture, two labels", across, len(found.conflicts) - across)
    known = ", because its findings were cached" if kept.seconds < KNOWN_SECONDS else ""
    about = (
        f"Of all pairs among {sum(found.images.values()):,} images, {found.compared:,} that "
        f"perceptual hashes (pHash and dHash, also mirrored) found similar were aligned and "
        f"compared in detail. The audit took {fmt.duration(kept.seconds)}{known}."
    )
    return Table("Copies found", COUNTS, (*rows, labels), about=about)


def _pairs(found: Audit, most: int | None = None) -> Iterator[tuple[str, str, str]]:
    """Yield the two images of each pair, and how they are alike."""
    for pair in found.pairs[:most]:
        how = "the same file" if pair.kind == "exact" else f"near, {pair.similarity:.3f}"
        how += ", mirrored" if pair.mirrored else ""
        how += ", two labels" if pair.conflicting else ""
        yield _named(pair.first, found), _named(pair.second, found), how


def _members(group: BrokenGroup, found: Audit) -> str:
    """Return an image of each split that the group is in."""
    first = {image.split: image for image in reversed(group.images)}
    shown = ", ".join(_named(first[split], found) for split in SPLITS if split in first)
    return f"{len(group.images):,} images, as {shown}"


def _named(image: LocatedImage, found: Audit) -> str:
    return f"{image.id} ({image.split}, {found.classes[image.label]})"
