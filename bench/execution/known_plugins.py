"""The plugin files that this user has run, so that another user's run cannot have one imported.

A run's folder may come from anyone, and importing a plugin runs its code. The files that a user
gave to `run` are remembered outside of all results, by place and content: a copy elsewhere may have
other files next to it, which a plugin may import.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from platformdirs import user_state_path

from bench.system.plugin_files import plugin_files


def remember(plugins: Iterable[Path]) -> None:
    """Remember the files that `--plugin PATH` meant in a run of this user."""
    new = [f"{_line(file)}\n" for file in unknown(plugins)]
    # If it cannot be written, only `verify` changes: it then asks for the plugin by name.
    with suppress(OSError):
        if new:
            _file().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _file().open("a", encoding="utf-8") as file:
                file.write("".join(new))


def unknown(plugins: Iterable[Path]) -> list[Path]:
    """Return the files of these plugins that no run of this user used as they are now."""
    known = _known()
    return [file for path in plugins for file in plugin_files(path) if _line(file) not in known]


def _file() -> Path:
    """Return the file in this user's state: `$BACKBONE_BENCH_STATE`, or the system's folder."""
    given = os.environ.get("BACKBONE_BENCH_STATE")
    return (Path(given) if given else user_state_path("backbone-bench")) / "plugins.jsonl"


def _known() -> set[str]:
    try:
        # By line feeds alone, which is what ends a line of JSON.
        return set(_file().read_text(encoding="utf-8", errors="replace").split("\n"))
    except OSError:
        return set()


def _line(file: Path) -> str:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    place = os.fsencode(file.resolve()).decode("utf-8", "backslashreplace")
    return json.dumps({"plugin": place, "sha256": digest})
