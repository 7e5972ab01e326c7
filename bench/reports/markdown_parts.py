"""Parts of the sections of `report.md`: tables, and links to pictures."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from bench.analysis.escape import markdown as safe
from bench.analysis.escape import shorten
from bench.reports.blocks import Commands, Drawing, Notes, Section, Table
from bench.reports.figures import Picture

LONG = 400
MAX_TEXT = 4000
MAX_ROWS = 200

TITLES = {
    "tradeoff": "Accuracy against latency",
    "confusion": "Confusion matrix",
    "curves": "Curves",
    "learning": "Learning curves",
    "calibration": "Reliability diagrams",
    "mistakes": "Most confident mistakes",
    "robustness": "Accuracy on corrupted images",
    "suspects": "Images that every backbone gets wrong",
}


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """Return a pipe table; figures to the right, the columns `left` to the left."""
    aligned = ["left" if index in left else "right" for index in range(len(titles))]
    return tabulate(rows, titles, tablefmt="pipe", colalign=aligned, disable_numparse=True)


def shown(pictures: Sequence[Picture], kind: str, label: str) -> list[str]:
    """Return links to the pictures of one kind, of one backbone or (`""`) of all."""
    return [
        f"![{TITLES[kind]}{' of ' + safe(label) if label else ''}]({picture.path})"
        for picture in pictures
        if picture.kind == kind and picture.label == label
    ]


def section_text(section: Section, pictures: Sequence[Picture]) -> str:
    """Return a section of blocks; nothing if it has only drawings of the page."""
    parts: list[str] = []
    tables = sum(isinstance(block, Table) for block in section.blocks)
    for block in section.blocks:
        match block:
            case Table():
                parts += [f"**{safe(block.title)}**"] if tables > 1 else []
                parts += _table(block)
            case Notes():
                parts.append(_notes(block))
            case Commands():
                parts += _commands(block)
            case Drawing():
                parts += shown(pictures, block.pictures, "") if block.pictures else []
    if not parts and section.blocks:
        return ""
    about = [coded(section.about)] if section.about else []
    return "\n\n".join([f"## {section.title}", *about, *parts])


def _table(block: Table) -> list[str]:
    rows = [[safe(cell.text) for cell in row] for row in block.rows[:MAX_ROWS]]
    left = [index for index, column in enumerate(block.columns) if column.words]
    parts = [coded(block.about)] if block.about else []
    parts.append(table([safe(column.title) for column in block.columns], rows, left))
    more = len(block.rows) - MAX_ROWS
    return [*parts, f"and {more:,} more rows, in `report.html`"] if more > 0 else parts


def _notes(block: Notes) -> str:
    items = [(who, shorten(what, LONG)) for who, what in block.items]
    lines = [f"- {safe(who)}: {coded(what)}" if who else f"- {coded(what)}" for who, what in items]
    if block.more:
        lines.append(f"- and {block.more:,} more{f', {block.where}' if block.where else ''}")
    listed = "\n".join(lines)
    return f"**{block.title}**\n\n{listed}" if block.title else listed


def _commands(block: Commands) -> list[str]:
    parts = []
    for about, command in () if block.title else block.items:
        # Four spaces rather than a fence, which an argument could end.
        lines = "\n".join(f"    {line}" for line in command.splitlines())
        parts.append(f"{coded(about)}:\n\n{lines}" if about else lines)
    return parts


def coded(text: str) -> str:
    """Escape a text but for the names of files and options between backticks."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a name with a backtick of its own
        return safe(text, MAX_TEXT)
    return "".join(f"`{part}`" if i % 2 else _escaped(part) for i, part in enumerate(parts))


def _escaped(part: str) -> str:
    """Escape a part of a text, whose spaces at its ends separate it from the next."""
    inner = part.strip()
    if not inner:
        return part
    start, end = part[: len(part) - len(part.lstrip())], part[len(part.rstrip()) :]
    return f"{start}{safe(inner, MAX_TEXT)}{end}"
