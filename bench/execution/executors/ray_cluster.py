"""Run jobs on the machines of a Ray cluster: each job is a task that yields a stream of events.

Ray schedules; `node.py` runs the jobs. All models are measured on this machine or on a node that
the user names. Ray must not retry tasks (`max_retries=0`), since that would repeat events;
`bench/execution/run.py` submits lost jobs again, without the trials that have a record.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from bench.errors import BenchError, NodeLostError, StoppedError, UsageError, one_line
from bench.execution.executors import (
    EXECUTORS,
    MAX_JOBS,
    Executor,
    ExecutorKind,
    follow,
    resolve_resources,
)
from bench.execution.executors.contents import FetchedFile, Offer
from bench.execution.executors.local_process import measure_locally
from bench.execution.executors.node import Order, Sent, check_versions, receive, serve, versions
from bench.execution.request import RunRequest
from bench.system.environment import describe_environment
from bench.training.events import Ended, Listener
from bench.training.job import NO_DATASET, Job
from bench.types import Dataset, Settings

ANSWER_SECONDS = 10
HEALTH_SECONDS = 60.0  # loading Ray takes about one, or more on a busy machine
VERSIONS_SECONDS = 60.0  # a node may have to start a process first
ENDING_SECONDS = 20.0


class RayCluster(Executor):
    """Runs jobs on a running Ray cluster that this machine is a node of."""

    def __init__(self, settings: Settings, request: RunRequest) -> None:
        self._settings, self._request = settings, request
        self._each = each = resolve_resources(settings, request.per_trial)
        self._capacity = 0
        self._streams: set[Any] = set()
        self._closed = False
        self._changed = threading.Condition()
        self._ray, self._connected = _connect(request.on.partition(":")[2])
        try:
            self._nodes = self._usable_nodes()
            self._measuring_node = self._find_node(request.measure_on) if request.measure_on else ""
            self._check_versions(self._nodes)
        except BaseException:
            self.close()
            raise
        self._contents: dict[str, Any] = {}  # object references, by SHA-256
        self._dataset: Any = None  # object reference, shared by all jobs since it may be large
        self._offer = Offer(self._put)
        self._task = self._ray.remote(
            num_cpus=each.cpus, num_gpus=each.gpus, max_retries=0, num_returns="streaming"
        )(_serve)

    @property
    def slots(self) -> int:
        return MAX_JOBS

    @property
    def capacity(self) -> int:
        return self._capacity

    @property
    def notes(self) -> tuple[str, ...]:
        each, where = self._each, ", ".join(sorted({*self._nodes.values()}))
        return (
            f"trained on a Ray cluster ({where}), {each.cpus} CPUs and {each.gpus:g} GPUs a job; "
            f"models are measured on {self._request.measure_on or 'this machine'}",
        )

    def run(self, job: Job, listener: Listener) -> None:
        if job.task == "measure" and not self._request.measure_on:
            measure_locally(self._settings, self._request, job, listener)
            return
        with self._submit(job) as stream:
            follow(receive(self._read(stream), job), job, listener)

    def close(self) -> None:
        """Cancel the jobs that run or wait, and disconnect from the cluster."""
        with self._changed:
            self._closed = True
            for stream in self._streams:
                self._cancel(stream)
            self._changed.wait_for(lambda: not self._streams, ENDING_SECONDS)
        if self._connected:
            self._connected = False
            self._ray.shutdown()

    @contextmanager
    def _submit(self, job: Job) -> Iterator[Any]:
        """Submit a job and give its stream; the job is cancelled on an error."""
        where, files = "DEFAULT", tuple[FetchedFile, ...]()
        if job.task == "measure":
            files = self._offer.offer_run_files(job)
            where = self._affinity(self._measuring_node)
        self._offer.offer_weights(job.weights)
        images = self._offer.offer_images(job) if self._request.ship_data else ()
        limit = self._request.trial_timeout
        order = Order(job, self._each.cpus, self._each.gpus, limit, images, files)
        needed = [part for sent in images for part in sent.parts]
        needed += [file.sha256 for file in files]
        needed += [job.weights.sha256] if job.weights is not None else []
        contents = {sha256: self._contents[sha256] for sha256 in needed}
        with self._changed:
            if self._closed:
                raise StoppedError("no more jobs are submitted.")
            if self._dataset is None:
                self._dataset = self._ray.put(job.dataset)
            slim = replace(order, job=replace(job, dataset=NO_DATASET))
            task = self._task.options(scheduling_strategy=where)
            stream = task.remote(slim, self._dataset, contents)
            self._streams.add(stream)
        try:
            yield stream
        except BaseException:
            self._cancel(stream)
            raise
        finally:
            with self._changed:
                self._streams.discard(stream)
                self._changed.notify_all()

    def _put(self, sha256: str, content: bytes) -> None:
        self._contents[sha256] = self._ray.put(content)

    def _cancel(self, stream: Any) -> None:
        with suppress(Exception):  # the cluster may be gone
            self._ray.cancel(stream, force=True)

    def _read(self, stream: Any) -> Iterator[Sent]:
        """Yield the events and files of a node; `NodeLostError` if the stream breaks off."""
        errors = self._ray.exceptions
        try:
            for reference in stream:
                yield self._ray.get(reference)
        except errors.OutOfMemoryError as error:
            yield Ended(-signal.SIGKILL, True, f"Ray killed it for memory: {_first_line(error)}")
        except errors.RayTaskError as error:  # an error of `serve` itself
            yield Ended(1, message=f"its node failed: {_first_line(error.cause)}")
        except errors.RayError as error:
            if self._closed:
                raise StoppedError("the executor was closed while a job ran.") from error
            raise NodeLostError(f"the node that ran it was lost ({_first_line(error)}).") from error

    def _usable_nodes(self) -> dict[str, str]:
        """Return the nodes with resources for a job, host name by Ray's node ID.

        `UsageError`: there is none.
        """
        each, able, have = self._each, dict[str, str](), set[tuple[float, float]]()
        for node in self._ray.nodes():
            if node["Alive"]:
                cpus, gpus = (node["Resources"].get(name, 0.0) for name in ("CPU", "GPU"))
                room = int(min(cpus // each.cpus, gpus // each.gpus if each.gpus else cpus))
                have.add((cpus, gpus))
                self._capacity += room
                if room:
                    able[node["NodeID"]] = node["NodeManagerHostname"]
        if not able:
            found = "; ".join(f"{cpus:g} CPUs and {gpus:g} GPUs" for cpus, gpus in sorted(have))
            raise UsageError(
                f"--per-trial {each}: no node of the Ray cluster has that many; they have {found}."
            )
        return able

    def _find_node(self, name: str) -> str:
        """Return the ID of the usable node with this host name or ID."""
        found = [node for node, host in self._nodes.items() if name in (node, host)]
        if not found:
            there = ", ".join(sorted({*self._nodes.values()}))
            raise UsageError(
                f"--measure-on {name}: no node of that name has the resources of --per-trial; "
                f"those that have are {there}."
            )
        return found[0]

    def _affinity(self, node: str) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return NodeAffinitySchedulingStrategy(node, soft=False)

    def _check_versions(self, nodes: Mapping[str, str]) -> None:
        """Raise `BenchError` if a node has other versions than this machine."""
        ask, here = self._ray.remote(versions), versions()
        answers = [
            ask.options(num_cpus=0, scheduling_strategy=self._affinity(node)).remote(
                describe_environment()["keras_backend"]
            )
            for node in nodes
        ]
        for name, answer in zip(nodes.values(), answers, strict=True):
            try:
                check_versions(here, self._ray.get(answer, timeout=VERSIONS_SECONDS))
            except BenchError as error:
                raise BenchError(f"node {name} has {error}") from error
            except self._ray.exceptions.TaskUnschedulableError:
                continue  # the node has left the cluster meanwhile
            except Exception as error:  # Ray raises the node's error, of any type
                raise BenchError(
                    f"node {name} cannot run backbone-bench ({_first_line(error)}); install it in "
                    f"the environment that Ray runs in there."
                ) from error


def _serve(order: Order, dataset: Dataset, contents: Mapping[str, Any]) -> Iterator[Sent]:
    """Run a job on a node; the job fetches its contents by Ray."""
    import ray

    order = replace(order, job=replace(order.job, dataset=dataset))
    yield from serve(order, lambda sha256: bytes(ray.get(contents[sha256])))


def _connect(address: str) -> tuple[Any, bool]:
    """Connect to the cluster; return the module `ray`, and whether to disconnect at the end."""
    # Both are read when Ray is imported. Without the first, Ray starts its processes by `uv run` if
    # this one was; without the second, it warns about visible GPUs, which `node.py` hides.
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if ray.is_initialized():  # by the notebook or program that called
        return ray, False
    named = address or os.environ.get("RAY_ADDRESS", "")  # which `ray.init` reads, too
    where = f"at {named}" if named else "on this machine"
    no_cluster = BenchError(
        f"no Ray cluster answers {where}; start one with `ray start --head`, or give its address "
        f"with --on ray:HOST:PORT."
    )
    # Check first that the cluster answers: `ray.init` would wait for minutes, even on this machine,
    # since Ray remembers the address of a cluster that was killed.
    words = [sys.executable, "-m", "ray.scripts.scripts", "health-check"]
    words += ["--address", address or "auto"]
    # Ray's health check waits for twice the first time-out, then for the second.
    env = {**os.environ, "RAY_gcs_rpc_server_connect_timeout_s": "1"}
    env["RAY_py_gcs_connect_timeout_s"] = str(ANSWER_SECONDS)
    try:
        if address:
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), ANSWER_SECONDS).close()
        subprocess.run(words, env=env, capture_output=True, timeout=HEALTH_SECONDS, check=True)
    except (OSError, ValueError, OverflowError, subprocess.SubprocessError) as error:
        if b"AuthenticationError" in (getattr(error, "stderr", None) or b""):
            raise BenchError(
                f"the Ray cluster {where} requires a token; set RAY_AUTH_MODE=token and copy the "
                f"cluster's ~/.ray/auth_token to this machine."
            ) from error
        raise no_cluster from error
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address or "auto", log_to_driver=False, logging_level=logging.CRITICAL)
    except ConnectionError as error:
        raise no_cluster from error
    except Exception as error:  # of many types, such as if this machine is not a node
        raise BenchError(f"Ray does not connect: {_first_line(error)}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray has replaced it
    return ray, True


def _first_line(error: BaseException) -> str:
    return one_line(error)[:200]


EXECUTORS.add(
    ExecutorKind(
        "ray",
        "the machines of a Ray cluster (ray:HOST:PORT)",
        RayCluster,
        modules=("ray",),
        install="backbone-bench[ray]",
        takes=("address", "--per-trial", "--ship-data", "--measure-on"),
    )
)
