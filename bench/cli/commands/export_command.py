"""`export`: write a run's trained model, or an ensemble of several, to a file for deployment, check
it, and add a model card."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.cli.shared_options import add_cache, add_run, add_shared, read_trained
from bench.inference.export import EXPORT_FORMATS


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_run(parser)
    parser.add_argument(
        "backbone",
        metavar="BACKBONE[+BACKBONE]",
        help="a backbone of the run; several become one model that averages their probabilities; "
        "BACKBONE@soup is the model with the mean of the seeds' weights, if the run has one",
    )
    add_shared(parser, "--plugin", "--results")
    add_cache(parser)
    parser.add_argument(
        "--format",
        choices=EXPORT_FORMATS.names,
        default="keras",
        help=f"{'; '.join(f'{one.name}: {one.help}' for one in EXPORT_FORMATS)} (keras)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder to write to (`exported` in the run's folder)",
    )


def main(arguments: argparse.Namespace) -> int:
    """Write the file and its model card, or raise and write neither."""
    # Imported late: `export --help` does not need them.
    from rich.console import Console

    from bench.inference.exporting import export, require_one_size
    from bench.inference.model_card import RANDOM_WEIGHTS_WARNING
    from bench.models.rebuild import code_warning, find_members, load_trained
    from bench.registry import backend_of, require
    from bench.storage.cache import Store
    from bench.storage.run_folder import refuse_links
    from bench.system.frameworks import set_framework_defaults

    chosen = EXPORT_FORMATS[arguments.format]
    if needed := backend_of(chosen):
        set_framework_defaults(needed)  # a run of another backend can be exported, too
    require("export format", chosen)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    run = read_trained(arguments, console)
    members = find_members(run, arguments.backbone)
    require_one_size(members)
    for warning in filter(None, map(code_warning, members)):
        console.print(f"warning: {warning}", style="yellow")
    if not all(record.pretrained for record in members):
        console.print(RANDOM_WEIGHTS_WARNING, style="yellow")
    # In float32, whatever the training precision: every runtime supports it.
    models = [load_trained(run, record, "float32") for record in members]
    store = Store(arguments.cache, int(arguments.cache_gb * 1e9))
    if arguments.output is None:
        refuse_links(run.folder)
    folder = arguments.output or run.folder / "exported"
    exported = export(run, models, arguments.format, folder, store)
    console.print(f"model  {exported.path}")
    console.print(f"card   {exported.card}")
    console.print(f"check  {exported.checked}")
    return 0
