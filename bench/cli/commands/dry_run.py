"""`run --dry-run`: the plan from what is known now; nothing is decoded, and nothing written."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from rich.console import Console

from bench import data as datasets
from bench.cli.commands.plan_text import show_audit, show_plan
from bench.data.audit import gate
from bench.data.listing import Listing
from bench.errors import Exit, UsageError
from bench.execution.plan import Plan
from bench.execution.remaining import kept_records, pending, unmeasured
from bench.storage.cache import Store
from bench.types import Dataset


def show(
    arguments: argparse.Namespace,
    console: Console,
    listing: Listing,
    sizes: Sequence[int],
    store: Store,
    plan_over: Callable[[Dataset], Plan],
) -> int:
    """Show what the same command would do. Which images are unusable, or copies, and which trials
    are done, is known where an earlier run has decoded the images."""
    dataset = datasets.recall(listing, sizes, store=store)
    if dataset is None:
        plan = plan_over(datasets.undecoded(listing))
        where = str(arguments.results / (arguments.run or "(named after the images' content)"))
        show_plan(console, plan, plan.trials, where, verbose=arguments.verbose)
        text = (
            "audit     not known before the images are decoded, nor which of them are unusable and "
            "which trials are done"
        )
        console.print(text, style="dim", soft_wrap=True)
    else:
        trained, audited = dataset, None
        if not arguments.no_audit:
            trained, audited = gate.pass_through(
                listing, dataset, sizes, store=store, on_leak=arguments.on_leak
            )
        plan = plan_over(trained)
        folder = arguments.results / (arguments.run or plan.name)
        waiting = plan.trials if arguments.fresh else pending(plan, folder)
        left = [] if arguments.fresh else unmeasured(plan, folder, kept_records(plan, folder))
        names = {trial.backbone for trial in left}
        show_plan(
            *(console, plan, waiting, str(folder)), unmeasured=names, verbose=arguments.verbose
        )
        show_audit(console, audited)
    if not plan.planned:
        raise UsageError("none of the backbones asked for can be run; the reasons stand above.")
    console.print("dry run: nothing was decoded, trained or written.")
    return Exit.INCOMPLETE if plan.skipped else Exit.DONE
