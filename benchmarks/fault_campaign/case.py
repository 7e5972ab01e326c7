"""One case of a kind of fault: from a new home, through commands, to its verdict."""

from __future__ import annotations

import random
import re
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import judging
from .home import Home
from .injection import Fault, Injector, Side
from .processes import Command, Outcome, orphans

SHOWN = 1500  # characters of what a command said, the last ones
TIMEOUT = 240.0  # for a command that takes seconds undisturbed, on a machine that does much else
PEAK_BYTES = 1_500_000_000  # more memory than that is a fault of its own
REPORT = ("report", "r", "--results", "results")
OK, ERROR, USAGE, PARTLY, INTERRUPTED = 0, 1, 2, 3, 130

Play = Callable[["Case"], None]


@dataclass(frozen=True)
class Kind:
    """One kind of fault, and how often it is drawn."""

    name: str
    play: Play
    weight: float
    framework: bool
    state: str


KINDS: dict[str, Kind] = {}


def kind(
    weight: float = 1.0, *, state: str = "cold", framework: bool = False
) -> Callable[[Play], Play]:
    """Register a function as a kind of fault; its cases begin in `state`."""

    def register(play: Play) -> Play:
        name = play.__name__.replace("_", "-")
        KINDS[name] = Kind(name, play, weight, framework, state)
        return play

    return register


@dataclass(frozen=True)
class Verdict:
    """The outcome of one case."""

    kind: str
    number: int
    what: str
    problems: tuple[str, ...]
    seconds: float


class Stage:
    """The state shared by all cases of one process: a home in its states, and facts about each.

    cold        nothing computed yet; the undisturbed command is a run of the folder of images
    warm        after that; the undisturbed command renders its report
    archive     nothing computed yet; the undisturbed command is a run of the archive
    extracted   after that
    """

    def __init__(self, work: Path) -> None:
        self.home = home = Home(work)
        self.trained: judging.Figures = {}  # by a framework, once that was needed
        self.seconds: dict[str, float] = {}  # that the undisturbed command took
        self._points: dict[str, list[tuple[str, str]]] = {}
        home.lay_out()
        self._undisturbed("cold", home.run())
        home.keep("warm")
        self.figures = judging.figures(home.results / "r")
        self.per_class = (home.results / "r" / "per_class.csv").read_text(encoding="utf-8")

    def begin(self, state: str) -> None:
        """Put the home into a state, which is prepared at its first use."""
        if state == "warm" and state not in self._points:
            self._undisturbed("warm", REPORT)
        if state in ("archive", "extracted") and "archive" not in self._points:
            self.home.restore("cold")
            self.home.keep("archive")
            self._undisturbed("archive", self.home.run(data=self.home.archive))
            self.home.keep("extracted")
        self.home.restore(state)

    def count(self, state: str, where: Side, match: str = "") -> int:
        """Return the number of injection points of the undisturbed command."""
        found = [path for side, path in self._points[state] if side == where]
        return sum(1 for path in found if re.search(match, path))

    def _undisturbed(self, state: str, words: Sequence[str]) -> None:
        self.home.restore(state)
        log = self.home.root.parent / f"points-{state}"
        outcome = run_whole(words, self.home.root, Injector(self.home.root, log=log))
        self.seconds[state] = outcome.seconds
        lines = (line.split("\t") for line in log.read_text().splitlines())
        self._points[state] = [(where, path.strip("'\"")) for where, _, path in lines]


def run_whole(
    words: Sequence[str],
    folder: Path,
    injector: Injector | None = None,
    entry: Callable[[Sequence[str]], int] | None = None,
) -> Outcome:
    """Run an undisturbed command, which must complete the run."""
    outcome = Command(words, folder, injector=injector, entry=entry).wait(TIMEOUT)
    if outcome.code != OK:
        said = outcome.output[-SHOWN:]
        raise RuntimeError(f"undisturbed, it ended with {outcome.code}: {said}")
    return outcome


class Case:
    """One case: its home, its random generator, and the problems found."""

    def __init__(self, stage: Stage, rng: random.Random) -> None:
        self.stage, self.home, self.rng = stage, stage.home, rng
        self.what: list[str] = []
        self.problems: list[str] = []
        self._running: list[Command] = []

    def note(self, what: object) -> None:
        """Note a step of the case, for the report of a failure."""
        self.what.append(str(what))

    def wrong(self, problem: str) -> None:
        self.problems.append(problem)

    def start(self, words: Sequence[str], **how: Any) -> Command:
        """Start a command; `how`: see `Command`, and `fault` to inject."""
        fault: Fault | None = how.pop("fault", None)
        if fault is not None:
            self.note(fault)
            how["injector"] = Injector(self.home.root, fault)
        command = Command(words, self.home.root, **how)
        self._running.append(command)
        return command

    def finish(self, command: Command, codes: Sequence[int]) -> Outcome:
        """Wait for the command, and judge its exit code and output."""
        outcome = command.wait(TIMEOUT)
        name = f"`{outcome.words[0]}`"
        if outcome.hung:
            self.wrong(f"{name} hangs: {outcome.output[-SHOWN:]}")
        elif outcome.code not in codes:
            self.wrong(f"{name} ended with {outcome.code}, not {codes}: {outcome.output[-SHOWN:]}")
        if outcome.peak_bytes > PEAK_BYTES:
            self.wrong(f"{name} took {outcome.peak_bytes / 1e9:.1f} GB of memory")
        self.problems += judging.badly_told(outcome.output)
        return outcome

    def do(self, words: Sequence[str], codes: Sequence[int] = (OK,), **how: Any) -> Outcome:
        """Start and finish a command."""
        return self.finish(self.start(words, **how), codes)

    def check_run(self, name: str = "r", figures: judging.Figures | None = None) -> None:
        """Check that the run is complete, with the figures of the undisturbed run or given ones."""
        stage = self.stage
        wanted, table = (stage.figures, stage.per_class) if figures is None else (figures, None)
        self.problems += judging.incomplete(self.home.results / name, wanted, table)

    def check_table(self, name: str = "r") -> None:
        """Check that the figures by class are those of the undisturbed run, or some of them."""
        if judging.other_figures(self.home.results / name, self.stage.per_class):
            self.wrong("`report` ended with 0 and other figures")

    def run_whole(self, *more: str, name: str = "r", data: Path | None = None) -> None:
        """Repeat the command, which must complete the run."""
        if self.do(self.home.run(*more, name=name, data=data)).code == OK:
            self.check_run(name)

    def disturb(
        self, codes: Sequence[int], *more: str, data: Path | None = None, **how: Any
    ) -> Outcome:
        """Run a disturbed command; if it exits with 0, the run must be complete."""
        outcome = self.do(self.home.run(*more, data=data), codes, **how)
        if outcome.code == OK:
            self.check_run()
        return outcome

    def end(self) -> None:
        for command in self._running:
            with suppress(ChildProcessError, ProcessLookupError):
                command.kill(signal.SIGKILL)
                command.wait(TIMEOUT)


def play(stage: Stage, chosen: Kind, seed: int, number: int) -> Verdict:
    """Run one case, from a new home to its verdict."""
    begun = time.monotonic()
    stage.begin(chosen.state)
    before = stage.home.users_files()
    case = Case(stage, random.Random(f"{seed}/{chosen.name}/{number}"))
    try:
        chosen.play(case)
    except Exception:
        case.wrong(f"the campaign itself failed: {traceback.format_exc()}")
    finally:
        case.end()
    case.problems += [f"orphan: {process}" for process in orphans()]
    case.problems += judging.left_behind(stage.home)
    after = stage.home.users_files()
    for name in sorted(before):
        if after[name] != before[name]:
            case.wrong(f"the user's {name} was changed")
    what = "; ".join(case.what)
    return Verdict(chosen.name, number, what, tuple(case.problems), time.monotonic() - begun)
