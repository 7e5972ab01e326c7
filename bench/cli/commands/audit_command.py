"""`audit`: what is wrong with a data set, told before anything is trained on it."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.analysis.format import counted, first
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
        console = Console(highlight=False)
        for part in _lines(kept.audit):
            console.print(part, soft_wrap=isinstance(part, Text))
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


def _lines(found: Audit) -> Iterator[Text | Table]:
    """Yield the counts, then the pairs, then what it means."""
    counts = " / ".join(f"{found.images[split]:,} {split}" for split in SPLITS)
    yield _line("dataset", f"{found.dataset}: {counts}, {len(found.classes)} classes")
    for note in found.notes:
        yield _line("note", note, "yellow")
    yield _copies(found)
    yield _line("groups", f"{len(found.broken_groups):,} in several splits")
    yield _line("unusable", counted(len(found.excluded), "image"))
    yield _line("extensions", f"{len(found.wrong_extensions):,} wrong")
    uneven = [balance for balance in found.balance if balance.ratio >= UNEVEN]
    ratios = ", ".join(f"{balance.split} {balance.ratio:.1f}" for balance in uneven)
    yield _line("balance", f"largest over smallest: {ratios}" if uneven else "even classes")
    for balance in uneven:
        yield _line("", _uneven(balance, found.classes))
    for pair in found.pairs[:SHOWN]:
        title = "conflict" if pair.conflicting else "pair"
        style = "red" if pair.conflicting or pair.across else "none"
        yield _line(title, _pair(pair, found.classes), style)
    yield from _more(len(found.pairs), "pairs")
    for group in found.broken_groups[:SHOWN]:
        images = first([_named(image, found.classes) for image in group.images], 3)
        yield _line("group", f"{group.name}: {images}", "red")
    yield from _more(len(found.broken_groups), "groups")
    for excluded in found.excluded[:SHOWN]:
        yield _line("unusable", f"{excluded.id}: {excluded.reason}", "yellow")
    for wrong in found.wrong_extensions[:SHOWN]:
        yield _line("extension", f"{wrong.id} is a {wrong.format} file", "yellow")
    yield from _verdict(found)


def _copies(found: Audit) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("looked for")
    table.add_column("in two splits", justify="right")
    table.add_column("in one split", justify="right")
    near = f"near copies (from {found.threshold:.2f})"
    for title, kind in (("the same file twice", "exact"), (near, "near")):
        across, within = (len(found.pairs_of(kind, across=a)) for a in (True, False))
        table.add_row(title, f"{across:,}", f"{within:,}")
    across = sum(pair.across for pair in found.conflicts)
    table.add_row("one picture, two labels", f"{across:,}", f"{len(found.conflicts) - across:,}")
    return table


def _uneven(balance: Balance, classes: tuple[str, ...]) -> str:
    ranked = sorted(zip(balance.counts, classes, strict=True), reverse=True)
    named = [f"{title} {count:,}" for count, title in ranked]
    if len(named) > 6:
        named = [*named[:3], "…", *named[-3:]]
    return f"{balance.split}: {', '.join(named)}"


def _pair(pair: ImagePair, classes: tuple[str, ...]) -> str:
    how = "same file" if pair.kind == "exact" else f"near {pair.similarity:.3f}"
    how += ", mirrored" if pair.mirrored else ""
    return f"{_named(pair.first, classes)} = {_named(pair.second, classes)}  ({how})"


def _named(image: Located, classes: tuple[str, ...]) -> str:
    return f"{image.id} [{image.split}, {classes[image.label]}]"


def _more(count: int, what: str) -> Iterator[Text]:
    if count > SHOWN:
        yield _line("", f"… and {count - SHOWN:,} more {what}; --json lists all", "dim")


def _verdict(found: Audit) -> Iterator[Text]:
    leak = leak_text(found)
    if leak:
        train, validation = train_ids_to_drop(found), validation_ids_to_drop(found)
        advice = (
            f"run --on-leak drop leaves {counted(len(train), 'image')} out of train and "
            f"{len(validation):,} out of validation"
        )
        yield _line("verdict", f"{leak}; {advice}", "red")
    if found.conflicts:
        yield _line("verdict", f"{counted(len(found.conflicts), 'pair')} with two labels", "red")
    if not leak and not found.conflicts:
        yield _line("verdict", f"{NO_LEAK}; no picture has two labels", "green")


def _line(title: str, text: str, style: str = "none") -> Text:
    return Text(f"{title:<11} {text}", style=style)
