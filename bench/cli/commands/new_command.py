"""`new`: writes the plugin of one backbone, checks it, and says what to do next."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from pathlib import Path

from bench.cli.argument_types import positive
from bench.errors import Exit, UsageError, one_line
from bench.registry import BACKBONES, load_plugins, resolve
from bench.system.command_line import program
from bench.types import Backbone

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
USUAL_SIZE = 224


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("name", metavar="NAME", help="of the backbone, in tables and --backbones")
    parser.add_argument(
        "--from",
        dest="build",
        required=True,
        metavar="MODULE:BUILDER",
        help="called with input_shape, include_top=False and weights=None, it returns the network; "
        "as keras.applications:ConvNeXtTiny, or that of an installed package",
    )
    parser.add_argument(
        "--preprocess",
        metavar="MODULE:FUNCTION",
        help="maps float RGB in 0..255 to what the network takes (Keras' own for its networks)",
    )
    parser.add_argument(
        "--input-size",
        type=positive,
        metavar="N",
        help=f"in pixels (that of the same network in `list zoo`, else {USUAL_SIZE})",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="the file to write (NAME.py)")


def main(arguments: argparse.Namespace) -> int:
    """Write the plugin and check it; 0 when all is right, 1 when it has to be changed."""
    # Late: `new --help` needs none of it.
    from rich.console import Console

    from bench.cli.commands.check_command import check_all
    from bench.models.backends.base import start

    console = Console(highlight=False, markup=False, soft_wrap=True)
    for error in load_plugins((), arguments.packages):
        console.print(f"warning: {error}", style="yellow")
    path = arguments.output or Path(f"{arguments.name}.py")
    if not NAME.fullmatch(arguments.name):
        raise UsageError(f"NAME {arguments.name!r} may have letters, digits, '_', '-' and '.'.")
    if arguments.name in BACKBONES:
        raise UsageError(f"backbone {arguments.name!r} is there already; choose another name.")
    if path.exists():
        raise UsageError(f"{path} is there already; remove it, or give another --output.")
    start()
    text = _plugin(_declared(arguments))
    with path.open("x", encoding="utf-8") as file:  # "x": never over another
        file.write(text)
    console.print(f"wrote {path}\n")
    load_plugins([path])
    wrong = check_all(console, [BACKBONES[arguments.name]], arguments.debug)
    plugin = f"--plugin {shlex.quote(str(path))}"
    again = f"{program()} check {arguments.name} {plugin}"
    if wrong:
        console.print(f"Change {path}, then check it again:\n  {again}")
        return Exit.ERROR
    console.print(
        f"Train it, next to the others:\n"
        f"  {program()} {plugin} --backbones all,{arguments.name}\n"
        f"After a change of {path}:\n  {again}"
    )
    return Exit.DONE


def _declared(arguments: argparse.Namespace) -> Backbone:
    """Return the declaration: what is not given is as of the same network in the catalogue."""
    from bench.execution.check.preprocessing import expected_preprocessing
    from bench.models.published import application, has_weights

    build, name = arguments.build, application(arguments.build)
    try:
        resolve(build)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"--from {build!r} cannot be found: {one_line(error)}") from error
    same = next((one for one in BACKBONES if name and application(one.build) == name), None)
    bare = Backbone(arguments.name, build, arguments.preprocess or "", USUAL_SIZE)
    preprocess = arguments.preprocess or expected_preprocessing(bare)
    if preprocess is None:
        raise UsageError(
            f"--from {build} is no network of keras.applications; give --preprocess "
            f"MODULE:FUNCTION, which maps float RGB in 0..255 to what the network takes."
        )
    return Backbone(
        name=arguments.name,
        build=build,
        preprocess=preprocess,
        input_size=arguments.input_size or (same.input_size if same else USUAL_SIZE),
        weights="imagenet" if has_weights(name) else (),
        minimum_size=same.minimum_size if same else bare.minimum_size,
    )


def _plugin(backbone: Backbone) -> str:
    """Return the text of a plugin, with the fields that have another value than their default."""
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
