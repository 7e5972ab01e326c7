"""The findings of an audit as a section: for a run, and for `audit` in a report or a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
    limited_notes,
    limited_table,
    note_list,
    text_columns,
)
from bench.types import SPLITS

MAX_PAIRS = 300
MAX_NAMED = 20
WHERE = "in `audit.json`"
CACHED_SECONDS = 0.05  # an audit that was faster used cached findings
COUNTS = (
    Column("Kind"),
    Column("In two splits", fmt.whole),
    Column("In one split", fmt.whole),
)


def standalone_section(kept: KeptAudit) -> Section:
    """Return the section of an audit without a run; it lists the unusable images, too."""
    found = kept.audit
    title = f"{found.dataset}: {fmt.split_counts(found.images)}, {len(found.classes)} classes"
    unusable = [(image.id, image.reason) for image in found.excluded]
    section = audit_section(kept, title)
    excluded = limited_notes(unusable, MAX_NAMED, WHERE, "Unusable images")
    return replace(section, blocks=[*section.blocks, excluded])


def terminal_section(kept: KeptAudit) -> Section:
    """Return `standalone_section` with the pairs as a list, because a table would be too wide."""
    pairs = [(how, f"{left} = {right}") for left, right, how in _pairs(kept.audit)]
    section = standalone_section(kept)
    blocks = [*section.blocks, limited_notes(pairs, MAX_NAMED, WHERE, "Pairs")]
    return replace(
        section,
        blocks=[replace(b, where="with --json") if isinstance(b, Notes) else b for b in blocks],
    )


def audit_section(kept: KeptAudit, title: str, tables: Iterable[Table] = ()) -> Section:
    """Return the section of an audit, with `tables` of the effect on accuracies."""
    outcome = outcome_text(kept) or NO_LEAK
    return Section("audit", title, f"{outcome[:1].upper()}{outcome[1:]}.", [*_blocks(kept, tables)])


def _blocks(kept: KeptAudit, tables: Iterable[Table]) -> Iterator[Block]:
    found = kept.audit
    yield note_list([*other_findings(found), *found.notes])
    yield from tables
    yield _counts(kept)
    if found.pairs:
        pictures = map(Image, kept.pictures[: len(found.pairs)])
        pairs = zip_longest(pictures, _pairs(found), fillvalue="")
        rows = tuple((picture, *pair) for picture, pair in pairs)
        columns = text_columns("Picture", "Left", "Right", "Similarity")
        yield from limited_table(Table("Pairs", columns, rows, folded=True), MAX_PAIRS, WHERE)
    several = [(group.name, _members(group, found)) for group in found.broken_groups]
    wrong = [(wrong.id, f"a {wrong.format} file") for wrong in found.wrong_extensions]
    yield limited_notes(several, MAX_NAMED, WHERE, "In several splits")
    yield limited_notes(wrong, MAX_NAMED, WHERE, "Wrong extensions")


def _counts(kept: KeptAudit) -> Table:
    found = kept.audit
    near = f"Near copies (similarity {found.threshold:.2f} or more)"
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (title, *(len(found.pairs_of(kind, across=across)) for across in (True, False)))
        for title, kind in (("The same file twice", "exact"), (near, "near"))
    )
    across = sum(pair.across for pair in found.conflicts)
    labels = ("One picture, two labels", across, len(found.conflicts) - across)
    cached = ", because its findings were cached" if kept.seconds < CACHED_SECONDS else ""
    about = (
        f"Among {sum(found.images.values()):,} images, perceptual hashes (pHash and dHash, also "
        f"mirrored) found {fmt.quantity(found.compared, 'similar pair')}, which were aligned and "
        f"compared in detail. The audit took {fmt.duration(kept.seconds)}{cached}."
    )
    return Table("Copies found", COUNTS, (*rows, labels), about=about)


def _pairs(found: Audit) -> Iterator[tuple[str, str, str]]:
    """Yield the two images of each pair, and how similar they are."""
    for pair in found.pairs:
        how = "the same file" if pair.kind == "exact" else f"near, {pair.similarity:.3f}"
        how += ", mirrored" if pair.mirrored else ""
        how += ", two labels" if pair.conflicting else ""
        yield _named(pair.first, found), _named(pair.second, found), how


def _members(group: BrokenGroup, found: Audit) -> str:
    """Return the size of a group, with an example from each split that it is in."""
    first = {image.split: image for image in reversed(group.images)}
    shown = ", ".join(_named(first[split], found) for split in SPLITS if split in first)
    return f"{len(group.images):,} images, as {shown}"


def _named(image: LocatedImage, found: Audit) -> str:
    return f"{image.id} ({image.split}, {found.classes[image.label]})"
