"""An audit printed to the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.analysis.format import counted
from bench.data.audit.result import (
    NO_LEAK,
    UNEVEN,
    Audit,
    Balance,
    ImagePair,
    Located,
    leak_text,
    train_ids_to_drop,
    validation_ids_to_drop,
)
from bench.types import SPLITS

SHOWN = 20


def show(console: Console, found: Audit) -> None:
    """Print the counts, then the pairs, then what it means."""
    counts = " / ".join(f"{found.images[split]:,} {split}" for split in SPLITS)
    _say(console, "dataset", f"{found.dataset}: {counts}, {len(found.classes)} classes")
    for note in found.notes:
        _say(console, "note", note, "yellow")
    _show_counts(console, found)
    for pair in found.pairs[:SHOWN]:
        _show_pair(console, pair, found)
    _say_more(console, len(found.pairs), "pairs")
    for group in found.broken_groups[:SHOWN]:
        images = [_named(image, found.classes) for image in group.images[:3]]
        more = ", …" if len(group.images) > 3 else ""
        _say(console, "group", f"{group.name}: {', '.join(images)}{more}", "red")
    _say_more(console, len(found.broken_groups), "groups")
    for excluded in found.excluded[:SHOWN]:
        _say(console, "unusable", f"{excluded.id}: {excluded.reason}", "yellow")
    for wrong in found.wrong_extensions[:SHOWN]:
        _say(console, "extension", f"{wrong.id} is a {wrong.format} file", "yellow")
    _show_verdict(console, found)


def _show_counts(console: Console, found: Audit) -> None:
    """Print one line for each question that an audit answers."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("looked for")
    table.add_column("in two splits", justify="right")
    table.add_column("in one split", justify="right")
    for title, kind in (
        ("the same file twice", "exact"),
        (f"near copies (from {found.threshold:.2f})", "near"),
    ):
        across, within = (len(found.pairs_of(kind, across=a)) for a in (True, False))
        table.add_row(title, f"{across:,}", f"{within:,}")
    across = sum(pair.across for pair in found.conflicts)
    within = len(found.conflicts) - across
    table.add_row("one picture, two labels", f"{across:,}", f"{within:,}")
    console.print(table)
    _say(console, "groups", f"{len(found.broken_groups):,} in several splits")
    _say(console, "unusable", counted(len(found.excluded), "image"))
    _say(console, "extensions", f"{len(found.wrong_extensions):,} wrong")
    uneven = [balance for balance in found.balance if balance.ratio >= UNEVEN]
    ratios = ", ".join(f"{balance.split} {balance.ratio:.1f}" for balance in uneven)
    _say(console, "balance", f"largest over smallest: {ratios}" if uneven else "even classes")
    for balance in uneven:
        _show_uneven(console, balance, found.classes)


def _show_uneven(console: Console, balance: Balance, classes: tuple[str, ...]) -> None:
    ranked = sorted(zip(balance.counts, classes, strict=True), reverse=True)
    named = [f"{title} {count:,}" for count, title in ranked]
    if len(named) > 6:
        named = [*named[:3], "…", *named[-3:]]
    _say(console, "", f"{balance.split}: {', '.join(named)}")


def _show_pair(console: Console, pair: ImagePair, found: Audit) -> None:
    how = "same file" if pair.kind == "exact" else f"near {pair.similarity:.3f}"
    how += ", mirrored" if pair.mirrored else ""
    named = " = ".join(_named(image, found.classes) for image in (pair.first, pair.second))
    title = "conflict" if pair.conflicting else "pair"
    style = "red" if pair.conflicting or pair.across else "none"
    _say(console, title, f"{named}  ({how})", style)


def _say_more(console: Console, count: int, what: str) -> None:
    if count > SHOWN:
        _say(console, "", f"… and {count - SHOWN:,} more {what}; --json lists all", "dim")


def _named(image: Located, classes: tuple[str, ...]) -> str:
    return f"{image.id} [{image.split}, {classes[image.label]}]"


def _show_verdict(console: Console, found: Audit) -> None:
    leak = leak_text(found)
    if leak:
        train, validation = train_ids_to_drop(found), validation_ids_to_drop(found)
        advice = (
            f"run --on-leak drop leaves {counted(len(train), 'image')} out of train and "
            f"{len(validation):,} out of validation"
        )
        _say(console, "verdict", f"{leak}; {advice}", "red")
    if found.conflicts:
        pairs = counted(len(found.conflicts), "pair")
        _say(console, "verdict", f"{pairs} with two labels", "red")
    if not leak and not found.conflicts:
        _say(console, "verdict", f"{NO_LEAK}; no picture has two labels", "green")


def _say(console: Console, title: str, text: str, style: str = "none") -> None:
    console.print(Text(f"{title:<11} {text}", style=style), soft_wrap=True)
