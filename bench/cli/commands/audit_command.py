"""`audit`: what is wrong with a data set, told before anything is trained on it."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.analysis.format import counted
from bench.cli.json_lines import write
from bench.cli.shared_options import add_cache, add_images, add_shared
from bench.data.audit.result import (
    NO_LEAK,
    UNEVEN,
    Audit,
    Balance,
    ImagePair,
    KeptAudit,
    Located,
    leak_text,
    train_ids_to_drop,
    validation_ids_to_drop,
)
from bench.errors import DatasetError
from bench.types import SPLITS

SIZE = 160  # enough for 48-pixel thumbnails and for looking at the pairs
SHOWN = 20  # of each finding


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("dataset", metavar="DATA", help="as for `run --dataset`")
    add_cache(parser)
    add_images(parser)
    parser.add_argument(
        "--on-leak",
        choices=("warn", "fail"),
        default="warn",
        help="where test images are also in train or validation: say so, or exit with 1 (warn)",
    )
    add_shared(parser, "--json")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write audit.md, audit.json and the pairs' pictures"
    )


def main(arguments: argparse.Namespace) -> int:
    """Audit a data set and say what was found; an error where a leak is to be one."""
    # Late: `audit --help` needs none of it.
    from bench.cli.run_display import RunDisplay
    from bench.data import preparation
    from bench.data.audit import gate
    from bench.data.sources import list_dataset
    from bench.storage.cache import Store
    from bench.system.files import write_atomic
    from bench.training.events import Note, TaskProgress

    errors = Console(stderr=True, highlight=False, markup=False)
    store = Store(arguments.cache, int(arguments.cache_gb * 1e9))
    # On the error stream: what is asked for, JSON above all, is alone on the other.
    with RunDisplay(errors) as display:
        listing = list_dataset(
            arguments.dataset,
            store=store,
            split_seed=arguments.split_seed,
            limit=arguments.limit,
            groups=arguments.groups,
            say=lambda text: display(Note(text)),
        )
        dataset = preparation.prepare(
            listing,
            [SIZE],
            store=store,
            progress=lambda done, total: display(TaskProgress("decoding images", done, total)),
        )
        _, kept = gate.pass_through(
            listing,
            dataset,
            [SIZE],
            store=store,
            on_leak="warn",
            progress=lambda step, done, total: display(TaskProgress(step, done, total)),
        )
    if arguments.json:
        write(_for_programs(kept))
    else:
        _show(Console(highlight=False), kept.audit)
    if arguments.out is not None:
        from bench.reports import markdown
        from bench.reports.sections.audit import of_audit

        for path, content in gate.files(kept, dataset, [SIZE], store=store).items():
            write_atomic(arguments.out / path, content)
        section = of_audit(kept, kept.audit.dataset)
        write_atomic(arguments.out / "audit.md", markdown.text([section]))
        errors.print(f"written     {arguments.out / 'audit.md'}", soft_wrap=True)
    if kept.leaked and arguments.on_leak == "fail":
        raise DatasetError(f"{len(kept.leaked):,} test images were seen in train or validation.")
    return 0


def _for_programs(kept: KeptAudit) -> dict[str, object]:
    """The findings, and what follows from them."""
    return {
        **dataclasses.asdict(kept.audit),
        "leaked_test_ids": kept.leaked,
        "train_ids_to_drop": train_ids_to_drop(kept.audit),
        "validation_ids_to_drop": validation_ids_to_drop(kept.audit),
    }


def _show(console: Console, found: Audit) -> None:
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
