"""A user at a terminal, with a folder of images and a protocol.

`User.run` starts the command as a process of its own, which trains; `User.main` runs it in this
process with a scripted executor, within milliseconds.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from scripted_executor import ScriptedExecutor
from tiny import write_images

from bench.cli.main import main
from bench.execution.executors import Executor
from bench.registry import BACKBONES, load_plugins
from bench.storage.records import StoredRun, read_run

ROOT = Path(__file__).resolve().parents[2]
OURS = ("backbones",)  # as run_bench.py says
PLUGINS = Path(__file__).parent / "plugins"
PROTOCOL = """
[head]
dropout = 0.2
[[phases]]
name = "head"
epochs = 3
learning_rate = 1e-2
augment = { flip = true }
[[phases]]
name = "fine-tune"
epochs = 2
learning_rate = 1e-3
unfreeze = { stages = 1 }
"""

Ended = subprocess.CompletedProcess[str]


class User:
    """A user with 48 images of cats and dogs for training and validation, and 24 for the test."""

    program = (sys.executable, str(ROOT / "run_bench.py"))

    def __init__(self, home: Path) -> None:
        self.home = home
        self.results = home / "results"
        write_images(home / "data", {"train": 48, "test": 24})
        (home / "mine.toml").write_text(PROTOCOL)

    def words(self, *more: str, backbones: str = "tiny") -> list[str]:
        """Return the words of `run`; options in `more` override the others."""
        return [
            *("--backbones", backbones, "--dataset", str(self.home / "data")),
            *("--protocol", str(self.home / "mine.toml"), "--batch-size", "8"),
            *("--results", str(self.results), "--cache", str(self.home / "cache")),
            *("--latency-seconds", "0.05", "--run", "r", *more),
        ]

    def command(self, *more: str, backbones: str = "tiny") -> list[str]:
        """Return the command line for a process of its own."""
        words = self.words("--plugin", str(PLUGINS), *more, backbones=backbones)
        return [*self.program, *words]

    def run(self, *more: str, backbones: str = "tiny") -> Ended:
        """Run the command with real training, in processes of their own."""
        return process(self.home, *self.command(*more, backbones=backbones))

    def main(self, *more: str, executor: Executor | None = None, backbones: str = "tiny") -> Ended:
        """Run the command in this process, without training."""
        return in_process(self.home, *self.words(*more, backbones=backbones), executor=executor)

    def load(self, name: str = "r") -> StoredRun:
        """Read a run."""
        return read_run(self.results / name)


def process(home: Path, *command: str) -> Ended:
    """Run a command in `home` until it ends."""
    return subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)


def in_process(home: Path, *words: str, executor: Executor | None = None) -> Ended:
    """Run the command line in this process, with an executor that trains nothing.

    Changes of a command to its process are undone: signal handlers, environment, backbones.
    """
    out, err = io.StringIO(), io.StringIO()
    with unchanged(), chdir(home), redirect_stdout(out), redirect_stderr(err):
        try:
            code = main(words, OURS, executor or ScriptedExecutor())
        except SystemExit as ending:  # as argparse ends
            code = int(ending.code or 0)
    return Ended(words, code, out.getvalue(), err.getvalue())


@contextmanager
def unchanged() -> Iterator[None]:
    load_plugins(packages=OURS)  # they register themselves once in a process
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = {number: signal.getsignal(number) for number in numbers}
    environment, names = dict(os.environ), set(BACKBONES.names)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.environ.clear()
        os.environ.update(environment)
        for name in set(BACKBONES.names) - names:
            BACKBONES.remove(name)
        for module in [name for name in sys.modules if name.startswith("backbone_bench_plugin_")]:
            del sys.modules[module]  # else the file would not register again


if __name__ == "__main__":  # the command with an executor that trains nothing, to be killed
    sys.exit(main(sys.argv[1:], executor=ScriptedExecutor()))
