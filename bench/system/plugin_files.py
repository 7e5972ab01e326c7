"""Python files of users: which they are, how one is imported, and what is wrong with it.

A run's folder may come from anyone, and importing a plugin runs its code. The files that a user
gave to `run` are remembered outside of all results, by place and content: a copy elsewhere may have
other files next to it, which a plugin may import.
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

# The variable in which a worker gets its parent's `sys.path`: plugins import the same in both.
IMPORT_PATH = "BACKBONE_BENCH_PATH"
MAX_CAUSE = 500  # characters of a plugin's error that are shown


def plugin_files(path: Path) -> list[Path]:
    """Return the files that `--plugin PATH` means."""
    if path.is_dir():
        files = [f for f in sorted(path.glob("*.py")) if not f.name.startswith("_")]
        if not files:
            raise PluginError(f"plugin folder {path} has no .py file.")
        return files
    if not path.is_file():
        raise PluginError(f"plugin {path} does not exist; give a .py file or a folder.")
    return [path]


def module_name(file: Path) -> str:
    """Return the name under which a plugin's file is imported."""
    digest = hashlib.sha256(os.fsencode(file.resolve())).hexdigest()
    return f"backbone_bench_plugin_{digest[:16]}"


def import_file(file: Path) -> None:
    """Import a plugin's file, once."""
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
    """Turn `os._exit`, which ends a process without a message, into an error of the plugin."""
    process, thread, really = os.getpid(), threading.get_ident(), os._exit

    def refuse(status: int) -> NoReturn:
        if (os.getpid(), threading.get_ident()) != (process, thread):
            really(status)  # in a process that the plugin forked, or in another thread
        raise SystemExit(f"os._exit({status})")

    os._exit = refuse
    try:
        yield
    finally:
        os._exit = really


def describe_failure(error: BaseException, module: str) -> str:
    """Return what went wrong in one line, and at which line of the plugin."""
    if isinstance(error, SyntaxError) and error.lineno and error.filename:
        # Its text ends with the place already, but in Python's format.
        place = f"line {error.lineno} of {Path(error.filename).name}"
        return f"{type(error).__name__}: {error.msg} ({place})"
    from traceback import walk_tb  # late: only a broken plugin needs it

    own = ""
    for frame, line in walk_tb(error.__traceback__):
        if f"{frame.f_globals.get('__name__', '')}.".startswith(f"{module}."):
            own = f" (line {line} of {Path(frame.f_code.co_filename).name})"
    return f"{type(error).__name__}: {one_line(error)[:MAX_CAUSE]}{own}"


def remember_plugins(plugins: Iterable[Path]) -> None:
    """Remember the files that `--plugin PATH` meant in a run of this user."""
    new = [f"{_plugin_line(file)}\n" for file in unknown_plugins(plugins)]
    # If it cannot be written, only `verify` changes: it then asks for the plugin by name.
    with suppress(OSError):
        if new:
            _known_plugins_file().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _known_plugins_file().open("a", encoding="utf-8") as file:
                file.write("".join(new))


def unknown_plugins(plugins: Iterable[Path]) -> list[Path]:
    """Return the files of these plugins that no run of this user used as they are now."""
    known = _read_known_lines()
    return [
        file for path in plugins for file in plugin_files(path) if _plugin_line(file) not in known
    ]


def _known_plugins_file() -> Path:
    """Return the file in this user's state: `$BACKBONE_BENCH_STATE`, or the system's folder."""
    from platformdirs import user_state_path  # late: few commands ask

    given = os.environ.get("BACKBONE_BENCH_STATE")
    return (Path(given) if given else user_state_path("backbone-bench")) / "plugins.jsonl"


def _read_known_lines() -> set[str]:
    try:
        # By line feeds alone, which is what ends a line of JSON.
        return set(_known_plugins_file().read_text(encoding="utf-8", errors="replace").split("\n"))
    except OSError:
        return set()


def _plugin_line(file: Path) -> str:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    place = os.fsencode(file.resolve()).decode("utf-8", "backslashreplace")
    return json.dumps({"plugin": place, "sha256": digest})
