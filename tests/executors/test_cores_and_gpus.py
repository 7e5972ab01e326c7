"""Which cores and GPUs a worker is given, on machines that are made up here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.environment import available_cores
from bench.errors import UsageError
from bench.executors import gpus
from bench.executors.cores import chosen_cores
from bench.executors.gpus import can_be_no_gpu, visible_gpus
from bench.executors.local_process import LocalProcess
from bench.executors.worker_environment import worker_environment
from bench.executors.worker_process import WorkerProcess
from bench.types import Settings

TWO = """\
GPU 0: NVIDIA L4 (UUID: GPU-11111111-aaaa)
GPU 1: NVIDIA L4 (UUID: GPU-22222222-bbbb)
"""
SLICED = TWO + "  MIG 1g.6gb      Device  0: (UUID: MIG-33333333-cccc)\n"


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `nvidia-smi -L` says here; change the file to change the machine."""
    said = tmp_path / "listing"
    said.write_text(TWO)
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat '{said}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return said


def test_all_gpus_or_those_that_the_user_leaves(
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


def test_slices_of_a_gpu_are_the_users_to_choose(driver: Path) -> None:
    driver.write_text(SLICED)
    assert visible_gpus() == ()


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus() == ()
    assert LocalProcess(Settings()).slots == 1


def test_forks_where_no_framework_can_find_a_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    device = tmp_path / "nvidiactl"
    monkeypatch.setattr(gpus, "DRIVERS", (str(device),))
    assert can_be_no_gpu()
    device.touch()
    assert not can_be_no_gpu()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert can_be_no_gpu()


@pytest.mark.usefixtures("driver")
def test_on_the_processor_gpus_do_not_count() -> None:
    assert LocalProcess(Settings(device="cpu")).slots == 1
    assert worker_environment(Settings(device="cpu"))["CUDA_VISIBLE_DEVICES"] == ""


def test_more_threads_than_cores_are_refused() -> None:
    there = available_cores()
    with pytest.raises(UsageError, match=f"--threads {there + 1} .* may use {there}"):
        LocalProcess(Settings(threads=there + 1))
    assert chosen_cores(0) == ()


def test_threads_are_said_to_every_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    asked = worker_environment(Settings(threads=1))
    assert asked["OMP_NUM_THREADS"] == asked["TF_NUM_INTRAOP_THREADS"] == "1"
    assert worker_environment(Settings())["OMP_NUM_THREADS"] == "7"  # the user's own


def test_memory_of_a_gpu_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TF_FORCE_GPU_ALLOW_GROWTH", "XLA_PYTHON_CLIENT_PREALLOCATE"):
        monkeypatch.delenv(name, raising=False)
    env = worker_environment(Settings())
    assert env["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert env["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "true")
    assert worker_environment(Settings())["XLA_PYTHON_CLIENT_PREALLOCATE"] == "true"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process")
def test_a_worker_has_its_core_and_its_gpu_and_no_others() -> None:
    (core,) = sorted(os.sched_getaffinity(0))[-1:]
    worker = WorkerProcess(worker_environment(Settings()), (core,), "GPU-11111111-aaaa")
    try:
        assert worker.device_kind() == "cpu"  # there is no such GPU here
        assert os.sched_getaffinity(worker.pid) == {core}
        seen = Path(f"/proc/{worker.pid}/environ").read_bytes().decode().split("\0")
        assert "CUDA_VISIBLE_DEVICES=GPU-11111111-aaaa" in seen
    finally:
        worker.end()
