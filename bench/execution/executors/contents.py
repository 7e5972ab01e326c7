"""What nodes fetch, by its SHA-256, where they lack it: pretrained weights, decoded images, and of
a run what its models are measured with.

How it is carried is the transport's matter: `put` of `Offer` makes a content available, once, and
`fetch` gets it where the job runs.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.errors import NodeLostError, WorkerDiedError, one_line
from bench.models.weights import SENT_FOLDER, LocatedWeights
from bench.storage.cache import Store
from bench.system.files import write_atomic
from bench.system.memory import release_pages
from bench.training.job import Job
from bench.types import SPLITS, SplitName

PART_BYTES = 1 << 25
Fetch: TypeAlias = Callable[[str], bytes]


@dataclass(frozen=True)
class SentImages:
    """A split's decoded images at one size, in parts."""

    split: SplitName
    size: int
    description: str
    cost_seconds: float  # to decode them, which a trial from cold caches would take
    parts: tuple[str, ...]


@dataclass(frozen=True)
class FetchedFile:
    """A file of a job's folder."""

    path: str
    sha256: str


class Offer:
    """What this machine has for the nodes of a run."""

    def __init__(self, put: Callable[[str, bytes], None]) -> None:
        self._put = put
        self._files: set[str] = set()
        self._images: dict[tuple[SplitName, int], SentImages] = {}
        self._lock = threading.Lock()

    def weights(self, located: LocatedWeights | None) -> None:
        """Offer pretrained weights."""
        if located is None or located.sha256 in self._files:
            return
        if self._file(Path(located.path)) != located.sha256:
            raise WorkerDiedError(f"{located.location} was changed since the plan.")

    def measuring(self, job: Job) -> tuple[FetchedFile, ...]:
        """Offer what a measuring job needs besides images: the run's records with their arrays and
        trained weights, and the weights that its trials began with."""
        folder, found = Path(job.folder), list[FetchedFile]()
        for pattern in ("run.json", "records.jsonl", "arrays/*.npz", "weights/*.npz"):
            for path in sorted(folder.glob(pattern)):
                name = path.relative_to(folder).as_posix()
                found.append(FetchedFile(name, self._file(path)))
        for row, located in job.pretrained.items():
            self.weights(located)
            name = f"{SENT_FOLDER}/{row}.{Path(located.path).name}"
            found.append(FetchedFile(name, located.sha256))
        return tuple(found)

    def _file(self, path: Path) -> str:
        with self._lock:
            content = path.read_bytes()
            sha256 = hashlib.sha256(content).hexdigest()
            if sha256 not in self._files:
                self._put(sha256, content)
                self._files.add(sha256)
            return sha256

    def images(self, job: Job) -> tuple[SentImages, ...]:
        """Offer the images of a job, which are in the cache here."""
        sizes = sorted({trial.input_size for trial in job.trials})
        with self._lock:
            for place in ((split, size) for split in SPLITS for size in sizes):
                if place not in self._images:
                    self._images[place] = self._offered(job, *place)
            return tuple(self._images[split, size] for split in SPLITS for size in sizes)

    def _offered(self, job: Job, split: SplitName, size: int) -> SentImages:
        from bench.data import pixels  # late: `list` needs only the executor's name

        store = Store(Path(job.store), job.store_limit_bytes)
        entry = pixels.get_entry(job.dataset, split, size, store)
        array, rows = entry.array(), max(1, PART_BYTES // pixels.array_bytes(1, size))
        parts = []
        for start in range(0, len(array), rows):
            content = array[start : start + rows].tobytes()
            release_pages(array)
            parts.append(hashlib.sha256(content).hexdigest())
            self._put(parts[-1], content)
        store.release()
        return SentImages(split, size, entry.description, entry.cost_seconds, tuple(parts))


def place_weights(
    folder: Path, located: LocatedWeights | None, fetch: Fetch
) -> LocatedWeights | None:
    """Write the pretrained weights into the job's folder, and return them as they are there."""
    if located is None:
        return None
    file = FetchedFile(f"{SENT_FOLDER}/{Path(located.path).name}", located.sha256)
    place_files(folder, (file,), fetch)
    return replace(located, path=str(folder / file.path))


def place_files(folder: Path, files: tuple[FetchedFile, ...], fetch: Fetch) -> None:
    """Write files into the job's folder."""
    for file in files:
        write_atomic(folder / file.path, _fetched(file.sha256, fetch, file.path))


def place_images(job: Job, sent: tuple[SentImages, ...], store: Store, fetch: Fetch) -> None:
    """Put the images into this node's cache, as far as they are not in it."""
    from bench.data import pixels

    for one in sent:
        split = job.dataset.splits[one.split]
        pixels.store_images(
            split, one.size, _rows(one, fetch), one.description, one.cost_seconds, store
        )


def _rows(sent: SentImages, fetch: Fetch) -> Iterator[NDArray[np.uint8]]:
    for part in sent.parts:
        content = _fetched(part, fetch, f"a part of the {sent.split} images")
        yield np.frombuffer(content, np.uint8).reshape(-1, sent.size, sent.size, 3)


def _fetched(sha256: str, fetch: Fetch, what: str) -> bytes:
    """Return a content, which is asked for twice at most."""
    why = ""
    for _ in range(2):
        try:
            content = fetch(sha256)
        except Exception as error:  # the transport's own, of any type
            why = f"did not arrive ({one_line(error)[:200]})"
            continue
        if hashlib.sha256(content).hexdigest() == sha256:
            return content
        why = "arrived damaged"
    raise NodeLostError(f"{what} {why}.")
