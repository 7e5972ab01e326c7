"""Plugin files of users: finding and importing them, describing their errors, remembering them.

A run's folder may come from anyone, and importing a plugin runs its code. So the files that a user
gave to `run` are remembered outside of all results, by path and content. The path matters, because
a plugin may import the files next to it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from bench.errors import PluginError, one_line

# The variable that passes `sys.path` to a worker, so that plugins import the same modules there.
IMPORT_PATH = "BACKBONE_BENCH_PATH"
MAX_CAUSE = 500  # characters of a plugin's error that are shown


def plugin_files(path: Path) -> list[Path]:
    """Return the files of `--plugin PATH`: the file itself, or the .py files of a folder."""
    if path.is_dir():
        files = [f for f in sorted(path.glob("*.py")) if not f.name.startswith("_")]
        if not files:
            raise PluginError(f"plugin folder {path} has no .py file.")
        return files
    if not path.is_file():
        raise PluginError(f"plugin {path} does not exist; give a .py file or a folder.")
    return [path]


def module_name(file: Path) -> str:
    """Return the module name under which a plugin's file is imported."""
    digest = hashlib.sha256(os.fsencode(file.resolve())).hexdigest()
    return f"backbone_bench_plugin_{digest[:16]}"


def import_file(file: Path) -> None:
    """Import a plugin's file unless it is already imported."""
    name = module_name(file)
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, file.resolve())
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


@contextmanager
def raise_on_exit() -> Iterator[None]:
    """Make `os._exit`, which ends a process without a message, raise SystemExit inside."""
    process, thread, original = os.getpid(), threading.get_ident(), os._exit

    def refuse(status: int) -> NoReturn:
        if (os.getpid(), threading.get_ident()) != (process, thread):
            original(status)  # in a process that the plugin forked, or in another thread
        raise SystemExit(f"os._exit({status})")

    os._exit = refuse
    try:
        yield
    finally:
        os._exit = original


def describe_failure(error: BaseException, module: str) -> str:
    """Return a plugin's error in one line, with the line of the module that caused it."""
    if isinstance(error, SyntaxError) and error.lineno and error.filename:
        # The error's own text names the line in Python's format.
        place = f"line {error.lineno} of {Path(error.filename).name}"
        return f"{type(error).__name__}: {error.msg} ({place})"
    from traceback import walk_tb  # late: only a broken plugin needs it

    own = ""
    for frame, line in walk_tb(error.__traceback__):
        if f"{frame.f_globals.get('__name__', '')}.".startswith(f"{module}."):
            own = f" (line {line} of {Path(frame.f_code.co_filename).name})"
    return f"{type(error).__name__}: {one_line(error)[:MAX_CAUSE]}{own}"


def remember_plugins(plugins: Iterable[Path]) -> None:
    """Remember the files of these plugins as used by this user in a run."""
    new = [f"{_plugin_line(file)}\n" for file in unknown_plugins(plugins)]
    # If this fails, only `verify` is affected: it then requires the plugin to be named.
    with suppress(OSError):
        if new:
            _known_plugins_file().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _known_plugins_file().open("a", encoding="utf-8") as file:
                file.write("".join(new))


def unknown_plugins(plugins: Iterable[Path]) -> list[Path]:
    """Return the files of these plugins that no run of this user has used with this content."""
    known = _read_known_lines()
    return [
        file for path in plugins for file in plugin_files(path) if _plugin_line(file) not in known
    ]


def _known_plugins_file() -> Path:
    """Return the file of remembered plugins: in `$BACKBONE_BENCH_STATE`, or the user's state folder
    of the system."""
    from platformdirs import user_state_path  # late: few commands need it

    given = os.environ.get("BACKBONE_BENCH_STATE")
    return (Path(given) if given else user_state_path("backbone-bench")) / "plugins.jsonl"


def _read_known_lines() -> set[str]:
    try:
        # Split at line feeds only: a line of JSON may contain other line separators.
        return set(_known_plugins_file().read_text(encoding="utf-8", errors="replace").split("\n"))
    except OSError:
        return set()


def _plugin_line(file: Path) -> str:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    place = os.fsencode(file.resolve()).decode("utf-8", "backslashreplace")
    return json.dumps({"plugin": place, "sha256": digest})
