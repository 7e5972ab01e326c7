"""`audit`: report copies, leaks and wrong labels of a data set before anything is trained on it."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from rich.console import Console

from bench.cli.json_lines import write
from bench.cli.shared_options import add_cache, add_images, add_shared
from bench.data.audit.result import KeptAudit, train_ids_to_drop, validation_ids_to_drop
from bench.errors import DatasetError

SIZE = 160  # pixels; enough for 48-pixel thumbnails and for pictures of the pairs


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("dataset", metavar="DATA", help="the data set, as for `run --dataset`")
    add_cache(parser)
    add_images(parser)
    parser.add_argument(
        "--on-leak",
        choices=("warn", "fail"),
        default="warn",
        help="if test images are also in train or validation: report it, or exit with 1 (warn)",
    )
    add_shared(parser, "--json")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write audit.md, audit.json and pictures of the pairs to this folder",
    )


def main(arguments: argparse.Namespace) -> int:
    """Audit a data set and print the findings; raise `DatasetError` for a leak on request."""
    # Imported late: `audit --help` does not need them.
    from bench.cli.run_display import RunDisplay
    from bench.data import preparation
    from bench.data.audit import gate
    from bench.data.sources import list_dataset
    from bench.reports import markdown, terminal
    from bench.reports.audit import standalone_section, terminal_section
    from bench.storage.cache import Store
    from bench.system.files import write_atomic
    from bench.training.events import Note, TaskProgress

    errors = Console(stderr=True, highlight=False, markup=False)
    store = Store(arguments.cache, int(arguments.cache_gb * 1e9))
    # On standard error: standard output is for the findings, which may be JSON.
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
        _, kept = gate.audit_dataset(
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
        # Lines are not wrapped here, so that other programs find file names whole.
        console = Console(highlight=False, markup=False, soft_wrap=True, width=terminal.UNLIMITED)
        terminal.show([terminal_section(kept)], console)
    if arguments.out is not None:
        for path, content in gate.audit_files(kept, dataset, [SIZE], store=store).items():
            write_atomic(arguments.out / path, content)
        write_atomic(arguments.out / "audit.md", markdown.text([standalone_section(kept)]))
        errors.print(f"written     {arguments.out / 'audit.md'}", soft_wrap=True)
    if kept.leaked and arguments.on_leak == "fail":
        raise DatasetError(f"{len(kept.leaked):,} test images were seen in train or validation.")
    return 0


def _for_programs(kept: KeptAudit) -> dict[str, object]:
    """Return the findings as JSON, with the images to drop."""
    return {
        **dataclasses.asdict(kept.audit),
        "leaked_test_ids": kept.leaked,
        "train_ids_to_drop": train_ids_to_drop(kept.audit),
        "validation_ids_to_drop": validation_ids_to_drop(kept.audit),
    }
