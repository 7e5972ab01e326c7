"""Contents that nodes fetch by SHA-256 if they lack them: pretrained weights, decoded images, and
the files of a run that are needed to measure its models.

The transport provides two functions: `put` makes a content available on the driver, and `fetch`
gets it on the node.
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
    """The decoded images of one split at one size, in parts."""

    split: SplitName
    size: int
    description: str
    cost_seconds: float  # spent decoding them, to be added to times from cold caches
    parts: tuple[str, ...]  # their SHA-256


@dataclass(frozen=True)
class FetchedFile:
    """A file that a node fetches into its job's folder."""

    path: str  # in the job's folder
    sha256: str


class Offer:
    """The contents that the driver makes available to the nodes of a run, each once."""

    def __init__(self, put: Callable[[str, bytes], None]) -> None:
        self._put = put
        self._files: set[str] = set()
        self._images: dict[tuple[SplitName, int], SentImages] = {}
        self._lock = threading.Lock()

    def offer_weights(self, located: LocatedWeights | None) -> None:
        """Offer pretrained weights; `WorkerDiedError` if the file has changed since the plan."""
        if located is None or located.sha256 in self._files:
            return
        if self._offer_file(Path(located.path)) != located.sha256:
            raise WorkerDiedError(f"{located.location} was changed since the plan.")

    def offer_run_files(self, job: Job) -> tuple[FetchedFile, ...]:
        """Offer the files for a measuring job: records, arrays, trained and pretrained weights."""
        folder, found = Path(job.folder), list[FetchedFile]()
        for pattern in ("run.json", "records.jsonl", "arrays/*.npz", "weights/*.npz"):
            for path in sorted(folder.glob(pattern)):
                name = path.relative_to(folder).as_posix()
                found.append(FetchedFile(name, self._offer_file(path)))
        for row, located in job.pretrained.items():
            self.offer_weights(located)
            name = f"{SENT_FOLDER}/{row}.{Path(located.path).name}"
            found.append(FetchedFile(name, located.sha256))
        return tuple(found)

    def _offer_file(self, path: Path) -> str:
        """Offer a file and return its SHA-256."""
        with self._lock:
            content = path.read_bytes()
            sha256 = hashlib.sha256(content).hexdigest()
            if sha256 not in self._files:
                self._put(sha256, content)
                self._files.add(sha256)
            return sha256

    def offer_images(self, job: Job) -> tuple[SentImages, ...]:
        """Offer the decoded images of a job, from this machine's cache."""
        sizes = sorted({trial.input_size for trial in job.trials})
        wanted = [(split, size) for split in SPLITS for size in sizes]
        with self._lock:
            for split, size in wanted:
                if (split, size) not in self._images:
                    self._images[split, size] = self._offer_split(job, split, size)
            return tuple(self._images[split, size] for split, size in wanted)

    def _offer_split(self, job: Job, split: SplitName, size: int) -> SentImages:
        from bench.data import pixels  # late: registering the executor must stay cheap

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
    """Fetch pretrained weights into the job's folder; return them with their path there."""
    if located is None:
        return None
    file = FetchedFile(f"{SENT_FOLDER}/{Path(located.path).name}", located.sha256)
    place_files(folder, (file,), fetch)
    return replace(located, path=str(folder / file.path))


def place_files(folder: Path, files: tuple[FetchedFile, ...], fetch: Fetch) -> None:
    """Fetch files into the job's folder."""
    for file in files:
        write_atomic(folder / file.path, _fetch_verified(file.sha256, fetch, file.path))


def place_images(job: Job, sent: tuple[SentImages, ...], store: Store, fetch: Fetch) -> None:
    """Fetch the images that this node's cache lacks into it."""
    from bench.data import pixels

    for one in sent:
        split = job.dataset.splits[one.split]
        pixels.store_images(
            split, one.size, _rows(one, fetch), one.description, one.cost_seconds, store
        )


def _rows(sent: SentImages, fetch: Fetch) -> Iterator[NDArray[np.uint8]]:
    for part in sent.parts:
        content = _fetch_verified(part, fetch, f"a part of the {sent.split} images")
        yield np.frombuffer(content, np.uint8).reshape(-1, sent.size, sent.size, 3)


def _fetch_verified(sha256: str, fetch: Fetch, what: str) -> bytes:
    """Fetch a content and check its SHA-256; try twice, then raise `NodeLostError`."""
    why = ""
    for _ in range(2):
        try:
            content = fetch(sha256)
        except Exception as error:  # a transport may raise any type
            why = f"did not arrive ({one_line(error)[:200]})"
            continue
        if hashlib.sha256(content).hexdigest() == sha256:
            return content
        why = "arrived damaged"
    raise NodeLostError(f"{what} {why}.")
