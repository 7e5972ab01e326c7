"""Every error a user can meet, as one tree.

    BenchError                 exit 1   something a user can act on; shown as one or two lines
      UsageError               exit 2   the command line or a file it names is wrong
        UnknownNameError       exit 2   a name that no registry holds
        ProtocolError          exit 2   a protocol file that cannot be followed
        PluginError            exit 2   a backbone plugin could not be loaded
      DatasetError             exit 1   the images cannot be used as asked
      WeightsError             exit 1   pretrained weights are missing or damaged
        MissingWeightsError    exit 1   they cannot be had here
      CheckError               exit 1   a backbone is not what its declaration says
      TrialError               exit 1   one trial cannot be run; it becomes a failed record
        DivergedError          exit 1   training came to nothing: the loss is no longer a number
      WorkerDiedError          exit 1   the process of a trial ended without a record
        OutOfMemoryError       exit 1   it had not enough memory; less might do
      StoppedError             exit 1   work was ended while it ran, by whoever closed it

Messages say what was wrong, what was received and what to do, and carry no traceback. Anything
that is not a `BenchError` is a fault of this program.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

FEW_NAMES = 8  # as many fit into a message
MOST_NEAREST = 3


class BenchError(Exception):
    """Something the user can act on; its text is the whole message."""

    exit_code = 1


class UsageError(BenchError):
    """The command line, or a file that it names, is wrong."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that no registry holds; the message tells the nearest matches, and all that are known
    where they are few."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, remedy: str = "") -> None:
        """`remedy`: what shows all that are known; without it, the message does."""
        names = sorted(known)
        nearest = get_close_matches(name.lower(), names, n=MOST_NEAREST, cutoff=0.5)
        many = bool(remedy) and len(names) > FEW_NAMES
        # Where all names follow, the nearest one is enough of a hint.
        hint = f" Did you mean {_either(nearest if many else nearest[:1])}?" if nearest else ""
        listed = ", ".join(names) if names else "none"
        rest = f"{remedy} shows all {len(names)}" if many else f"Known: {listed}"
        super().__init__(f"unknown {kind} {name!r}.{hint} {rest}.")
        self.name = name
        self.nearest = nearest[0] if nearest else None


class ProtocolError(UsageError):
    """A protocol file that cannot be followed; the message names the key."""


class DatasetError(BenchError):
    """The images cannot be used as asked."""


class WeightsError(BenchError):
    """Pretrained weights are missing or damaged."""


class MissingWeightsError(WeightsError):
    """Weights that are not available: `what` is a backbone's own, `why` may be that of several.

    `temporary`: a download failed that may succeed when it is tried again.
    """

    def __init__(self, what: str, why: str, *, temporary: bool = False) -> None:
        super().__init__(f"{what} {why}")
        self.why, self.temporary = why, temporary


class PluginError(UsageError):
    """A backbone plugin could not be loaded; the message names the file and the cause."""


class CheckError(BenchError):
    """A backbone is not what its declaration says; the message is one check's reason."""


class TrialError(BenchError):
    """One trial cannot be run; it becomes a failed record and the others go on."""


class DivergedError(TrialError):
    """Training came to nothing: the loss is no longer a number."""


class WorkerDiedError(BenchError):
    """The process of a trial ended without a record; the message says how."""


class OutOfMemoryError(WorkerDiedError):
    """The process of a trial had not enough memory; the trials left might do with less."""


class StoppedError(BenchError):
    """The executor was closed while the job ran."""


def _either(names: Sequence[str]) -> str:
    *others, last = map(repr, names)
    return f"{', '.join(others)} or {last}" if others else last


def reason(error: Exception) -> str:
    """Any error as the reason that a record gives."""
    if isinstance(error, BenchError):
        return str(error)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:500]}"
