"""Run a job on another machine: `serve` runs it on the node, `receive` takes in its results on the
driver. A transport, such as Ray, carries what `serve` yields, and needs to know nothing about it.

`serve` yields events and files, each file before the event that needs it. On the node, a job has
its own folder in the cache, removed at its end, or by the next job if its process was killed. Only
the driver writes to the run's folder.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from bench.errors import BenchError, NodeLostError, WorkerDiedError, failure_reason
from bench.execution.executors.contents import (
    Fetch,
    FetchedFile,
    SentImages,
    place_files,
    place_images,
    place_weights,
)
from bench.execution.executors.local_process import LocalProcess
from bench.storage.cache import CACHE_VARIABLE, Store
from bench.system.environment import VARIABLES, describe_environment
from bench.system.files import is_file_name, write_atomic
from bench.system.frameworks import keras_backend
from bench.training.events import Ended, Event, RecordMade, RecordMeasured, Waiting
from bench.training.job import Job

GPUS = "CUDA_VISIBLE_DEVICES"  # set by the node, never forwarded
BACKEND = "KERAS_BACKEND"
FORWARDED = (BACKEND, *(name for name in VARIABLES if name != GPUS))
FRAMEWORKS = {"jax": ("jax", "jaxlib"), "torch": ("torch",)}


@dataclass(frozen=True)
class SentFile:
    """A file that a node sends for the run's folder."""

    path: str  # in that folder: arrays/KEY.npz, weights/KEY.npz, logs/NAME.log
    sha256: str
    content: bytes


Sent: TypeAlias = Event | SentFile


@dataclass(frozen=True)
class Order:
    """A job with all that a node needs to run it."""

    job: Job
    cores: int
    gpus: float
    trial_timeout: float | None  # seconds; None: not limited
    images: tuple[SentImages, ...] = ()  # to fetch; empty: the node decodes them itself
    files: tuple[FetchedFile, ...] = ()  # of the run, needed to measure its models
    # Of the driver; the node must have the same versions.
    variables: Mapping[str, str] = field(
        default_factory=lambda: (
            {name: os.environ[name] for name in FORWARDED if name in os.environ}
            | {BACKEND: keras_backend()}
        )
    )
    versions: Mapping[str, str] = field(default_factory=lambda: versions())


def versions(keras_backend: str = "") -> dict[str, str]:
    """Return the installed versions of the packages that a trial's figures depend on.

    `keras_backend`: the trial's backend; "": that of this process.
    """
    found = describe_environment()
    keras_backend = keras_backend or found["keras_backend"]
    named = ("keras", "numpy", *FRAMEWORKS.get(keras_backend, (keras_backend,)))
    return {
        "backbone-bench": found["backbone_bench"],
        "commit": found["commit"],
        "python": found["python"],
        **{name: found["versions"].get(name, "none") for name in named},
    }


def check_versions(asked: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Raise `BenchError` with the packages whose version on a node differs from the one `asked`.

    The commit is compared only if both sides know it: an installed package does not.
    """
    different = [
        f"{name} {found.get(name, 'none')} instead of {version}"
        for name, version in asked.items()
        if found.get(name) != version and not (name == "commit" and "" in (version, found[name]))
    ]
    if different:
        raise BenchError(
            f"other versions than here: {', '.join(different)}; install the same on every node."
        )


def serve(order: Order, fetch: Fetch) -> Generator[Sent]:
    """Run a job on this node; yield its events and the files that it makes.

    Pretrained weights are fetched from the driver; images are fetched if the order lists them, and
    decoded here otherwise.
    """
    node = platform.node()
    yield Waiting(f"starting on {node}")
    root = os.environ.get(CACHE_VARIABLE, order.job.store)  # a node may have another folder
    store = Store(Path(root), order.job.store_limit_bytes)
    try:
        _set_variables(order)
        check_versions(order.versions, versions())
        executor = _reuse_executor(order)
        executor.warm_up()  # loads the framework while images are fetched or decoded
        store.remove_stale()
        with store.temporary_folder() as folder:
            job = replace(
                order.job,
                folder=str(folder),
                store=str(store.root),
                slots=1,
                node=node,
                weights=place_weights(folder, order.job.weights, fetch),
            )
            place_files(folder, order.files, fetch)
            if order.images:
                yield Waiting(f"receiving images on {node}")
                place_images(job, order.images, store, fetch)
            else:
                _restore_images(job, store)
            with closing(executor.events(job)) as events:
                yield from _with_files(events, folder, node, executor.notes)
    except (BenchError, OSError) as error:
        lost = isinstance(error, NodeLostError)
        yield Ended(1, message=f"node {node}: {failure_reason(error)}", lost=lost)
    finally:
        store.release()


_kept: tuple[Any, LocalProcess] | None = None  # the settings it was made for, and the executor


def close_kept_executor() -> None:
    """Close the executor that is kept for this process's next job, and free its cores."""
    global _kept
    if _kept is not None:
        _kept[1].close()
        _kept = None


def _set_variables(order: Order) -> None:
    """Set the driver's environment variables, and hide GPUs that the job was not granted."""
    for name in FORWARDED:  # remove the node's own, such as OMP_NUM_THREADS, which Ray sets
        os.environ.pop(name, None)
    os.environ.update(order.variables)
    if not order.gpus:
        os.environ[GPUS] = ""


def _reuse_executor(order: Order) -> LocalProcess:
    """Return the executor of this process's last job, or a new one if the settings differ.

    A reused executor has its framework loaded.
    """
    global _kept
    settings = order.job.trials[0].settings
    made_for = (settings, order.trial_timeout, order.cores, order.variables, os.environ.get(GPUS))
    if _kept is not None and _kept[0] != made_for:
        close_kept_executor()
    if _kept is None:
        made = LocalProcess(settings, order.trial_timeout, cores=order.cores)
        _kept = (made_for, made)
    return _kept[1]


def _restore_images(job: Job, store: Store) -> None:
    """Decode the job's images into this node's cache if it lacks them."""
    from bench.data.pixels import is_stored  # late: `list` needs only the executor's name
    from bench.data.preparation import restore_pixels
    from bench.data.sources import list_dataset

    sizes = sorted({trial.input_size for trial in job.trials})
    if job.images is None or all(is_stored(job.dataset, size, store) for size in sizes):
        return
    listing = list_dataset(
        job.images.dataset,
        store=store,
        split_seed=job.split_seed or 0,
        limit=job.images.limit,
        groups=Path(job.images.groups) if job.images.groups else None,
    )
    restore_pixels(listing, job.dataset, sizes, store=store)


def _with_files(
    events: Iterable[Event], folder: Path, node: str, notes: tuple[str, ...]
) -> Iterator[Sent]:
    """Yield each event after the files that it needs; add the node's name and notes to records."""
    for event in events:
        names: list[str] = []
        if isinstance(event, RecordMeasured):
            names = [f"arrays/{event.record.trial.key}.npz"]
        elif isinstance(event, RecordMade):
            record = event.record
            about = {**record.environment, "node": node}
            event = RecordMade(replace(record, environment=about, notes=(*record.notes, *notes)))
            key = record.trial.key
            names = [f"arrays/{key}.npz", f"weights/{key}.npz"]
        elif isinstance(event, Ended):
            names = [f"logs/{path.name}" for path in sorted(folder.glob("logs/*.log"))]
        for name in names:
            if (folder / name).is_file():
                content = (folder / name).read_bytes()
                yield SentFile(name, hashlib.sha256(content).hexdigest(), content)
        yield event


def receive(sent: Iterable[Sent], job: Job) -> Iterator[Event]:
    """Write the files that a node sends into the run's folder, and yield its events.

    `WorkerDiedError`: a file does not belong to the job. `NodeLostError`: a file is damaged.
    """
    keys = {trial.key for trial in job.trials}
    if job.task == "measure":  # heatmaps may be added to a model of an earlier command
        keys |= {path.stem for path in Path(job.folder).glob("arrays/*.npz")}
    write = partial(_write, Path(job.folder), keys)
    for one in sent:
        if isinstance(one, SentFile):
            write(one)
        else:
            yield one


def _write(folder: Path, keys: set[str], file: SentFile) -> None:
    kind, _, name = file.path.partition("/")
    of_trial = kind in ("arrays", "weights") and name in {f"{key}.npz" for key in keys}
    log = kind == "logs" and name.endswith(".log") and is_file_name(name)
    if not (of_trial or log):
        raise WorkerDiedError(f"its node sent {file.path!r}, which does not belong to the job.")
    if hashlib.sha256(file.content).hexdigest() != file.sha256:
        raise NodeLostError(f"{file.path} arrived damaged.")
    path, content = folder / kind / name, file.content
    if log and path.exists():  # keep the log of an earlier attempt
        content = path.read_bytes() + content
    write_atomic(path, content)
