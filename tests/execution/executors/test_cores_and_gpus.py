"""The cores and GPUs of workers, on simulated machines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.execution.executors import devices
from bench.execution.executors.devices import Cores, has_no_gpu, reserve_cores, visible_gpus
from bench.execution.executors.local_process import LocalProcess
from bench.execution.executors.worker_process import WorkerProcess, worker_environment
from bench.system.environment import available_cores
from bench.types import Settings

TWO = """\
GPU 0: NVIDIA L4 (UUID: GPU-11111111-aaaa)
GPU 1: NVIDIA L4 (UUID: GPU-22222222-bbbb)
"""
SLICED = TWO + "  MIG 1g.6gb      Device  0: (UUID: MIG-33333333-cccc)\n"


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with the output of `nvidia-smi -L`; change it to change the machine."""
    said = tmp_path / "listing"
    said.write_text(TWO)
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat '{said}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return said


def test_visible_gpus_respect_cuda_visible_devices(
    driver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert visible_gpus() == ("GPU-11111111-aaaa", "GPU-22222222-bbbb")
    for asked, seen in {
        "1": ("1",),
        "1, 0": ("1", "0"),
        "GPU-2222": ("GPU-2222",),
        "0,-1,1": ("0",),  # CUDA stops reading there
        "0,2": ("0",),
        "": (),
    }.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", asked)
        assert visible_gpus() == seen, asked


def test_gpus_with_slices_are_left_to_the_user(driver: Path) -> None:
    driver.write_text(SLICED)
    assert visible_gpus() == ()


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus() == ()
    assert LocalProcess(Settings()).slots == 1


def test_workers_are_forked_only_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    device = tmp_path / "nvidiactl"
    monkeypatch.setattr(devices, "DRIVERS", (str(device),))
    assert has_no_gpu()
    device.touch()
    assert not has_no_gpu()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert has_no_gpu()


@pytest.mark.usefixtures("driver")
def test_device_cpu_hides_gpus() -> None:
    assert LocalProcess(Settings(device="cpu")).slots == 1
    assert worker_environment(Settings(device="cpu"))["CUDA_VISIBLE_DEVICES"] == ""


def test_more_threads_than_cores_are_refused() -> None:
    there = available_cores()
    with pytest.raises(UsageError, match=f"--threads {there + 1} is more than the {there} cores"):
        LocalProcess(Settings(threads=there + 1))
    assert reserve_cores(0).sets == ((),)


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process may use four logical cores: 0 and 2 are the second threads of 1 and 3."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(devices, "_hardware_thread", lambda core: 1 - core % 2)


@pytest.mark.usefixtures("four_cores")
def test_concurrent_runs_reserve_different_cores(tmp_path: Path) -> None:
    first, second = reserve_cores(1, folder=tmp_path), reserve_cores(2, folder=tmp_path)
    assert (first.sets, second.sets) == (((1,),), ((0, 3),))
    assert first.note == second.note == ""
    third = reserve_cores(2, folder=tmp_path)
    assert third.sets == ((1, 2),)  # what is left, and the best of those taken
    assert third.note.startswith("of the 2 cores for --threads 2, 1 are shared")
    for run in (first, second, third):
        run.release()
    assert reserve_cores(4, folder=tmp_path).note == ""


@pytest.mark.usefixtures("four_cores")
def test_workers_of_several_gpus_get_different_cores(tmp_path: Path) -> None:
    assert reserve_cores(2, 2, tmp_path / "a").sets == ((1, 3), (0, 2))
    short = reserve_cores(2, 3, tmp_path / "b")
    assert short.sets == ((1, 3), (0, 2), (1, 3))
    assert short.note.startswith("of the 6 cores for --threads 2, 2 are shared")


@pytest.mark.usefixtures("four_cores")
def test_no_cores_are_reserved_under_a_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "available_cores", lambda: 2)
    assert reserve_cores(2, folder=tmp_path) == Cores(((),))


@pytest.mark.usefixtures("four_cores")
def test_cores_count_as_shared_if_no_lock_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = reserve_cores(2, folder=tmp_path / "file")
    assert found.sets == ((1, 3),)
    assert found.note.startswith("of the 2 cores for --threads 2, 2 are shared")


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 4),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 4),
        # The least of the group's and of those around it; a path outside of the namespace.
        (
            {
                "proc/self/cgroup": "0::/../pod/box\n",
                "sys/fs/cgroup/pod/cpu.max": "150000 50000\n",
                "sys/fs/cgroup/pod/box/cpu.max": "max 100000\n",
            },
            3,
        ),
        # Version 1, in a container that sees its own group as the root.
        (
            {
                "proc/self/cgroup": "5:cpuset:/x\n4:cpu,cpuacct:/docker/1f\n0::/\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/a\n",
                "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
            },
            4,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "1600000 100000\n"}, 4),
    ],
)
@pytest.mark.usefixtures("four_cores")
def test_the_available_cores_respect_a_container_quota(
    files: dict[str, str], cores: int, tmp_path: Path
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert available_cores(tmp_path) == cores


def test_without_threads_frameworks_use_all_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("TF_NUM_INTRAOP_THREADS", "NPROC"):
        monkeypatch.delenv(name, raising=False)
    env = worker_environment(Settings())
    assert env["TF_NUM_INTRAOP_THREADS"] == env["NPROC"] == str(available_cores())


def test_threads_are_set_for_every_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    asked = worker_environment(Settings(threads=1))
    assert asked["OMP_NUM_THREADS"] == asked["TF_NUM_INTRAOP_THREADS"] == "1"
    assert worker_environment(Settings())["OMP_NUM_THREADS"] == "7"  # the user's own


def test_numpy_uses_one_thread_by_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "OPENBLAS_NUM_THREADS"
    monkeypatch.delenv(name, raising=False)
    assert worker_environment(Settings(threads=2))[name] == "1"
    monkeypatch.setenv(name, "3")
    assert worker_environment(Settings())[name] == "3"


def test_gpu_memory_grows_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TF_FORCE_GPU_ALLOW_GROWTH", "XLA_PYTHON_CLIENT_PREALLOCATE"):
        monkeypatch.delenv(name, raising=False)
    env = worker_environment(Settings())
    assert env["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert env["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "true")
    assert worker_environment(Settings())["XLA_PYTHON_CLIENT_PREALLOCATE"] == "true"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process")
def test_a_worker_sees_only_its_cores_and_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise ImportError('whatever is in the user's folder')")
    monkeypatch.chdir(tmp_path)
    (core,) = sorted(os.sched_getaffinity(0))[-1:]
    worker = WorkerProcess(worker_environment(Settings()), (core,), "GPU-11111111-aaaa")
    try:
        assert worker.device_kind() == "cpu"  # this machine has no such GPU
        assert os.sched_getaffinity(worker.pid) == {core}
        seen = Path(f"/proc/{worker.pid}/environ").read_bytes().decode().split("\0")
        assert "CUDA_VISIBLE_DEVICES=GPU-11111111-aaaa" in seen
    finally:
        worker.end()
