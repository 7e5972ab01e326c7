"""An audit as a person reads it in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.audit.findings import Audit, Located, Pair
from bench.audit.leaks import leaked_test_ids, train_ids_to_drop, validation_ids_to_drop
from bench.types import SPLITS

SHOWN = 20
UNEVEN = 1.5  # largest class over smallest: from here on it is worth a word


def show(console: Console, found: Audit) -> None:
    """Counts first, then what was counted, then what it means."""
    counts = " / ".join(f"{found.images[split]:,} {split}" for split in SPLITS)
    _say(console, "dataset", f"{found.dataset}: {counts}, {len(found.classes)} classes")
    for note in found.notes:
        _say(console, "note", note, "yellow")
    _show_counts(console, found)
    for kind, pairs in (("conflicts", found.conflicts), ("pairs", found.pairs)):
        _show_pairs(console, kind, pairs, found)
    for excluded in found.excluded[:SHOWN]:
        _say(console, "excluded", f"{excluded.id}: {excluded.reason}", "yellow")
    for wrong in (found.wrong_extensions or ())[:SHOWN]:
        _say(console, "extension", f"{wrong.id} is a {wrong.format} file", "yellow")
    _show_verdict(console, found)


def _show_counts(console: Console, found: Audit) -> None:
    """One line for each question that an audit answers, found or not."""
    wrong = found.wrong_extensions
    balance = [f"{b.split} {b.ratio:.1f}" for b in found.balance if b.ratio >= UNEVEN]
    across, within = "in two splits", "in one split"
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title, justify in (("looked for", "left"), (across, "right"), (within, "right")):
        table.add_column(title, justify=justify)  # type: ignore[arg-type]
    table.add_row(
        "the same file twice", f"{len(found.exact_across):,}", f"{len(found.exact_within):,}"
    )
    table.add_row(
        f"near copies (from {found.threshold:.2f})",
        f"{len(found.near_across):,}",
        f"{len(found.near_within):,}",
    )
    conflicting = [pair.across for pair in found.conflicts]
    table.add_row(
        "one picture, two labels", str(sum(conflicting)), str(len(conflicting) - sum(conflicting))
    )
    console.print(table)
    _say(console, "undecodable", f"{len(found.excluded):,} image(s)")
    _say(console, "extensions", "not looked at" if wrong is None else f"{len(wrong):,} wrong")
    _say(
        console,
        "balance",
        f"largest class over smallest: {', '.join(balance)}" if balance else "even classes",
    )
    for uneven in found.balance:
        if uneven.ratio >= UNEVEN:
            _show_uneven(console, uneven.split, uneven.counts, found.classes)


def _show_uneven(
    console: Console, split: str, counts: tuple[int, ...], classes: tuple[str, ...]
) -> None:
    ranked = sorted(zip(counts, classes, strict=True), reverse=True)
    named = [f"{title} {count:,}" for count, title in ranked]
    if len(named) > 6:
        named = [*named[:3], "...", *named[-3:]]
    _say(console, "", f"{split}: {', '.join(named)}")


def _show_pairs(console: Console, kind: str, pairs: tuple[Pair, ...], found: Audit) -> None:
    for pair in pairs[:SHOWN]:
        how = "same file" if pair.kind == "exact" else f"near {pair.similarity:.3f}"
        how += ", mirrored" if pair.mirrored else ""
        named = " = ".join(_named(image, found.classes) for image in (pair.first, pair.second))
        style = "red" if pair.conflicting or pair.across else "none"
        _say(console, kind.removesuffix("s"), f"{named}  ({how})", style)
    if len(pairs) > SHOWN:
        _say(console, "", f"... and {len(pairs) - SHOWN:,} more {kind}; --json lists all", "dim")


def _named(image: Located, classes: tuple[str, ...]) -> str:
    return f"{image.id} [{image.split}, {classes[image.label]}]"


def _show_verdict(console: Console, found: Audit) -> None:
    leaked = leaked_test_ids(found)
    if not leaked and not found.conflicts:
        _say(
            console, "verdict", "no test image was seen before; no picture has two labels", "green"
        )
        return
    if leaked:
        share = len(leaked) / found.images["test"]
        train, validation = train_ids_to_drop(found), validation_ids_to_drop(found)
        _say(
            console,
            "verdict",
            f"{len(leaked):,} test image(s), {share:.1%}, have a copy in train or validation; "
            f"--on-leak drop leaves {len(train):,} image(s) out of train and {len(validation):,} "
            "out of validation",
            "red",
        )
    if found.conflicts:
        text = f"{len(found.conflicts):,} pair(s) show one picture under two labels"
        _say(console, "verdict", text, "red")


def _say(console: Console, title: str, text: str, style: str = "none") -> None:
    console.print(Text(f"{title:<11} {text}", style=style), soft_wrap=True)
