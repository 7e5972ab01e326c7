"""Executing a plan: resuming, failures, dying workers, and settings that must not be mixed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import edited
import numpy as np
import pytest
from abandoned import left_beside
from plans import PROTOCOL, REQUEST, Told, backbone, execute, plan, plan_of, silent
from scripted_executor import DIES, Outcome, ScriptedExecutor, all_ok
from synthetic import write_records

from bench import reports as report
from bench.analysis.metrics.base import METRICS
from bench.analysis.warnings import warnings
from bench.errors import BenchError, UsageError, failure_reason
from bench.execution.estimate import Cost
from bench.execution.executors import make_executor
from bench.execution.plan import Plan
from bench.execution.progress import make_schedule
from bench.execution.request import RunRequest
from bench.execution.run_meta import RemainingWork, RunInputs
from bench.models.weights import LocatedWeights, locate_all
from bench.protocol import Phase, Unfreeze
from bench.reports import render
from bench.storage.arrays import arrays_path
from bench.storage.cache import FileDigests, Store
from bench.storage.records import SCHEMA, read_records, read_run
from bench.storage.run_folder import lock_run, prepare_run_folder
from bench.training.events import Event, Listener, RecordMade, RecordMeasured
from bench.training.job import Job
from bench.types import (
    KeepModels,
    Measuring,
    Probes,
    Record,
    RuntimeResult,
    Session,
    Settings,
    Trial,
    WeightsUsed,
)


def run(
    p: Plan, folder: Path, store: Store, script: Callable[[Job, Trial], Outcome] = all_ok
) -> ScriptedExecutor:
    executor = ScriptedExecutor(script)
    execute(RunInputs(p, folder, REQUEST, store), executor, silent)
    return executor


def untrained(p: Plan, folder: Path) -> list[Trial]:
    return list(RemainingWork.read(p, folder).untrained)


def test_only_missing_trials_are_run(tmp_path: Path, store: Store) -> None:
    run(plan("one"), tmp_path / "r", store)
    again = run(plan("one", "two"), tmp_path / "r", store)
    assert again.ran == [("two", 0)]
    assert [r.trial.backbone for r in read_records(tmp_path / "r")] == ["one", "two"]
    assert untrained(plan("one", "two"), tmp_path / "r") == []


def test_half_written_files_of_a_killed_run_are_removed(tmp_path: Path, store: Store) -> None:
    files = [tmp_path / "r" / "arrays" / "k.npz", tmp_path / "index.html"]
    left = [left_beside(path) for path in files]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    run(plan("one"), tmp_path / "r", store)
    assert not any(path.exists() for path in left)


def test_leftovers_of_killed_workers_are_removed(tmp_path: Path, store: Store) -> None:
    before, during = (left_beside(store.root / "drafts" / name) for name in ("one", "two"))
    arrays = left_beside(tmp_path / "r" / "arrays" / "k.npz")
    before.mkdir(parents=True)

    def script(job: Job, trial: Trial) -> Outcome:
        assert not before.exists()
        during.mkdir()
        arrays.mkdir(parents=True)
        return DIES

    run(plan("one"), tmp_path / "r", store, script)
    assert not during.exists()
    assert not arrays.exists()


def test_a_failed_trial_is_run_again_and_its_record_replaced(tmp_path: Path, store: Store) -> None:
    run(plan("one", "two"), tmp_path / "r", store, lambda job, t: "failed" if t.seed == 0 else "ok")
    again = run(plan("one", "two"), tmp_path / "r", store)
    assert len(again.ran) == 2
    assert [r.status for r in read_records(tmp_path / "r")] == ["ok", "ok"]


def test_duplicate_lines_are_removed_by_the_same_command(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "r" / "records.jsonl"
    run(plan("one", "two"), tmp_path / "r", store)
    once = path.read_text()
    path.write_text(once * 2)
    again = run(plan("one", "two"), tmp_path / "r", store)
    assert (again.ran, path.read_text()) == ([], once)


def test_a_trial_with_a_truncated_record_is_run_again(tmp_path: Path, store: Store) -> None:
    path, p = tmp_path / "r" / "records.jsonl", plan("one", "zw\u00f6lf")
    run(p, tmp_path / "r", store)
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in (first + 1, whole.rindex(b"\xb6"), len(whole) - 2):
        path.write_bytes(whole[:cut])
        assert [r.trial.backbone for r in read_records(path.parent)] == ["one"]
    again = run(p, tmp_path / "r", store)
    assert (again.ran, path.read_bytes().count(b"\n")) == ([("zw\u00f6lf", 0)], 2)
    path.write_bytes(whole[:-1])  # as an editor leaves it
    assert len(read_records(path.parent)) == 2


def test_records_are_appended_and_compacted_at_the_end(tmp_path: Path, store: Store) -> None:
    lines: list[int] = []

    def count(event: Event) -> None:
        if isinstance(event, RecordMade):
            lines.append((tmp_path / "r" / "records.jsonl").read_bytes().count(b"\n"))
            assert event.record in read_records(tmp_path / "r")

    execute(
        RunInputs(plan("one", "two"), tmp_path / "r", REQUEST, store), ScriptedExecutor(), count
    )
    assert lines == [1, 2, 3, 4]  # trained, and measured
    assert (tmp_path / "r" / "records.jsonl").read_bytes().count(b"\n") == 2


def test_a_trial_with_missing_or_damaged_arrays_is_trained_again(
    tmp_path: Path, store: Store
) -> None:
    p, heard = plan("one", "two", "three"), Told()
    folder = tmp_path / "r"
    run(p, folder, store)
    one, two, _ = (arrays_path(folder, trial.key) for trial in p.trials)
    one.unlink()
    two.write_bytes(two.read_bytes()[:-1])
    assert [trial.backbone for trial in untrained(p, folder)] == ["one", "two"]
    executor = ScriptedExecutor()
    execute(RunInputs(p, folder, REQUEST, store), executor, heard)
    assert executor.ran == [("one", 0), ("two", 0)]
    assert heard.notes[0] == f"{one} is missing: the trial is trained again."
    assert heard.notes[1].startswith(f"{two} is damaged (")
    assert untrained(p, folder) == []


def test_images_are_restored_before_each_job(tmp_path: Path, store: Store) -> None:
    happened: list[str] = []

    def train(job: Job, trial: Trial) -> str:
        happened.append(trial.backbone)
        return "ok"

    inputs = RunInputs(plan("one", "two"), tmp_path / "r", REQUEST, store)
    restoring = replace(inputs, restore=lambda: happened.append("restored"))
    execute(restoring, ScriptedExecutor(train), silent)
    assert happened == ["restored", "one", "restored", "two", "restored"]  # and before measuring


def test_a_dying_worker_fails_one_trial_only(tmp_path: Path, store: Store) -> None:
    ends: dict[int, Outcome] = {0: "ok", 1: DIES, 2: "ok"}
    p = plan("one", "two", seeds=(0, 1, 2))
    executor = run(p, tmp_path / "r", store, lambda job, t: ends[t.seed])
    assert executor.ran == [(b, s) for b in ("one", "two") for s in (0, 1, 2)]
    records = {(r.trial.backbone, r.trial.seed): r for r in read_records(tmp_path / "r")}
    assert len(records) == 6
    assert records["one", 1].status == "failed"
    assert records["one", 1].reason == "killed by SIGKILL"
    assert records["two", 2].status == "ok"


def test_trials_without_a_record_fail_even_if_the_executor_raises_nothing(
    tmp_path: Path, store: Store
) -> None:
    class Idle(ScriptedExecutor):
        def run(self, job: Job, listener: Listener) -> None:
            self.ran += [(trial.backbone, trial.seed) for trial in job.trials]
            assert len(self.ran) <= 3, "the job is run again and again"

    executor = Idle()
    inputs = RunInputs(plan("one", seeds=(0, 1)), tmp_path, REQUEST, store)
    records = execute(inputs, executor, silent)
    # The job had both, then the second alone: each fails once.
    assert executor.ran == [("one", 0), ("one", 1), ("one", 1)]
    assert [record.status for record in records] == ["failed", "failed"]
    assert {r.reason for r in records} == {"the executor ended without a record of this trial."}


def test_the_log_shows_why_a_worker_died_while_loading(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keras.py").write_text("raise ImportError('nonesuch')")
    monkeypatch.syspath_prepend(tmp_path)  # workers look where this process does
    with closing(make_executor(Settings(), RunRequest())) as executor:
        records = execute(RunInputs(plan("one"), tmp_path, REQUEST, store), executor, silent)
    assert [record.status for record in records] == ["failed"]
    log = tmp_path / records[0].reason.rsplit("its log is ", 1)[1].rstrip(".")
    assert "nonesuch" in log.read_text(encoding="utf-8")


def test_an_interrupted_run_keeps_its_records(tmp_path: Path, store: Store) -> None:
    p, ends = plan("one", "two", "three"), {"two": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        run(p, tmp_path / "r", store, lambda job, t: ends.get(t.backbone, "ok"))
    assert [t.backbone for t in untrained(p, tmp_path / "r")] == ["two", "three"]
    assert read_run(tmp_path / "r").meta.name == "r"


@pytest.mark.parametrize("earlier", ["none", "best"])
def test_unwanted_weights_are_deleted_after_an_interrupted_command(
    tmp_path: Path, store: Store, earlier: KeepModels
) -> None:
    def stopped(event: Event) -> None:
        if isinstance(event, RecordMeasured):
            raise KeyboardInterrupt

    def keeps(name: str, keep: KeepModels) -> RunInputs:
        return RunInputs(plan(name), tmp_path / "r", replace(REQUEST, keep_models=keep), store)

    def left() -> set[str]:
        return {path.stem for path in (tmp_path / "r" / "weights").iterdir()}

    (kept,) = execute(keeps("one", earlier), ScriptedExecutor(), silent)
    before = {kept.trial.key} if earlier == "best" else set()
    assert left() == before
    with pytest.raises(KeyboardInterrupt):
        execute(keeps("two", "none"), ScriptedExecutor(), stopped)
    assert len(left()) == len(before) + 1
    for _ in range(2):
        execute(keeps("two", "none"), ScriptedExecutor(), silent)
        assert left() == before


def test_further_files_are_written_into_the_runs_folder(tmp_path: Path, store: Store) -> None:
    files = {"audit.json": b"{}", "audit/001.jpg": b"jpeg"}
    inputs = RunInputs(plan("one"), tmp_path / "r", REQUEST, store, files=files)
    execute(inputs, ScriptedExecutor(), silent)
    assert (tmp_path / "r/audit/001.jpg").read_bytes() == b"jpeg"
    # A run that is refused writes nothing.
    unlike = plan("one", settings=Settings(batch_size=16))
    other = replace(inputs, plan=unlike, files={"audit.json": b"other"})
    with pytest.raises(UsageError, match="was made with --batch-size"):
        execute(other, ScriptedExecutor(), silent)
    assert (tmp_path / "r/audit.json").read_bytes() == b"{}"


def test_other_weights_replace_the_earlier_record(tmp_path: Path, store: Store) -> None:
    run(plan("one"), tmp_path / "r", store)
    run(
        plan("one", weights=LocatedWeights("imagenet", "x.h5", "x.h5")),
        tmp_path / "r",
        store,
    )
    assert len(read_records(tmp_path / "r")) == 1


def test_changed_weights_of_the_same_name_are_trained_again(tmp_path: Path, store: Store) -> None:
    (tmp_path / "given").mkdir()
    file = tmp_path / "given" / "one.h5"

    def planned() -> Plan:
        found = locate_all(
            [(backbone("one"), 64)],
            str(file.parent),
            say=lambda text: None,
            progress=lambda done, total: None,
            digests=FileDigests(tmp_path / "digests.json"),
        )
        return plan("one", weights=found["one", 64])

    file.write_bytes(b"yesterday")
    run(planned(), tmp_path / "r", store)
    assert run(planned(), tmp_path / "r", store).ran == []
    file.write_bytes(b"retrained")
    assert run(planned(), tmp_path / "r", store).ran == [("one", 0)]


def test_another_input_size_is_another_run(tmp_path: Path, store: Store) -> None:
    run(plan("one"), tmp_path / "r", store)
    with pytest.raises(UsageError, match="made with --input-size None, now it is 96"):
        run(plan("one", input_size=96), tmp_path / "r", store)
    (record,) = read_records(tmp_path / "r")
    assert record.trial.input_size == 64
    assert plan("one", input_size=96).name != plan("one").name
    # Even its own size given explicitly is another run, since it applies to all backbones.
    with pytest.raises(UsageError, match="made with --input-size None, now it is 64"):
        run(plan("one", input_size=64), tmp_path / "r", store)


def test_the_same_input_sizes_are_the_same_run(tmp_path: Path, store: Store) -> None:
    sizes = (64, 96)
    assert run(plan("one", input_size=sizes), tmp_path / "r", store).ran == [
        *(("one@64", 0), ("one@96", 0)),
    ]
    assert run(plan("one", input_size=sizes), tmp_path / "r", store).ran == []
    with pytest.raises(UsageError, match=r"made with --input-size \[64, 96\], now it is 64"):
        run(plan("one", input_size=64), tmp_path / "r", store)


def test_the_input_size_of_an_old_run_is_read_from_its_records(
    tmp_path: Path, store: Store
) -> None:
    run(plan("one", input_size=96), tmp_path / "r", store)
    meta = json.loads((tmp_path / "r/run.json").read_text())
    del meta["identity"]["--input-size"]
    (tmp_path / "r/run.json").write_text(json.dumps(meta))
    with pytest.raises(UsageError, match="made with --input-size 96, now it is None"):
        run(plan("one"), tmp_path / "r", store)
    assert run(plan("one", input_size=96), tmp_path / "r", store).ran == []


def test_records_at_two_sizes_do_not_replace_each_other(tmp_path: Path) -> None:
    trials = [plan("one", input_size=size).trials[0] for size in (96, 128)]
    write_records(tmp_path, [Record(SCHEMA, trial, "ok") for trial in trials])
    assert [record.trial.input_size for record in read_records(tmp_path)] == [96, 128]


@pytest.mark.parametrize("name", edited.EDITS)
def test_an_edited_plugin_is_trained_again(tmp_path: Path, store: Store, name: str) -> None:
    plugin = edited.write(tmp_path / "plugins")

    def planned() -> Plan:
        return plan_of([edited.load(plugin)])

    run(planned(), tmp_path / "r", store)
    assert run(planned(), tmp_path / "r", store).ran == []
    edited.edit(tmp_path / "plugins", name)
    assert run(planned(), tmp_path / "r", store).ran == [("edited", 0)]
    (record,) = read_records(tmp_path / "r")  # it replaced the earlier one
    assert record.trial == planned().trials[0]


def test_a_failed_retraining_leaves_the_earlier_record_in_its_place(
    tmp_path: Path, store: Store
) -> None:
    folder, other = tmp_path / "r", LocatedWeights("imagenet", "x.h5", "x.h5")
    run(plan("one"), folder, store)
    first = plan("one").trials[0].key
    changed = plan("one", weights=other)

    run(changed, folder, store, lambda job, trial: "failed")
    loaded = read_run(folder)
    assert [r.trial.key for r in loaded.all_records] == [first]
    assert [r.trial.key for r in loaded.failed_reruns] == [changed.trials[0].key]
    findings = report.read(folder)
    assert report.is_incomplete(findings)
    assert report.is_incomplete(findings, {changed.trials[0].key})
    (said,) = (text for text in warnings(findings) if "failed" in text)
    assert said == (
        "one, seed 0, failed when it was trained again; its earlier record is shown: as the "
        "script says. The same command tries it once more."
    )

    assert untrained(changed, folder) == list(changed.trials)
    run(changed, folder, store)
    loaded = read_run(folder)
    assert [r.trial.key for r in loaded.all_records] == [changed.trials[0].key]
    assert loaded.failed_reruns == ()


def test_training_fractions_are_separate_trials(tmp_path: Path, store: Store) -> None:
    run(plan("one", seeds=(0, 1)), tmp_path / "r", store)
    more = plan("one", seeds=(0, 1), fractions=(0.1, 1.0))
    assert [(t.fraction, t.seed) for t in more.trials] == [(1.0, 0), (1.0, 1), (0.1, 0), (0.1, 1)]
    again = run(more, tmp_path / "r", store)
    assert again.ran == [("one", 0), ("one", 1)]
    assert [t.fraction for t in untrained(more, tmp_path / "r")] == []
    loaded = read_run(tmp_path / "r")
    assert [r.trial.fraction for r in loaded.records] == [1.0, 1.0]
    assert [r.trial.fraction for r in loaded.subset_records] == [0.1, 0.1]
    # Other weights replace the record of the same seed and fraction only.
    other = plan("one", weights=LocatedWeights("imagenet", "x.h5", "x.h5"), fractions=(0.1,))
    run(other, tmp_path / "r", store)
    assert len(read_records(tmp_path / "r")) == 4


@dataclass
class Machines(ScriptedExecutor):
    """An executor with `capacity` machines that remembers the trials of each job."""

    capacity: int = 1
    jobs: list[tuple[tuple[str, float, int], ...]] = field(default_factory=list)
    estimates: list[float] = field(default_factory=list)

    def run(self, job: Job, listener: Listener) -> None:
        if job.task == "train":
            self.estimates.append(job.estimated_seconds)
            self.jobs.append(tuple((t.backbone, t.fraction, t.seed) for t in job.trials))
        super().run(job, listener)


def test_trials_of_a_backbone_are_split_among_idle_machines(tmp_path: Path, store: Store) -> None:
    p = plan("one", "two", seeds=(0, 1), fractions=(1.0, 0.5))

    def jobs(machines: int) -> list[str]:
        """Run the plan; return the trials of each job, as `backbone seed fraction`."""
        executor, folder = Machines(capacity=machines), tmp_path / str(machines)
        execute(RunInputs(p, folder, REQUEST, store), executor, silent)
        return [", ".join(f"{t[0]} {t[2]} {t[1]:g}" for t in job) for job in executor.jobs]

    one, two = (f"{n} 0 1, {n} 1 1, {n} 0 0.5, {n} 1 0.5" for n in ("one", "two"))
    assert jobs(1) == jobs(2) == [one, two]
    assert jobs(3) == ["one 0 1, one 0 0.5", "one 1 1, one 1 0.5", two]
    assert jobs(4) == [f"{n} {seed} 1, {n} {seed} 0.5" for n in ("one", "two") for seed in (0, 1)]
    assert sorted(", ".join(jobs(9)).split(", ")) == sorted(f"{one}, {two}".split(", "))
    # The results are the same as on one machine.
    for trial in p.trials:
        found = [read_arrays(tmp_path / n, trial.key) for n in ("1", "9")]
        assert found[0] == found[1]


def test_each_split_job_is_estimated_with_the_frozen_part(tmp_path: Path, store: Store) -> None:
    p = plan("one", seeds=(0, 1))
    cost = Cost(shared=1000.0, per_trial=10.0, per_image=0.1)
    p = replace(p, planned=(replace(p.planned[0], cost=cost),))
    for machines, estimates in {1: [1020.0], 2: [1010.0, 1010.0]}.items():
        executor = Machines(capacity=machines)
        execute(RunInputs(p, tmp_path / str(machines), REQUEST, store), executor, silent)
        assert executor.estimates == estimates


def read_arrays(folder: Path, key: str) -> dict[str, bytes]:
    with np.load(arrays_path(folder, key)) as arrays:
        return {name: arrays[name].tobytes() for name in arrays}


def test_the_remaining_trials_of_a_run_are_split(tmp_path: Path, store: Store) -> None:
    run(plan("one"), tmp_path, store)
    executor = Machines(capacity=4)
    p = plan("one", "two", seeds=(0, 1, 2, 3))
    execute(RunInputs(p, tmp_path, REQUEST, store), executor, silent)
    # The longer job first: three trials of one, four of two.
    assert [[seed for _, _, seed in job] for job in executor.jobs] == [[1, 3], [2], [0, 2], [1, 3]]


def test_settings_that_define_a_trial_change_its_key() -> None:
    keys = {
        plan("one").trials[0].key,
        plan("one", settings=Settings(tune=3)).trials[0].key,
        plan("one", settings=Settings(deterministic=True)).trials[0].key,
        plan("one", fractions=(0.5,)).trials[0].key,
        plan("one", fractions=(0.25,)).trials[0].key,
    }
    assert len(keys) == 5


def test_a_folder_is_not_reused_with_other_settings(tmp_path: Path, store: Store) -> None:
    run(plan("one"), tmp_path / "r", store)
    other = plan("one", settings=Settings(batch_size=8))
    with pytest.raises(UsageError, match="made with --batch-size 32, now it is 8"):
        run(other, tmp_path / "r", store)
    assert other.name != plan("one").name


def test_measuring_options_change_neither_run_nor_trials(tmp_path: Path, store: Store) -> None:
    first = plan("one")
    run(first, tmp_path / "r", store)
    asked = Measuring(latency_seconds=9.0, runtimes="keras,xla", robustness=True)
    more = replace(plan("one"), measuring=asked)
    assert (more.name, more.trials) == (first.name, first.trials)
    assert run(more, tmp_path / "r", store).ran == []
    assert read_run(tmp_path / "r").meta.measuring.latency_seconds == 9.0


def test_measurements_that_need_deleted_weights_are_noted(tmp_path: Path, store: Store) -> None:
    run(plan("one", seeds=(0, 1)), tmp_path / "r", store)
    session = Session("now", ("one",), 1, 1, 1.0, (1.0,), latency_seconds=2.0)
    timed = {"runtimes": (RuntimeResult("keras", session=session),), "session": session}
    used = WeightsUsed("imagenet", "x.h5", "0" * 64)
    records = [replace(r, weights=used, **timed) for r in read_records(tmp_path / "r")]  # type: ignore[arg-type]
    write_records(tmp_path / "r", records)

    def notes(**asked: Any) -> list[str]:
        more = replace(plan("one", seeds=(0, 1)), measuring=Measuring(**asked))
        assert run(more, tmp_path / "r", store).ran == []
        assert read_records(tmp_path / "r") == tuple(records)
        return list(read_run(tmp_path / "r").meta.notes)

    def note(what: str) -> str:
        return (
            f"one (seeds 0, 1): {what} cannot be measured, since the trained weights were "
            f"not kept; --fresh trains it again."
        )

    assert notes() == []
    assert notes(robustness=True) == [note("robustness")]
    assert notes(latency_seconds=5.0) == [note("keras")]
    assert notes(latency_seconds=5.0, robustness=True) == [note("keras, robustness")]
    # Only one seed is named if the other has its measurement.
    records[1] = replace(records[1], seconds={"robustness": 1.0})
    write_records(tmp_path / "r", records)
    assert notes(robustness=True) == [note("robustness").replace("seeds 0, 1", "seed 0")]


def test_a_run_of_version_0_1_is_read_and_reported(tmp_path: Path) -> None:
    """Its settings included the measuring options, and its runtimes shared one session."""
    folder = tmp_path / "run_0_1"
    shutil.copytree(Path(__file__).parent / "run_0_1", folder)
    (evidence,) = read_run(folder).evidence
    assert evidence.record.trial.settings == Settings()
    assert evidence.record.trial.code == ""
    assert evidence.record.session is not None
    assert evidence.record.session.rounds == 10
    latency = METRICS["latency_p50_ms"].compute(evidence)
    assert latency == pytest.approx(1000 * np.median(evidence.arrays["latency_keras_b1"]))
    assert "tiny" in next(path for path in render(folder) if path.name == "report.md").read_text()


def test_run_json_lists_the_trials_of_the_last_command(tmp_path: Path, store: Store) -> None:
    run(plan("one"), tmp_path / "r", store)
    last = plan("two")
    run(last, tmp_path / "r", store)
    assert read_run(tmp_path / "r").meta.asked == (last.trials[0].key,)


def test_two_processes_cannot_write_one_run(tmp_path: Path, store: Store) -> None:
    def script(job: Job, trial: Trial) -> Outcome:
        with pytest.raises(BenchError, match="another process is writing run r"):
            run(plan("one"), tmp_path / "r", store)
        return "ok"

    assert run(plan("one"), tmp_path / "r", store, script).ran == [("one", 0)]


def test_fresh_does_not_move_a_locked_folder(tmp_path: Path) -> None:
    with (
        lock_run(tmp_path / "r"),
        pytest.raises(BenchError, match="another process is writing run r; wait for it"),
    ):
        prepare_run_folder(tmp_path, "r", fresh=True)
    assert (tmp_path / "r").is_dir()


def test_fresh_reuses_a_folder_that_holds_only_a_lock(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / ".lock").touch()
    prepare_run_folder(tmp_path, "r", fresh=True)
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_fresh_holds_the_lock_while_it_moves_the_earlier_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "mark").touch()
    rename = Path.rename

    def contested(folder: Path, target: Path) -> Path:
        with pytest.raises(BenchError, match="another process is writing run r"), lock_run(folder):
            pass
        return rename(folder, target)

    monkeypatch.setattr(Path, "rename", contested)
    prepare_run_folder(tmp_path, "r", fresh=True)
    assert (tmp_path / "r.1" / "mark").exists()


def test_fresh_moves_the_earlier_run_aside(tmp_path: Path) -> None:
    for content in ("first", "second"):
        folder = prepare_run_folder(tmp_path, "r", fresh=True)
        folder.mkdir()
        (folder / "mark").write_text(content)
    assert (tmp_path / "r" / "mark").read_text() == "second"
    assert (tmp_path / "r.1" / "mark").read_text() == "first"


def test_untrainable_backbones_are_skipped_with_the_reason() -> None:
    late = Phase("late", 1, 0.1, unfreeze=Unfreeze("from_layer", 100))
    p = plan_of(
        [
            backbone("small", layers=19),
            backbone("large", layers=200),
            backbone("px", minimum_size=75),
        ],
        protocol=replace(PROTOCOL, phases=(late,)),
    )
    assert [x.backbone for x in p.planned] == ["large"]
    reasons = {s.backbone: s.reason for s in p.skipped}
    assert "small has 19 layers" in reasons["small"]
    assert "takes images of 75 px or more, got 64 px" in reasons["px"]


def test_a_failure_reason_is_valid_text_for_any_file_name() -> None:
    odd = os.fsdecode(b"caf\xe9.h5")
    assert failure_reason(BenchError(f"{odd} is gone")) == "caf\\udce9.h5 is gone"
    assert failure_reason(ValueError(odd)) == "ValueError: caf\\udce9.h5"


def test_records_round_trip_through_the_file(tmp_path: Path) -> None:
    trial = plan("one").trials[0]
    record = Record(SCHEMA, trial, "failed", reason='näh "no"\n', seconds={"train": 1.5})
    write_records(tmp_path, [record])
    assert read_records(tmp_path) == (record,)
    newer = json.loads((tmp_path / "records.jsonl").read_text()) | {"schema": SCHEMA + 1}
    (tmp_path / "records.jsonl").write_text(json.dumps(newer))
    with pytest.raises(BenchError, match="line 1 has format 2"):
        read_records(tmp_path)


def test_robustness_is_estimated_for_pretrained_backbones_only() -> None:
    def seconds(name: str, weights: LocatedWeights | None, robustness: bool) -> float:
        measuring = Measuring(robustness=robustness)
        made = plan_of([backbone(name, gmacs=1.0)], weights=weights, measuring=measuring)
        (planned,) = made.planned
        assert planned.cost is not None
        return planned.cost.shared + planned.cost.per_trial

    found = LocatedWeights("file", "w.h5", "0" * 64)
    assert seconds("a", None, True) == seconds("a", None, False)
    # Two test images, six corruptions, three strengths: 36 passes of 2e9 operations at 0.45e11.
    more = seconds("a", found, True) - seconds("a", found, False)
    assert more == pytest.approx(36 * 2e9 / 0.45e11)


def test_probes_are_estimated_once_for_all_seeds_of_pretrained_backbones() -> None:
    def seconds(weights: LocatedWeights | None, *, probes: bool) -> float:
        more = {"weights": weights, "measuring": Measuring(probes=probes), "seeds": (0, 1)}
        made = plan_of([backbone("a", gmacs=1.0)], **more)  # type: ignore[arg-type]
        return make_schedule(made, made.trials).total

    found = LocatedWeights("file", "w.h5", "0" * 64)
    assert seconds(None, probes=True) == seconds(None, probes=False)
    assert 4 < seconds(found, probes=True) - seconds(found, probes=False) < 5


def test_probes_of_a_finished_run_need_no_trained_weights(tmp_path: Path, store: Store) -> None:
    first = plan("one", "random", seeds=(0, 1))
    run(first, tmp_path / "r", store)
    used = WeightsUsed("imagenet", "x.h5", "0" * 64)
    timed = (RuntimeResult("keras", session=Session("", (), 1, 1, 1.0, (), 2.0)),)
    records = {
        r.trial.key: replace(r, weights=used if r.trial.backbone == "one" else None, runtimes=timed)
        for r in read_records(tmp_path / "r")
    }
    assert RemainingWork(first, tmp_path / "r", records).unmeasured() == []
    asked = replace(first, measuring=Measuring(probes=True))
    found = RemainingWork(asked, tmp_path / "r", records).unmeasured()
    assert [(trial.backbone, trial.seed) for trial in found] == [("one", 0), ("one", 1)]
    fitted = Probes(8, 20, 0.1)
    done = {key: replace(record, probes=fitted) for key, record in records.items()}
    assert RemainingWork(asked, tmp_path / "r", done).unmeasured() == []
