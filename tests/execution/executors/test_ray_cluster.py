"""Jobs on a Ray cluster of this machine: a head without CPUs and nodes with one. Workers are
scripted; everything else is real. Tests that need no cluster are in `test_node.py`."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
import workbench
from plans import REQUEST, Told, backbone, execute, plan_of, silent
from processes import PATIENCE, has_ended, wait, without_drafts
from scripted_executor import ScriptedExecutor
from user import ROOT

from bench.data.pixels import is_stored
from bench.errors import BenchError, StoppedError, UsageError
from bench.execution.executors import make_executor, node, ray_cluster
from bench.execution.plan import Plan
from bench.execution.request import RunRequest
from bench.execution.run_meta import RunInputs
from bench.storage.cache import Store
from bench.storage.records import Evidence, read_all_records
from bench.system.environment import describe_environment
from bench.types import Dataset, Record, Settings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra `ray`"),
    pytest.mark.skipif(sys.platform != "linux", reason="the script kills processes as Linux does"),
    pytest.mark.filterwarnings("ignore"),  # Ray's own, and pydantic's
]
LOCAL = ScriptedExecutor()


@dataclass
class Nodes:
    """A running cluster."""

    cluster: Any
    folder: Path  # of the script

    @property
    def on(self) -> str:
        return f"ray:{self.cluster.address}"

    def worker(self) -> psutil.Process:
        """Return the process that waits in the middle of a trial."""
        path = self.folder / "pid"
        wait(lambda: path.exists() and path.read_text() != "")
        found = psutil.Process(int(path.read_text()))
        path.unlink()
        return found

    def go(self) -> None:
        """Let the waiting trial continue, and all later ones."""
        (self.folder / "go").touch()


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    folder = tmp_path_factory.mktemp("script")
    helpers = ROOT / "tests" / "helpers"
    own = tempfile.TemporaryDirectory()  # one of pytest's has too long a path for Ray's sockets
    with own as ray_folder, pytest.MonkeyPatch.context() as patch:
        paths = [str(ROOT), str(helpers / "scripted_node"), str(helpers)]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        patch.setenv("SCRIPTED_FOLDER", str(folder))
        patch.setenv("XDG_RUNTIME_DIR", str(folder))  # cores are taken from no other test
        patch.setenv("GIT_DIR", str(folder))  # no git: nodes agree while files are edited
        patch.setenv("RAY_TMPDIR", ray_folder)
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", "of these tests" * 3)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        patch.setenv("RAY_memory_monitor_refresh_ms", "0")  # which ends jobs for others' memory
        from ray.cluster_utils import Cluster  # which reads these

        head = {"num_cpus": 0, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(2):
                cluster.add_node(num_cpus=1)
            yield Nodes(cluster, folder)
        finally:
            cluster.shutdown()


@pytest.fixture(autouse=True)
def _again(nodes: Nodes) -> None:
    for path in (nodes.folder / "go", *nodes.folder.glob("pid*")):
        path.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def connected(nodes: Nodes) -> Iterator[None]:
    """This process belongs to the cluster, as a notebook may, for all tests that follow: what an
    executor does to connect takes seconds."""
    import ray

    ours = signal.getsignal(signal.SIGTERM)
    ray.init(nodes.cluster.address, log_to_driver=False, logging_level=logging.CRITICAL)
    signal.signal(signal.SIGTERM, ours)
    yield
    ray.shutdown()


@pytest.fixture
def dataset(tmp_path: Path, store: Store) -> Dataset:
    return workbench.make_dataset(tmp_path / "data", store)


@dataclass
class Bench:
    """A run on the cluster."""

    nodes: Nodes
    folder: Path
    store: Store
    dataset: Dataset
    told: Told

    def plan(self, *names: str, seeds: tuple[int, ...] = (0,)) -> Plan:
        declared = [backbone(name, input_size=32) for name in names]
        settings = Settings(weights="random", threads=1)
        return plan_of(declared, self.dataset, workbench.PROTOCOL, settings, seeds)

    def run(self, plan: Plan) -> list[Record]:
        with closing(make_executor(plan.settings, RunRequest(on=self.nodes.on))) as executor:
            return list(execute(self.inputs(plan), executor, self.told))

    def inputs(self, plan: Plan) -> RunInputs:
        request = replace(REQUEST, dataset=str(self.folder.parent / "data"))
        return RunInputs(plan, self.folder, request, self.store)

    def arrays(self, record: Record) -> dict[str, bytes]:
        found = Evidence(record, self.dataset.classes, self.folder).arrays
        return {name: a.tobytes() for name, a in found.items() if "latency" not in name}

    def nothing_is_left(self, records: int) -> bool:
        """Check that each trial has one record, and that no job's folder is left."""
        assert len(read_all_records(self.folder)) == records
        # A process that was killed along with its node may take an instant to end.
        wait(lambda: without_drafts(self.store))
        return not list(self.folder.rglob(".*.*-*"))


@pytest.fixture
def bench(nodes: Nodes, tmp_path: Path, store: Store, dataset: Dataset) -> Bench:
    return Bench(nodes, tmp_path / "r", store, dataset, Told())


def test_a_cluster_run_gives_the_results_of_a_local_run(bench: Bench, tmp_path: Path) -> None:
    sigterm = signal.getsignal(signal.SIGTERM)
    plan = bench.plan("one", "two", "hungry", "segfault", seeds=(0, 1))
    records = {(r.trial.backbone, r.trial.seed): r for r in bench.run(plan)}
    assert bench.nothing_is_left(8)
    dead = [records.pop(("segfault", seed)) for seed in (0, 1)]
    assert [r.reason for r in records.values()] == [""] * 6
    assert all(r.status == "ok" and r.session is not None for r in records.values())
    assert {r.environment["node"] for r in records.values()} == {os.uname().nodename}
    # Probabilities and labels are those of the same trials in this process.
    here = Bench(bench.nodes, tmp_path / "local", bench.store, bench.dataset, Told())
    local = {(r.trial.backbone, r.trial.seed): r for r in execute(here.inputs(plan), LOCAL, silent)}
    for trial, record in records.items():
        found, expected = bench.arrays(record), here.arrays(local[trial])
        assert found == expected
        assert "test_probabilities" in found
    # Memory was short: what was left of the job was run in smaller steps.
    assert [records["hungry", seed].accumulation for seed in (0, 1)] == [4, 4]
    # A process that died is a record, whose log came along.
    for record in dead:
        assert record.status == "failed"
        assert "killed by SIGSEGV" in record.reason
    logs = {path.name.partition("-")[0]: path for path in bench.folder.glob("logs/segfault*.log")}
    assert f"its log is logs/{logs['segfault'].name}" in "".join(r.reason for r in dead)
    # Ray sets a handler of its own, which would take Ctrl-C's place from the run.
    assert signal.getsignal(signal.SIGTERM) == sigterm


def test_a_run_that_is_stopped_leaves_no_process(bench: Bench) -> None:
    executor = make_executor(Settings(), RunRequest(on=bench.nodes.on))
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(execute, bench.inputs(bench.plan("waits")), executor, silent)
        worker = bench.nodes.worker()
        executor.close()
        with pytest.raises(StoppedError):
            future.result(timeout=PATIENCE)
    wait(lambda: has_ended(worker))
    assert bench.nothing_is_left(0)


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "127.0.0.1", "127.0.0.1:port", "localhost:70000"]
)
def test_an_address_where_nothing_answers(address: str) -> None:
    with pytest.raises(BenchError, match=rf"no Ray cluster answers at {address}; .*ray start"):
        make_executor(Settings(), RunRequest(on=f"ray:{address}"))


def test_a_port_where_something_else_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "ANSWER_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(BenchError, match=f"no Ray cluster answers at {address}; ") as refused:
            make_executor(Settings(), RunRequest(on=f"ray:{address}"))
    assert isinstance(refused.value.__cause__, subprocess.CalledProcessError)  # Ray gave up itself


def test_a_cluster_that_was_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "ANSWER_SECONDS", 1)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(BenchError, match=r"no Ray cluster answers at 127\.0\.0\.1:1; "):
        make_executor(Settings(), RunRequest(on="ray"))


def test_a_cluster_that_requires_a_token(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE")
    with pytest.raises(BenchError, match=r"^the Ray cluster at \S+ requires a token; set RAY_AUTH"):
        make_executor(Settings(), RunRequest(on=nodes.on))


@contextmanager
def in_background(bench: Bench, plan: Plan) -> Iterator[list[Record]]:
    """Run the plan while the block changes the cluster; the list then has the records."""
    records: list[Record] = []
    executor = make_executor(plan.settings, RunRequest(on=bench.nodes.on))
    with ThreadPoolExecutor(1) as pool, closing(executor):
        future = pool.submit(execute, bench.inputs(plan), executor, bench.told)
        yield records
        records += future.result(timeout=PATIENCE)


@pytest.mark.usefixtures("connected")
def test_a_lost_process_of_ray_costs_one_submission(bench: Bench) -> None:
    with in_background(bench, bench.plan("waits", seeds=(0, 1))) as records:
        worker = bench.nodes.worker()
        ray_worker = worker.parents()[1]  # of the process that forks
        assert ray_worker.name().startswith("ray::")
        ray_worker.kill()
        wait(lambda: has_ended(worker))
        bench.nodes.go()
    assert [r.status for r in records] == ["ok", "ok"]
    # Each seed had a node of its own.
    assert [note[:47] for r in records for note in r.notes] == [
        "submitted again: the node that ran it was lost "
    ]
    assert bench.nothing_is_left(2)


@pytest.mark.usefixtures("connected")
def test_a_node_removed_in_mid_trial(bench: Bench) -> None:
    cluster = bench.nodes.cluster
    with in_background(bench, bench.plan("waits", "one")) as records:
        worker = bench.nodes.worker()
        pids = {process.pid for process in worker.parents()}
        (node,) = (
            node
            for node in cluster.worker_nodes
            if pids & {info.process.pid for info in node.all_processes["raylet"]}
        )
        cluster.remove_node(node, allow_graceful=False)
        cluster.add_node(num_cpus=1)  # there were two before, and are for the next test
        bench.nodes.go()
    assert [r.status for r in records] == ["ok", "ok"]
    notes = {r.trial.backbone: r.notes for r in records}
    assert notes["one"] == ()  # nor were its cores shared with the other's
    assert "submitted again" in notes["waits"][0]
    wait(lambda: has_ended(worker))
    assert bench.nothing_is_left(2)


@pytest.mark.usefixtures("connected")
def test_a_node_that_joins_late_gets_waiting_jobs(bench: Bench) -> None:
    def begun() -> int:
        return len(list(bench.nodes.folder.glob("pid*")))

    with in_background(bench, bench.plan("waits", "waits2", "waits3")) as records:
        wait(lambda: begun() == 2)
        late = bench.nodes.cluster.add_node(num_cpus=1)
        wait(lambda: begun() == 3)
        bench.nodes.go()
    bench.nodes.cluster.remove_node(late)
    assert [r.status for r in records] == ["ok"] * 3
    assert bench.nothing_is_left(3)


@pytest.mark.usefixtures("connected")
def test_images_are_sent_to_nodes_that_have_only_a_cache(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bench.folder.parent / "data").rename(tmp_path / "elsewhere")
    cluster, cache = bench.nodes.cluster, tmp_path / "cache of the node"
    node = cluster.add_node(num_cpus=2, env_vars={"BACKBONE_BENCH_CACHE": str(cache)})
    try:
        plan = bench.plan("one", "two")
        request = RunRequest(
            on=bench.nodes.on,
            per_trial="cpus=2",
            ship_data=True,
            measure_on=os.uname().nodename,
        )
        with closing(make_executor(plan.settings, request)) as executor:
            records = execute(bench.inputs(plan), executor, silent)
    finally:
        cluster.remove_node(node)
    assert [(r.status, r.reason) for r in records] == [("ok", "")] * 2
    assert {r.session.node for r in records if r.session} == {os.uname().nodename}
    assert is_stored(bench.dataset, 32, Store(cache))


DRIVER = """
import sys
sys.path.insert(0, "{tests}")
from plans import *
import workbench
from bench.execution.executors import make_executor
from bench.execution.request import RunRequest
from bench.storage.cache import Store
from bench.storage.records import read_dataset
from pathlib import Path
declared = [backbone(name, input_size=32) for name in ("one", "waits")]
dataset = workbench.make_dataset(Path("{home}") / "data2", Store(Path("{store}")))
plan = plan_of(
    declared, dataset, workbench.PROTOCOL, Settings(weights="random", threads=1), (0,)
)
executor = make_executor(plan.settings, RunRequest(on="{on}"))
execute(RunInputs(plan, Path("{folder}"), REQUEST, Store(Path("{store}"))), executor, silent)
"""


@pytest.mark.usefixtures("connected")
def test_a_run_resumes_after_its_driver_was_killed(bench: Bench) -> None:
    script = DRIVER.format(
        tests=ROOT / "tests" / "helpers",
        home=bench.folder.parent,
        store=bench.store.root,
        on=bench.nodes.on,
        folder=bench.folder,
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL)
    try:
        worker = bench.nodes.worker()
        wait(lambda: len(read_all_records(bench.folder)) == 1)
    finally:
        process.kill()
        process.wait()
    wait(lambda: has_ended(worker))
    bench.nodes.go()
    records = bench.run(bench.plan("one", "waits"))
    assert sorted((r.trial.backbone, r.status) for r in records) == [("one", "ok"), ("waits", "ok")]
    assert bench.nothing_is_left(2)


@pytest.mark.usefixtures("connected")
@pytest.mark.parametrize(
    ("per_trial", "threads", "device", "says"),
    [
        (
            "cpus=64",
            0,
            "auto",
            r"cpus=64,gpus=0: no node .* that many; they have .*1 CPUs and 0 GPUs",
        ),
        ("cpus=1", 2, "auto", "--threads 2 needs --per-trial cpus=2 or more"),
        ("", 0, "gpu", "--per-trial gpus=1"),
    ],
)
def test_resources_that_no_node_has_are_refused(
    per_trial: str, threads: int, device: str, says: str, nodes: Nodes
) -> None:
    settings = Settings(threads=threads, device=device)
    with pytest.raises(UsageError, match=says):
        make_executor(settings, RunRequest(on=nodes.on, per_trial=per_trial))


@pytest.mark.usefixtures("connected")
def test_the_measuring_node_must_exist(nodes: Nodes) -> None:
    with pytest.raises(UsageError, match=rf"--measure-on other: .* are {os.uname().nodename}\."):
        make_executor(Settings(), RunRequest(on=nodes.on, measure_on="other"))


@pytest.mark.usefixtures("connected")
def test_a_node_with_another_version_is_named(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = describe_environment()
    other = here | {"versions": here["versions"] | {"keras": "9.9"}}
    monkeypatch.setattr(node, "describe_environment", lambda: other)  # of this process alone
    with pytest.raises(
        BenchError, match=r"^node \S+ has other versions than here: keras \S+ instead of 9\.9;"
    ):
        make_executor(Settings(), RunRequest(on=nodes.on))
