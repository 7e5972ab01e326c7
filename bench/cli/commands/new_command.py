"""`new`: write a plugin for one backbone, check it, and print the next commands."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from pathlib import Path

from bench.cli.argument_types import positive
from bench.errors import Exit, UsageError, one_line
from bench.registry import BACKBONES, load_plugins, resolve
from bench.system.command_line import typed_program
from bench.types import Backbone

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
USUAL_SIZE = 224


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "name", metavar="NAME", help="name of the backbone, for tables and --backbones"
    )
    parser.add_argument(
        "--from",
        dest="build",
        required=True,
        metavar="MODULE:BUILDER",
        help="function that returns the network for input_shape, include_top=False and "
        "weights=None, of keras.applications or any installed package; for example "
        "keras.applications:ConvNeXtTiny",
    )
    parser.add_argument(
        "--preprocess",
        metavar="MODULE:FUNCTION",
        help="function that maps float RGB in 0..255 to the input of the network (for networks of "
        "keras.applications, Keras' own)",
    )
    parser.add_argument(
        "--input-size",
        type=positive,
        metavar="N",
        help=f"input size in pixels (as in `list zoo` if the network is there, else {USUAL_SIZE})",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="file to write (NAME.py)")


def main(arguments: argparse.Namespace) -> int:
    """Write the plugin and check it; return 0 if all checks passed, else 1."""
    # Imported late: `new --help` does not need them.
    from rich.console import Console

    from bench.cli.commands.check_command import check_all
    from bench.models.backends.base import start_backend

    console = Console(highlight=False, markup=False, soft_wrap=True)
    for error in load_plugins((), arguments.packages):
        console.print(f"warning: {error}", style="yellow")
    path = arguments.output or Path(f"{arguments.name}.py")
    if not NAME.fullmatch(arguments.name):
        raise UsageError(f"NAME {arguments.name!r} may have letters, digits, '_', '-' and '.'.")
    if arguments.name in BACKBONES:
        raise UsageError(f"backbone {arguments.name!r} exists already; choose another name.")
    if path.exists():
        raise UsageError(f"{path} exists already; remove it, or give another --output.")
    start_backend()
    text = _plugin_code(_declaration(arguments))
    with path.open("x", encoding="utf-8") as file:  # "x": never overwrite a file
        file.write(text)
    console.print(f"wrote {path}\n")
    load_plugins([path])
    failed = check_all(console, [BACKBONES[arguments.name]], arguments.debug)
    plugin = f"--plugin {shlex.quote(str(path))}"
    check = f"{typed_program()} check {arguments.name} {plugin}"
    if failed:
        console.print(f"Change {path}, then check it again:\n  {check}")
        return Exit.ERROR
    console.print(
        f"Train it with the other backbones:\n"
        f"  {typed_program()} {plugin} --backbones all,{arguments.name}\n"
        f"Check it again after a change of {path}:\n  {check}"
    )
    return Exit.DONE


def _declaration(arguments: argparse.Namespace) -> Backbone:
    """Return the declaration; omitted values are those of the same network in the zoo."""
    from bench.execution.check.preprocessing import expected_preprocessing
    from bench.models.published import application_name, has_published_weights

    build, name = arguments.build, application_name(arguments.build)
    try:
        resolve(build)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"--from {build!r} cannot be found: {one_line(error)}") from error
    same = next((one for one in BACKBONES if name and application_name(one.build) == name), None)
    bare = Backbone(arguments.name, build, arguments.preprocess or "", USUAL_SIZE)
    preprocess = arguments.preprocess or expected_preprocessing(bare)
    if preprocess is None:
        raise UsageError(
            f"--from {build} is no network of keras.applications; give --preprocess "
            f"MODULE:FUNCTION, which maps float RGB in 0..255 to the input of the network."
        )
    return Backbone(
        name=arguments.name,
        build=build,
        preprocess=preprocess,
        input_size=arguments.input_size or (same.input_size if same else USUAL_SIZE),
        weights="imagenet" if has_published_weights(name) else (),
        minimum_size=same.minimum_size if same else bare.minimum_size,
    )


def _plugin_code(backbone: Backbone) -> str:
    """Return the code of a plugin, with the fields whose values are not the defaults."""
    names = ["name", "build", "preprocess", "input_size"]
    names += [
        n for n in ("weights", "minimum_size") if getattr(backbone, n) != getattr(Backbone, n)
    ]
    fields = "".join(f"        {n}={json.dumps(getattr(backbone, n))},\n" for n in names)
    return (
        "from bench.registry import BACKBONES\n"
        "from bench.types import Backbone\n\n"
        f"BACKBONES.add(\n    Backbone(\n{fields}    )\n)\n"
    )
