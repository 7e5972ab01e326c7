"""All errors that a user may see, as one tree.

    BenchError                 exit 1   an error that the user can fix; shown as one or two lines
      UsageError               exit 2   the command line or a file it names is wrong
        UnknownNameError       exit 2   a name is not registered
        ProtocolError          exit 2   a protocol file is invalid
        PluginError            exit 2   a backbone plugin cannot be loaded
      DatasetError             exit 1   the images cannot be used as requested
        NoDatasetError         exit 2   no data set has that name
      WeightsError             exit 1   pretrained weights are missing or damaged
        MissingWeightsError    exit 1   pretrained weights are not available on this machine
      NotRankedError           exit 3   the run ranks nothing, so there is no best backbone
      CheckError               exit 1   a backbone does not match its declaration
      TrialError               exit 1   one trial cannot be run; it becomes a failed record
        DivergedError          exit 1   training diverged: the loss is no longer a number
      WorkerDiedError          exit 1   the process of a trial ended without a record
        OutOfMemoryError       exit 1   the process ran out of memory; smaller steps may fit
        NodeLostError          exit 1   the machine of a job was lost; another may run it
      StoppedError             exit 1   the executor was closed while the job ran
      DetachedError            exit 0   not a failure: jobs continue without this process

Messages say what was wrong, what was received and what to do, without a traceback. Any error that
is neither a `BenchError` nor in `OS_ERRORS` is a bug of this program.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from enum import IntEnum

MAX_LISTED = 8  # names that fit into a message
MAX_NEAREST = 3


class Exit(IntEnum):
    """Exit codes of all commands; `EXIT_CODES` describes them."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    INCOMPLETE = 3
    RULE_BROKEN = 4
    INTERRUPTED = 130


EXIT_CODES: Mapping[Exit, str] = {
    Exit.DONE: "all done",
    Exit.ERROR: "an error, or `check` or `verify` found a difference",
    Exit.USAGE: "the command line is wrong, or names something that does not exist",
    Exit.INCOMPLETE: (
        "some trials failed, were skipped or are not comparable, or `predict` could not read an "
        "image"
    ),
    Exit.RULE_BROKEN: "a rule of `compare` is broken, or no backbone is within `choose`'s limits",
    Exit.INTERRUPTED: "interrupted",
}


class BenchError(Exception):
    """An error that the user can fix; its text is the whole message."""

    exit_code = Exit.ERROR


class UsageError(BenchError):
    """The command line, or a file that it names, is wrong."""

    exit_code = Exit.USAGE


class UnknownNameError(UsageError):
    """A name is not registered; the message suggests similar names, and lists all if few."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, remedy: str = "") -> None:
        """`remedy`: the command that lists all known names; if empty, the message lists them."""
        names = sorted(known)
        nearest = get_close_matches(name.lower(), names, n=MAX_NEAREST, cutoff=0.5)
        many = bool(remedy) and len(names) > MAX_LISTED
        # If all names follow, the nearest one is enough of a hint.
        hint = f" Did you mean {_join_or(nearest if many else nearest[:1])}?" if nearest else ""
        listed = ", ".join(names) if names else "none"
        rest = f"{remedy} shows all {len(names)}" if many else f"Known: {listed}"
        super().__init__(f"unknown {kind} {name!r}.{hint} {rest}.")


class ProtocolError(UsageError):
    """A protocol file is invalid; the message names the key."""


class DatasetError(BenchError):
    """The images cannot be used as requested."""


class NoDatasetError(DatasetError):
    """No data set has the name that the user gave."""

    exit_code = Exit.USAGE


class WeightsError(BenchError):
    """Pretrained weights are missing or damaged."""


class MissingWeightsError(WeightsError):
    """Pretrained weights are not available on this machine.

    `what` names the weights, `why` is the reason, which several backbones may share. `temporary`: a
    download failed that may succeed when it is repeated.
    """

    def __init__(self, what: str, why: str, *, temporary: bool = False) -> None:
        super().__init__(f"{what} {why}")
        self.why, self.temporary = why, temporary


class PluginError(UsageError):
    """A backbone plugin cannot be loaded; the message names the file and the cause."""


class NotRankedError(BenchError):
    """The run ranks nothing, so there is no best backbone."""

    exit_code = Exit.INCOMPLETE


class CheckError(BenchError):
    """A backbone does not match its declaration; the message is the reason of one check."""


class TrialError(BenchError):
    """One trial cannot be run; it becomes a failed record and the others continue."""


class DivergedError(TrialError):
    """Training diverged: the loss is no longer a number."""


class WorkerDiedError(BenchError):
    """The process of a trial ended without a record; the message says how it ended."""


class OutOfMemoryError(WorkerDiedError):
    """The process of a trial ran out of memory; the remaining trials may need less.

    `parts`: the number of parts into which the process split each batch.
    """

    def __init__(self, message: str, *, parts: int = 1) -> None:
        super().__init__(message)
        self.parts = parts


class NodeLostError(WorkerDiedError):
    """The machine of a job, or the connection to it, was lost before the job's end."""


class StoppedError(BenchError):
    """The executor was closed while the job ran."""


class DetachedError(BenchError):
    """The run is not complete, but its jobs continue without this process."""

    exit_code = Exit.DONE


def _join_or(names: Sequence[str]) -> str:
    *others, last = map(repr, names)
    return f"{', '.join(others)} or {last}" if others else last


PERMISSION_REMEDY = "make it readable and writable, or name another folder (--results, --cache)"
OS_ERRORS: Mapping[int, tuple[str, str]] = {
    errno.ENOSPC: ("no space left on the disk", "free some (`cache clear` frees the cache)"),
    errno.EDQUOT: ("the disk quota is used up", "free some space or have it raised"),
    errno.EFBIG: ("the file is larger than this process may write", "raise `ulimit -f`"),
    errno.EACCES: ("permission denied", PERMISSION_REMEDY),
    errno.EPERM: ("permission denied", PERMISSION_REMEDY),
    errno.EROFS: ("the file system is read-only", "name another folder (--results, --cache)"),
    errno.ENOTDIR: ("a file is where a folder is needed", "name another folder, or move the file"),
    errno.EEXIST: ("a file is where a folder is needed", "name another folder, or move the file"),
    errno.EISDIR: ("a folder is where a file is needed", "move it elsewhere"),
    errno.ELOOP: ("the symbolic link leads to itself", "remove it"),
    errno.ENAMETOOLONG: ("the name is too long", "give a shorter one"),
    errno.EMFILE: ("too many files are open", "raise `ulimit -n`"),
    errno.EIO: ("the disk failed to read or write", "check the disk"),
    errno.ENOMEM: ("out of memory", "close other programs"),
}


def os_error_text(error: BaseException) -> str:
    """Return an operating-system error as a message with a remedy; "" if a user cannot fix it."""
    if not isinstance(error, OSError) or (error.errno or 0) not in OS_ERRORS:
        return ""
    what, remedy = OS_ERRORS[error.errno or 0]
    path = error.filename2 if error.filename2 is not None else error.filename
    return f"{f'{path}: ' if path is not None else ''}{what}; {remedy}."


def one_line(error: BaseException) -> str:
    """Return the text of an error in one line, even if a plugin's error fails to give one."""
    try:
        return " ".join(str(error).split())
    except Exception as second:
        return f"(its text raises {type(second).__name__})"


def failure_reason(error: Exception) -> str:
    """Return the text of any error, as a record's `reason`."""
    if isinstance(error, BenchError):
        text = str(error)
    else:
        text = os_error_text(error) or f"{type(error).__name__}: {one_line(error)[:500]}"
    # It may contain a file name that is not valid Unicode, which tables and terminals refuse.
    return text.encode(errors="backslashreplace").decode()
