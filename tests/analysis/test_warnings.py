"""What reports warn of: every cause arises from records, and says what helps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from synthetic import Net, audit_of, make_run, write_records

from bench.analysis.findings import analyse_run
from bench.analysis.sensitivity import Flip, LeadAtRate, Sensitivity
from bench.analysis.warnings import Cause, Caution, cautions
from bench.data.audit.result import ImagePair, KeptAudit, LocatedImage
from bench.storage.records import read_records, read_run
from bench.types import Excluded, RuntimeResult, Session

NETS = (Net("one"), Net("two"), Net("drawn", source="random init"), Net("broken", fails="no"))
LEAK = ImagePair(
    LocatedImage("train/a", "train", 0), LocatedImage("test/b", "test", 0), "exact", 1.0
)


def session(started: str, *calibration: float) -> Session:
    return Session(started, ("one", "two"), 2, 4, 1e11, calibration, 2.0)


def all_cautions(folder: Path) -> list[Caution]:
    """Return the warnings of a run with every cause."""
    make_run(
        folder,
        NETS,
        asked=[],
        excluded=[Excluded("train/a.jpg", "truncated")],
        skipped=[{"backbone": "vgg19", "reason": "nothing to train"}],
        broken_plugins=["plugin p.py: SyntaxError"],
        notes=["tfds is not prepared, so `auto` became demo"],
    )
    sessions = {"one": session("1", 0.01, 0.02, 0.01), "two": session("2", 0.01, 0.01)}
    records = []
    for record in read_records(folder):
        timed = sessions.get(record.trial.backbone)
        if timed is not None:
            results = (
                RuntimeResult("keras", (1,), session=timed, failed_batches={"32": "no memory"}),
                RuntimeResult("onnx", (1,), session=replace(timed, started="3")),
            )
            phases = tuple(replace(phase, at_limit=True) for phase in record.phases)
            machine = {"processor": record.trial.backbone}
            record = replace(
                record, runtimes=results, session=timed, phases=phases, environment=machine
            )
        records.append(record)
    write_records(folder, records)
    run = read_run(folder)
    failed = replace(records[0], status="failed", reason="no")
    smaller = replace(failed, trial=replace(failed.trial, fraction=0.5, key="half"))
    findings = analyse_run(
        replace(run, failed_reruns=(failed,), all_records=(*run.all_records, smaller))
    )
    ahead, behind = LeadAtRate(1.0, 0.1, 0.001), LeadAtRate(0.1, -0.1, 0.001)
    flip = Flip("test", "one", "two", ahead, behind, p=0.01)
    vars(findings)["sensitivity"] = Sensitivity({}, (flip,))
    vars(findings)["audit"] = KeptAudit(audit_of(LEAK), ("test/b",), "warn", (), 1.0)
    return list(cautions(findings))


def test_every_cause_arises_and_says_what_helps(tmp_path: Path) -> None:
    found = all_cautions(tmp_path / "r")
    assert {caution.cause for caution in found} == set(Cause)
    for caution in found:
        assert caution.text.startswith(caution.what)
        assert caution.text.endswith(caution.cause.value)
        assert ".." not in caution.text
    helpless = {cause for cause in Cause if not cause.value}
    assert helpless == {Cause.NOTED}  # in the words of what was noted


def test_sentences_are_separated() -> None:
    assert Caution(Cause.FAILED, "a failed: why?").text == (
        "a failed: why? The same command tries it again."
    )
    assert Caution(Cause.FAILED, "a failed: out of memory").text == (
        "a failed: out of memory. The same command tries it again."
    )
