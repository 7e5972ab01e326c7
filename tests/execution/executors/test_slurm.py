"""Jobs on a Slurm cluster: its commands are fakes that start processes here, and workers are
scripted; everything else is real. Tests that need no job are in `test_spool.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import fake_slurm
import psutil
import pytest
import workbench
from plans import REQUEST, Told, backbone, execute, plan_of, silent
from processes import PATIENCE, has_ended, wait, without_drafts
from scripted_executor import ScriptedExecutor
from user import OURS, ROOT, User, in_process, unchanged

from bench.cli.main import main
from bench.data.pixels import is_stored
from bench.errors import BenchError, DetachedError, StoppedError, UsageError
from bench.execution.estimate import Cost
from bench.execution.executors import make_executor, slurm
from bench.execution.executors.site_file import Site, read_site
from bench.execution.plan import Plan
from bench.execution.request import RunRequest
from bench.execution.run_meta import RunInputs
from bench.storage.cache import Store
from bench.storage.records import Evidence, read_all_records, write_dataset
from bench.types import Dataset, Record, Settings

submitit = pytest.importorskip("submitit", reason="needs `pip install 'backbone-bench[slurm]'`")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the script kills processes as Linux does"),
    pytest.mark.filterwarnings("ignore"),  # submitit leaves processes to run
]


@dataclass
class Cluster:
    """The fake cluster, and runs on it."""

    home: Path
    store: Store
    dataset: Dataset
    told: Told = field(default_factory=Told)

    @property
    def jobs(self) -> list[str]:
        """Return the files of the submitted jobs, which show how they ended."""
        return sorted(path.name for path in (self.home / "state").iterdir())

    def site(self, text: str = "") -> Path:
        path = self.home / "site.toml"
        path.write_text(text)
        return path

    def worker(self) -> psutil.Process:
        """Return the process that waits in the middle of a trial."""
        path = self.home / "pid"
        wait(lambda: path.exists() and path.read_text() != "")
        return psutil.Process(int(path.read_text()))

    def go(self) -> None:
        """Let the waiting trial continue, and all later ones."""
        (self.home / "go").touch()

    def plan(self, *names: str, seeds: tuple[int, ...] = (0,)) -> Plan:
        declared = [backbone(name, input_size=32) for name in names]
        settings = Settings(weights="random", threads=1, batch_size=16)
        return plan_of(declared, self.dataset, workbench.PROTOCOL, settings, seeds)

    def inputs(self, plan: Plan, folder: str = "r") -> RunInputs:
        request = replace(REQUEST, dataset=str(self.home / "data"))
        return RunInputs(plan, self.home / folder, request, self.store)

    def run(self, plan: Plan, site: str = "", **choices: Any) -> list[Record]:
        with closing(
            make_executor(plan.settings, RunRequest(on="slurm", site=self.site(site), **choices))
        ) as executor:
            return list(execute(self.inputs(plan), executor, self.told))

    def nothing_is_left(self, records: int) -> bool:
        """Check that each trial has one record and that no job's folder is left."""
        assert len(read_all_records(self.home / "r")) == records
        wait(lambda: without_drafts(self.store))
        return not (self.home / "r" / "jobs").exists()


@pytest.fixture
def cluster(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    helpers = ROOT / "tests" / "helpers"
    paths = [str(ROOT), str(helpers / "scripted_node"), str(helpers), os.environ.get("PYTHONPATH")]
    commands = fake_slurm.install(tmp_path / "bin")
    (tmp_path / "state").mkdir()
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.setenv("FAKE_SLURM", str(tmp_path / "state"))
    monkeypatch.setenv("SCRIPTED_FOLDER", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # cores are taken from no other test
    monkeypatch.setenv("GIT_DIR", str(tmp_path))  # no git: nodes agree while files are edited
    monkeypatch.setattr(slurm, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(submitit.SlurmJob.watcher, "_delay_s", 0.2)  # between two calls of sacct
    submitit.SlurmJob.watcher.clear()
    submitit.SlurmJob.watcher._registered.clear()
    made = Cluster(tmp_path, store, workbench.make_dataset(tmp_path / "data", store))
    yield made
    made.go()  # where a test has failed


def outcome(records: list[Record]) -> dict[str, str]:
    return {record.trial.backbone: record.status for record in records}


def test_a_cluster_run_gives_the_results_of_a_local_run(cluster: Cluster) -> None:
    plan = cluster.plan("one", "hungry", "segfault")
    records = {record.trial.backbone: record for record in cluster.run(plan)}
    # Memory was short once, and no job was lost.
    assert [note.partition(":")[0] for note in cluster.told.notes] == ["hungry"]
    assert cluster.nothing_is_left(3)
    local = execute(cluster.inputs(plan, "local"), ScriptedExecutor(), silent)
    expected = {record.trial.backbone: record for record in local}

    def arrays(record: Record, folder: str) -> dict[str, bytes]:
        found = Evidence(record, cluster.dataset.classes, cluster.home / folder).arrays
        return {name: array.tobytes() for name, array in found.items() if "latency" not in name}

    dead = records.pop("segfault")
    for name, record in records.items():
        assert arrays(record, "r") == arrays(expected[name], "local")
        assert record.session is not None  # it was measured, here
    assert {r.environment["node"] for r in records.values()} == {os.uname().nodename}
    # Memory was short: what was left of the job was run in smaller steps.
    assert (records["one"].accumulation, records["hungry"].accumulation) == (1, 2)
    # A process that died is a record, whose log came along.
    (log,) = (cluster.home / "r" / "logs").glob("segfault*.log")
    assert (dead.status, log.name in dead.reason) == ("failed", True)
    assert "killed by SIGSEGV" in dead.reason
    assert len([name for name in cluster.jobs if name.endswith(".pid")]) == 4


def test_a_job_that_is_killed_is_submitted_again(cluster: Cluster) -> None:
    plan = cluster.plan("waits", seeds=(0, 1))
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(cluster.run, plan)
        worker = cluster.worker()
        node = worker.parents()[1]  # of the process that forks
        assert "submitit.core._submit" in node.cmdline()
        cluster.go()
        node.kill()
        records = future.result(timeout=PATIENCE)
    assert outcome(records) == {"waits": "ok"}
    (notes,) = {record.notes for record in records}
    assert notes[0].startswith("submitted again: job 1 ended without a result (FAILED")
    wait(lambda: has_ended(worker))
    assert cluster.nothing_is_left(2)


def test_a_run_that_is_stopped_cancels_its_jobs(cluster: Cluster) -> None:
    plan = cluster.plan("waits")
    executor = make_executor(plan.settings, RunRequest(on="slurm", site=cluster.site()))
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(execute, cluster.inputs(plan), executor, silent)
        worker = cluster.worker()
        executor.close()
        with pytest.raises(StoppedError):
            future.result(timeout=PATIENCE)
    executor.close()
    wait(lambda: has_ended(worker))
    assert "1.cancelled" in cluster.jobs
    assert cluster.nothing_is_left(0)


DRIVER = """
import sys
sys.path.insert(0, {tests!r})
from test_slurm import *
from bench.storage.records import read_dataset
cluster = Cluster(Path({home!r}), Store(Path({store!r})), read_dataset(Path({home!r}) / "r"))
cluster.run(cluster.plan("waits", seeds=(0, 1)))
"""


@pytest.mark.parametrize("kind", ["slurm", "local"])
def test_jobs_outlive_their_command_and_are_found_again(kind: str, cluster: Cluster) -> None:
    site, plan = f'cluster = "{kind}"', cluster.plan("waits", seeds=(0, 1))
    if kind == "slurm":  # by a process that is killed
        write_dataset(cluster.home / "r", cluster.dataset)
        places = {"home": str(cluster.home), "store": str(cluster.store.root)}
        script = DRIVER.format(tests=str(Path(__file__).parent), **places)
        with subprocess.Popen([sys.executable, "-c", script]) as driver:
            worker = cluster.worker()
            wait(lambda: list(cluster.home.glob("r/jobs/*/*_submitted.pkl")))
            driver.kill()
    else:
        with pytest.raises(DetachedError, match=r"^2 trials continue on the cluster; "):
            cluster.run(plan, site, detach=True)
        worker = cluster.worker()
    # For a new process the job is not over, and nothing is submitted again.
    with pytest.raises(DetachedError):
        cluster.run(plan, site, detach=True)
    cluster.go()
    # Two threads follow the job, one for each seed.
    records = cluster.run(plan, f"{site}\njobs = 2")
    assert [(r.status, r.notes) for r in records] == [("ok", ())] * 2
    assert cluster.nothing_is_left(2)
    wait(lambda: has_ended(worker))
    assert len([name for name in cluster.jobs if name.endswith(".pid")]) == (kind == "slurm")


def test_images_are_sent_to_jobs_that_have_only_a_cache(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cluster.home / "data").rename(cluster.home / "elsewhere")
    cache = cluster.home / "cache of the node"
    monkeypatch.setenv("BACKBONE_BENCH_CACHE", str(cache))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    site = 'cluster = "debug"'  # in this process
    records = cluster.run(cluster.plan("one"), site, ship_data=True)
    assert outcome(records) == {"one": "ok"}
    assert is_stored(cluster.dataset, 32, Store(cache))
    # The GPU is hidden from the job, which was granted none, but not from measuring.
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert cluster.nothing_is_left(1)


@pytest.mark.usefixtures("tiny_backbone")
def test_the_same_command_detaches_and_collects_results(cluster: Cluster) -> None:
    user = User(cluster.home / "user")
    words = user.words("--threads", "1", "--on", "slurm", "--detach")

    def status() -> str:
        return in_process(user.home, "status", "r", "--results", str(user.results)).stdout

    with unchanged():
        assert main(words, OURS) == 0
    wait(lambda: "job       tiny: ended, 1 of 1 trials done (1)" in status())
    assert status().startswith("run       r, detached from its jobs\n")
    assert "1 of 1" not in status().split("job ")[0]
    with unchanged():
        assert main(words, OURS) == 0
    assert status().startswith("run       r, finished after ")
    assert "job " not in status()
    assert (user.results / "r" / "report.html").exists()
    assert cluster.jobs == ["1.code", "1.pid"]


def test_a_job_that_slurm_refuses_ends_the_run(cluster: Cluster) -> None:
    site = """
        partition = "none"
        account = "vision"
        time = "04:00:30"
        cpus = 4
        gres = "gpu:1"
        mem = "32G"
        setup = ["module load cuda"]
        sbatch = {reservation = "course"}
    """
    refusal = r"^Slurm refused a job: sbatch: error: invalid partition specified: none$"
    with pytest.raises(BenchError, match=refusal):
        cluster.run(cluster.plan("one"), site)
    assert cluster.nothing_is_left(0)
    script = (cluster.home / "state" / "refused.sh").read_text()
    asked = {
        *("partition=none", "account=vision", "time=241", "cpus-per-task=4", "gres=gpu:1"),
        *("mem=32G", "reservation=course", "job-name=bench-one"),
    }
    assert asked <= {line.removeprefix("#SBATCH --") for line in script.splitlines()}
    assert script.index("module load cuda") < script.index("submitit.core._submit")
    # What no site file limits has ten times what is estimated, or an hour.
    with pytest.raises(BenchError, match=refusal):
        cluster.run(cluster.plan("one"), 'partition = "none"')
    assert "#SBATCH --time=60\n" in (cluster.home / "state" / "refused.sh").read_text()
    plan = cluster.plan("one", seeds=(0, 1))
    (planned,) = plan.planned
    cost = Cost(shared=1000.0, per_trial=10.0, per_image=0.1)
    with pytest.raises(BenchError, match=refusal):
        cluster.run(replace(plan, planned=(replace(planned, cost=cost),)), 'partition = "none"')
    assert "#SBATCH --time=170\n" in (cluster.home / "state" / "refused.sh").read_text()


@pytest.mark.usefixtures("tiny_backbone")
def test_a_wrong_site_file_ends_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    user, site = User(tmp_path), tmp_path / "site.toml"
    site.write_text("partion = 'gpu'\n")
    with unchanged():
        assert main(user.words("--on", "slurm", "--site", str(site)), OURS) == 2
    assert capsys.readouterr().err == (
        f"error: --site {site}: unknown key 'partion'. Did you mean 'partition'? Known: account, "
        "cluster, constraint, cpus, gpus, gres, jobs, mem, partition, qos, sbatch, setup, time.\n"
    )


def test_the_error_without_slurm_names_the_missing_commands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BenchError, match=r"no sbatch, no srun, no sacct, no scancel; "):
        make_executor(Settings(), RunRequest(on="slurm"))


def test_a_site_file(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text('partition = "gpu"\ntime = "1-02:30:01"\nsetup = ["module load cuda"]\n')
    site = read_site(path)
    assert site == Site(partition="gpu", time="1-02:30:01", setup=("module load cuda",))
    assert site.minutes == 26 * 60 + 31
    assert Site(time=90).minutes == 90
    assert read_site(None) == Site()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("cpus = 'four'", "Expected `int`, got `str` - at `$.cpus`"),
        ("cluster = 'pbs'", "Invalid enum value 'pbs'"),
        ("time = '5 hours'", r"time must be minutes or [D-]HH:MM:SS; got '5 hours'"),
        ("time = 0", "time must be a minute or more; got 0"),
        ("partition =", "is not valid TOML: "),
    ],
)
def test_a_wrong_site_file_is_refused_in_one_line(content: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(content)
    with pytest.raises(UsageError) as refused:
        read_site(path)
    assert says in str(refused.value)
    assert str(refused.value).startswith(f"--site {path}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("per_trial", "settings", "says"),
    [
        ("gpus=0.5", Settings(), "gpus=0.5: Slurm grants whole GPUs"),
        ("cpus=1", Settings(threads=2), "--threads 2 needs --per-trial cpus=2 or more"),
        ("", Settings(device="gpu"), "--per-trial gpus=1"),
    ],
)
def test_impossible_resources_are_refused(
    per_trial: str, settings: Settings, says: str, cluster: Cluster
) -> None:
    with pytest.raises(UsageError, match=says):
        make_executor(settings, RunRequest(on="slurm", per_trial=per_trial, site=cluster.site()))


def test_debug_cannot_be_detached(cluster: Cluster) -> None:
    site = cluster.site('cluster = "debug"')
    with pytest.raises(UsageError, match="run in this process"):
        make_executor(Settings(), RunRequest(on="slurm", site=site, detach=True))
