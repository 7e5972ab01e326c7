"""Out of memory: which errors mean it, the retries with accumulation, and the notes in records."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import workbench
from plans import REQUEST, Told, execute, plan, plan_of, silent
from scripted_executor import Outcome, ScriptedExecutor
from user import User

from bench import reports as report
from bench.errors import NodeLostError, OutOfMemoryError, WorkerDiedError
from bench.execution.executors.inline import Inline
from bench.execution.executors.worker_process import make_ended
from bench.execution.plan import Plan
from bench.execution.run_meta import RunInputs
from bench.protocol import Head, Phase
from bench.registry import BACKBONES
from bench.storage.cache import Store
from bench.storage.records import read_run
from bench.system.memory import is_out_of_memory, memory_error_summary
from bench.training.events import Listener
from bench.training.job import Job
from bench.types import Dataset, Record, Settings, Trial

PROTOCOL = replace(workbench.PROTOCOL, head=Head(dropout=0.0))


class LimitedMemory(ScriptedExecutor):
    """An executor whose trials run out of memory in steps above `room` images, by seed."""

    def __init__(self, room: Mapping[int, int], fault: Exception | None = None) -> None:
        super().__init__(self._fits)
        self.room = room
        self.fault = fault or OutOfMemoryError("out of memory: it was said so.")
        self.steps: list[tuple[int, int]] = []  # seed, images a step

    def _fits(self, job: Job, trial: Trial) -> Outcome:
        self.steps.append((trial.seed, job.step_images))
        return "ok" if job.step_images <= self.room[trial.seed] else self.fault


def run(
    p: Plan, folder: Path, store: Store, executor: LimitedMemory, **changes: bool
) -> list[Record]:
    request = replace(REQUEST, **changes)  # type: ignore[arg-type]
    return list(execute(RunInputs(p, folder, request, store), executor, silent))


def test_the_step_is_halved_until_it_fits_and_stays_so_for_later_trials(
    tmp_path: Path, store: Store
) -> None:
    executor = LimitedMemory({0: 32, 1: 10, 2: 16, 3: 8})
    records = run(plan("one", seeds=(0, 1, 2, 3)), tmp_path, store, executor)
    # Trials that fit are not run again; later ones keep the smaller step.
    assert executor.steps == [(0, 32), (1, 32), (1, 16), (1, 8), (2, 8), (3, 8)]
    assert [r.accumulation for r in records] == [1, 4, 4, 4]
    assert {r.trial.key for r in records} == {t.key for t in plan("one", seeds=(0, 1, 2, 3)).trials}
    assert records[0].notes == ()
    told = "Trained as 4 x 8 images with accumulated gradients: the same effective batch of 32."
    assert records[1].notes[0] == f"out of memory: it was said so. {told}"


@pytest.mark.parametrize(
    ("batch", "steps"),
    [
        (32, [32, 16, 8, 4]),
        (25, [25, 5, 1]),
        (10, [10, 5, 2, 1]),
        (7, [7, 1]),
        (1, [1]),
    ],
)
def test_steps_divide_the_batch(batch: int, steps: list[int], tmp_path: Path, store: Store) -> None:
    executor = LimitedMemory({0: 0})
    (record,) = run(plan("one", settings=Settings(batch_size=batch)), tmp_path, store, executor)
    assert [images for _, images in executor.steps] == steps
    assert record.status == "failed"
    tried = ", ".join(map(str, steps))
    smaller = "--input-size" if steps[-1] == 1 else "--batch-size or --input-size"
    assert record.reason == (
        f"out of memory: it was said so. Tried with {tried} images per step; a smaller {smaller} "
        f"needs less memory."
    )


def test_after_a_failure_the_run_continues_with_the_next_trial(
    tmp_path: Path, store: Store
) -> None:
    p = plan("one", "two", seeds=(0, 1))
    executor = LimitedMemory({0: 0, 1: 32})
    records = run(p, tmp_path, store, executor)
    found = [(r.trial.backbone, r.trial.seed, r.status) for r in records]
    assert sorted(found) == [
        (name, seed, status)
        for name in ("one", "two")
        for seed, status in ((0, "failed"), (1, "ok"))
    ]


def test_without_retry_running_out_of_memory_is_a_failed_record(
    tmp_path: Path, store: Store
) -> None:
    executor = LimitedMemory({0: 16})
    (record,) = run(plan("one"), tmp_path, store, executor, retry=False)
    assert executor.steps == [(0, 32)]
    assert record.reason == (
        "out of memory: it was said so. Tried with 32 images per step; a smaller --batch-size or "
        "--input-size needs less memory."
    )


def test_deaths_for_other_reasons_are_not_retried(tmp_path: Path, store: Store) -> None:
    executor = LimitedMemory({0: 0}, WorkerDiedError("killed by SIGSEGV"))
    (record,) = run(plan("one"), tmp_path, store, executor)
    assert executor.steps == [(0, 32)]
    assert record.reason == "killed by SIGSEGV"


@pytest.mark.parametrize("losses", [1, 2, 3])
def test_trials_of_a_lost_node_are_resubmitted_twice_at_most(
    losses: int, tmp_path: Path, store: Store
) -> None:
    left = [NodeLostError(f"node {number} was lost.") for number in range(losses)]

    def script(job: Job, trial: Trial) -> Outcome:
        return left.pop(0) if trial.seed == 1 and left else "ok"

    executor, told = ScriptedExecutor(script), Told()
    p = plan("one", seeds=(0, 1, 2))
    records = execute(RunInputs(p, tmp_path, REQUEST, store), executor, told)
    first, lost, last = sorted(records, key=lambda record: record.trial.seed)
    # Trials with a record are not run again.
    assert executor.ran == [("one", 0), *[("one", 1)] * min(losses + 1, 3), ("one", 2)]
    assert (first.status, first.notes) == ("ok", ())
    again = tuple(f"submitted again: node {number} was lost." for number in range(losses))
    if losses == 3:
        assert (lost.status, lost.reason) == ("failed", "node 2 was lost. Submitted 3 times.")
        assert (last.status, last.notes) == ("ok", ())
    else:
        assert (lost.status, lost.notes, last.notes) == ("ok", again, again)
    then = "Submitting the remaining trials again."
    resubmitted = [f"one: node {n} was lost. {then}" for n in (0, 1)]
    assert told.notes == resubmitted[:losses]


@pytest.mark.parametrize("losses", [2, 3])
def test_losing_the_measuring_node_fails_no_runtime(
    losses: int, tmp_path: Path, store: Store
) -> None:
    left = [NodeLostError("a node was lost.")] * losses

    class Measuring(ScriptedExecutor):
        def run(self, job: Job, listener: Listener) -> None:
            if job.task == "measure" and left:
                raise left.pop()
            super().run(job, listener)

    told = Told()
    (record,) = execute(RunInputs(plan("one"), tmp_path, REQUEST, store), Measuring(), told)
    measured = losses == 2
    assert [r.status for r in record.runtimes] == ["ok"] * measured
    last = "Measuring ended: a node was lost. Run the same command to try again."
    again = ["Measuring is submitted again: a node was lost."] * 2
    assert told.notes == again + [last] * (not measured)


def test_a_lost_node_does_not_count_as_a_memory_retry(tmp_path: Path, store: Store) -> None:
    left: list[Exception] = [NodeLostError("lost."), *[OutOfMemoryError("no room.")] * 4]
    executor = ScriptedExecutor(lambda job, trial: left.pop(0))
    (record,) = execute(RunInputs(plan("one"), tmp_path, REQUEST, store), executor, silent)
    assert "Tried with 32, 16, 8, 4 images per step" in record.reason


def test_accumulation_continues_from_that_of_an_earlier_command(
    tmp_path: Path, store: Store
) -> None:
    left: list[Outcome] = [OutOfMemoryError("no room.", parts=4), "ok"]
    executor = ScriptedExecutor(lambda job, trial: left.pop(0))
    (record,) = execute(RunInputs(plan("one"), tmp_path, REQUEST, store), executor, silent)
    assert (record.status, record.accumulation) == ("ok", 8)


def test_the_record_notes_that_batchnorm_was_trained_on_smaller_batches() -> None:
    phase = Phase("head", 1, 0.1, batchnorm="trained")
    p = plan("one", protocol=replace(plan("one").protocol, phases=(phase,)))
    job = Job(p.trials, p.protocol, p.dataset, None, "", "", 0, accumulation=2, shortage="So.")
    assert any("BatchNorm was trained on 16 images at a time, not 32" in n for n in job.notes)


def _named(name: str, text: str = "") -> Exception:
    kind: type[Exception] = type(name, (RuntimeError,), {})
    return kind(text)


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (MemoryError(), True),
        (np._core._exceptions._ArrayMemoryError((2**40,), np.dtype("uint8")), True),  # type: ignore[attr-defined]
        (_named("ResourceExhaustedError", "Graph execution error"), True),
        (_named("OutOfMemoryError", "CUDA: tried to allocate 2.00 GiB"), True),
        (_named("XlaRuntimeError", "RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes"), True),
        (_named("JaxRuntimeError", "INTERNAL: YNNPACK operation failed: error"), True),
        (_named("JaxRuntimeError", "INTERNAL: YNNPACK operation failed: invalid parameter"), False),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("std::bad_alloc"), True),
        (_named("DecodeError", "Error parsing message: Arena alloc failed"), True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("can't start new thread"), True),
        (_named("XlaRuntimeError", "INTERNAL: something else"), False),
        (ValueError("the memory of this shape is wrong"), False),
        (FileNotFoundError(2, "No such file"), False),
    ],
    ids=repr,
)
def test_which_errors_mean_out_of_memory(error: Exception, short: bool) -> None:
    assert is_out_of_memory(error) is short
    wrapped = RuntimeError("while training")
    wrapped.__cause__ = error
    assert is_out_of_memory(wrapped) is short


@pytest.mark.parametrize(
    ("code", "log", "memory"),
    [
        (-9, "", True),
        (-6, "terminate called after throwing an instance of 'std::bad_alloc'", True),
        (-6, "terminate called\n  what():  could not create a primitive", True),
        (-6, "what():  could not create a primitive descriptor", False),
        (-6, "LLVM ERROR: Unable to allocate section memory!", True),
        (-6, "Check failed: shape is static", False),
        (-11, "std::bad_alloc", False),
        (1, "", False),
    ],
)
def test_which_exit_codes_mean_out_of_memory(
    code: int, log: str, memory: bool, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    path.write_text(log)
    assert make_ended(code, "", path).out_of_memory is memory


def test_the_summary_of_a_memory_error_is_its_relevant_line() -> None:
    text = "Graph error:\n\nDetected at node x\n \x1b[1mOOM when allocating tensor\x1b[0m\nHint"
    assert (
        memory_error_summary(_named("ResourceExhaustedError", text)) == "OOM when allocating tensor"
    )
    assert memory_error_summary(MemoryError()) == "MemoryError"


class ResourceExhaustedError(Exception):
    """Has the name of TensorFlow's error."""


class Hungry:
    """The tiny backbone with a layer that runs out of memory above `room` images."""

    def __init__(self) -> None:
        self.room = 32
        stages = (*tiny.TINY.stages[:-1], "hungry")
        self.backbone = replace(tiny.TINY, name="hungry", build=self.build, stages=stages)

    def build(self, **arguments: Any) -> Any:
        import keras

        def limited(images: Any) -> Any:
            count = images.shape[0]
            if count is None and not isinstance(images, keras.KerasTensor):
                return _if_it_fits(images, self.room)  # TensorFlow knows the batch when it runs
            # Keras finds out a shape with a symbol, or with these two, which are nobody's batch.
            asked = not isinstance(count, int) or count in (83, 89)
            if not asked and count > self.room:
                raise ResourceExhaustedError(f"OOM when allocating tensor with shape[{count},32]")
            return images

        made = tiny.build(**arguments)
        layer = keras.layers.Lambda(limited, output_shape=made.output.shape[1:], name="hungry")
        return keras.Model(made.input, layer(made.output))


def _if_it_fits(images: Any, room: int) -> Any:
    import tensorflow as tf

    fits = tf.debugging.assert_less_equal(
        tf.shape(images)[0], room, message="OOM when allocating tensor"
    )
    with tf.control_dependencies([fits]):
        return tf.identity(images)


@pytest.fixture
def hungry() -> Iterator[Hungry]:
    made = Hungry()
    BACKBONES.add(made.backbone)
    BACKBONES.add(tiny.TINY)
    yield made
    BACKBONES.remove("hungry")
    BACKBONES.remove("tiny")


@pytest.fixture
def dataset(tmp_path: Path, store: Store) -> Dataset:
    return workbench.make_dataset(tmp_path / "data", store)


def _trained(dataset: Dataset, folder: Path, store: Store, *names: str) -> dict[str, Record]:
    """Return the records, by backbone, of a run without cached features."""
    settings = replace(workbench.SETTINGS, cache=False)
    p = plan_of([BACKBONES[name] for name in names], dataset, PROTOCOL, settings)
    records = execute(RunInputs(p, folder, REQUEST, store), Inline(), silent)
    return {record.trial.backbone: record for record in records}


@pytest.mark.slow
def test_accumulation_after_a_memory_error_gives_the_same_result(
    hungry: Hungry, dataset: Dataset, store: Store, tmp_path: Path
) -> None:
    plain = _trained(dataset, tmp_path / "plain", store, "hungry")["hungry"]
    hungry.room = 8
    short = _trained(dataset, tmp_path / "short", store, "hungry")["hungry"]
    # 12 and 16 images are too many to be answered at once, so the batch of 8 is divided, too; JAX
    # pads them to the 32 that it compiles for.
    parts = 4 if os.environ.get("KERAS_BACKEND") == "jax" else 2
    assert (plain.accumulation, short.accumulation) == (1, parts)
    assert (plain.status, short.status) == ("ok", "ok")
    one, other = (read_run(tmp_path / run).evidence[0].arrays for run in ("plain", "short"))
    for name in ("test_probabilities", "validation_probabilities"):
        np.testing.assert_allclose(one[name], other[name], atol=1e-5)
    report.render(tmp_path / "short")
    for name in ("report.md", "report.html"):
        text = (tmp_path / "short" / name).read_text(encoding="utf-8")
        assert f"Trained as {parts} x {8 // parts} images with accumulated gradients" in text


@pytest.mark.slow
def test_a_trial_that_never_fits_fails_and_the_next_one_runs(
    hungry: Hungry, dataset: Dataset, store: Store, tmp_path: Path
) -> None:
    hungry.room = 0
    found = _trained(dataset, tmp_path / "r", store, "hungry", "tiny")
    assert found["tiny"].status == "ok"
    assert found["hungry"].status == "failed"
    assert found["hungry"].reason.startswith("out of memory (")
    assert "OOM when allocating tensor" in found["hungry"].reason
    assert "Tried with 8, 4, 2, 1 images per step; a smaller --input-size" in found["hungry"].reason


WHOLE = """
[head]
[[phases]]
name = "whole"
epochs = 1
learning_rate = 1e-3
unfreeze = "all"
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_training_succeeds_under_a_real_memory_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker may grow by `LIMITED_MB` megabytes; a step of the whole batch needs more."""
    user = User(tmp_path)
    (tmp_path / "whole.toml").write_text(WHOLE)
    monkeypatch.setenv("LIMITED_MB", "400")
    words = ("--protocol", str(tmp_path / "whole.toml"), "--input-size", "96", "--batch-size", "16")
    for _ in range(3):
        user.run(*words, backbones="limited")
        [limited] = user.load().records
        # The framework raises or aborts, which is retried, or crashes without saying why.
        if "SIGSEGV" not in limited.reason:
            break
    if "SIGSEGV" in limited.reason:
        pytest.skip(
            "the framework crashed at this limit each time, which says nothing of the retries"
        )
    assert limited.status == "ok", limited.reason
    assert limited.accumulation > 1
    assert "the same effective batch of 16" in limited.notes[0]
