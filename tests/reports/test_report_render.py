"""Reports rendered from records: complete, safe, quick, and without Keras."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from abandoned import left_beside
from PIL import Image
from rich.console import Console
from synthetic import SIX, Net, answers, judged, make_run, write_records

from bench import load_run
from bench import reports as report
from bench.analysis.findings import analyse_run
from bench.errors import BenchError
from bench.reports.manifest import manifest_entry
from bench.reports.markdown import section_text
from bench.reports.sections import runtimes, sections
from bench.storage.arrays import write_arrays
from bench.storage.records import read_records, read_run
from bench.system.files import to_json
from bench.types import Epoch, Excluded, PhaseResult, RuntimeResult

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = Path(__file__).parent / "expected"

HOSTILE = (
    "<script>alert(1)</script>",
    "\"quoted\", 'twice'",
    "line\nbreak\r\n| and | pipes |",
    "😀 emoji",
    "שלום עולם",
    "\u202ereversed",
    "x" * 300,
    "=cmd()|' /C calc'!A0",
    "_under_score\\",
    "$\\frac{x}{y}$ & 100% #1 ~^",
    "猫の写真",
    "\x1b[31mred\x07",
)


def tiny_run(folder: Path) -> Path:
    """Eight test images, two backbones and a failure, with figures that a reader can check.

    alpha: 7 of 8 right, each time with certainty 0.8, so its loss is -(7 ln 0.8 + ln 0.2) / 8.
    beta has random weights and says 50:50, which counts as class 0.
    """
    alpha = Net("alpha", parameters=1_000_000)
    beta = Net("beta", parameters=25_000, source="random init")
    gamma = Net("gamma", fails="killed by the system: out of memory?")
    make_run(
        folder,
        [alpha, beta, gamma],
        images=8,
        excluded=[Excluded("train/dogs/7.jpg", "truncated: the file ends early")],
        skipped=[{"backbone": "vgg16", "reason": "nothing of it is left to train"}],
    )
    first, second, failed = read_records(folder)
    for record, probabilities in ((first, answers([0], 8, 0.8)), (second, np.full((8, 2), 0.5))):
        arrays = judged(
            probabilities,
            latency_keras_b1=np.full(64, record.parameters / 1e8),
            latency_keras_b8=np.full(3, 0.1),
        )
        write_arrays(folder, record.trial.key, arrays)
    epochs = tuple(Epoch(0.5 / i, 0.7, 0.6 / i, 0.75, 1.0) for i in (1, 2))
    head = PhaseResult("head", "features", "one view, cached", 513, 2, False, epochs, 0.5, 2.0)
    seconds = {"data": 1.0, "build": 2.0, "features": 30.0, "compile": 0.5, "train": 50.0}
    seconds |= {"measure": 5.0, "total": 88.5, "reused": 31.0}
    measured = [replace(r, phases=(head,), seconds=seconds, notes=()) for r in (first, second)]
    write_records(folder, [*measured, failed])
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_stored_records_give_the_stored_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tiny_run(tmp_path / "results" / "tiny")
    report.render(folder, latex=True)
    for name in ("report.md", "summary.csv", "per_class.csv", "table.tex"):
        written = (folder / name).read_text(encoding="utf-8")
        assert written == (EXPECTED / name).read_text(encoding="utf-8"), name
    out = io.StringIO()
    report.show(sections(report.read(folder)), Console(file=out, width=100))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert lines == (EXPECTED / "terminal.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.slow
def test_random_weights_have_no_share_of_right_answers(tmp_path: Path) -> None:
    folder = tiny_run(tmp_path / "tiny")
    report.render(folder)
    text = (folder / "report.md").read_text(encoding="utf-8").splitlines()
    assert not [line for line in text if line.startswith("| beta") and "%" in line]
    assert {row["label"] for row in rows(folder / "per_class.csv")} == {"alpha"}
    runtimes = {row["label"]: row["accuracy"] for row in rows(folder / "runtimes.csv")}
    assert runtimes["beta (random init)"] == ""
    table = load_run(folder).table().set_index("backbone")
    assert table.loc["beta", ["accuracy", "loss", "macro_f1", "accuracy_std"]].isna().all()
    assert table.loc["beta", "params"] == 25_000


@pytest.mark.slow
def test_every_file_is_there_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    written = report.render(folder)
    names = {path.relative_to(folder).as_posix() for path in written}
    assert names == {
        "report.md",
        "report.html",
        "verdict.json",
        "summary.csv",
        "per_class.csv",
        "runtimes.csv",
        "ensembles.csv",
        "manifest.json",
        "figures/accuracy_cost.png",
        "figures/calibration.png",
        "figures/class_recall.png",
        "figures/curves.png",
        "figures/differences.png",
        "figures/latency.png",
        "figures/throughput.png",
        *(
            f"figures/confusion_{name}.png"
            for name in ("mobilenetv2", "resnet50", "efficientnet_lite0")
        ),
    }
    text = (folder / "report.md").read_text(encoding="utf-8")
    for path in written:
        assert path.is_file()
        if path.suffix == ".png":
            assert f"]({path.relative_to(folder).as_posix()})" in text
            with Image.open(path) as image:
                image.load()
                assert image.width >= 400
    assert not list(folder.rglob(".*"))  # nothing half-written is left behind


@pytest.mark.slow
def test_rendering_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = make_run(tmp_path, SIX[:1])
    first = {path: path.read_bytes() for path in report.render(folder)}
    assert {path: path.read_bytes() for path in report.render(folder)} == first


@pytest.mark.parametrize(
    "nets", [[], [Net("a", fails="no"), Net("b", fails="no")]], ids=["none", "all failed"]
)
def test_a_run_without_results_is_reported(tmp_path: Path, nets: list[Net]) -> None:
    folder = make_run(tmp_path, nets)
    written = report.render(folder, latex=True)
    assert {path.name for path in written} == {
        "report.md",
        "report.html",
        "verdict.json",
        "manifest.json",
        "summary.csv",
        "per_class.csv",
        "table.tex",
    }
    assert [row["status"] for row in rows(folder / "summary.csv")] == ["failed"] * len(nets)


def test_missing_arrays_leave_the_rest(tmp_path: Path) -> None:
    folder = make_run(tmp_path, SIX[:2])
    for file in (folder / "arrays").iterdir():
        file.unlink()
    names = {path.name for path in report.render(folder)}
    assert names == {
        "report.md",
        "report.html",
        "verdict.json",
        "runtimes.csv",
        "manifest.json",
        "summary.csv",
        "per_class.csv",
        "curves.png",
    }
    assert "its arrays are missing" in (folder / "report.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_run_whose_description_is_bare_is_reported(tmp_path: Path) -> None:
    folder = make_run(tmp_path, SIX[:1])
    (folder / "run.json").write_text(json.dumps({"schema": 1}))
    report.render(folder)
    assert "mobilenetv2" in (folder / "report.md").read_text(encoding="utf-8")


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="holds no run"):
        report.render(tmp_path)


@pytest.mark.slow
def test_hostile_names_stay_text(tmp_path: Path) -> None:
    excluded = [Excluded(f"train/{name}.jpg", name) for name in HOSTILE]
    nets = [SIX[0], Net("=evil|`net`\n<b>"), Net("broken", fails=HOSTILE[0] + HOSTILE[2])]
    folder = make_run(tmp_path, nets, classes=HOSTILE, images=48, excluded=excluded)
    report.render(folder, latex=True)

    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "<" not in text.replace("&lt;", "")
    assert not {c for c in text if c != "\n" and not c.isprintable()}
    table = [line for line in text.splitlines() if line.startswith("|")]
    for line in table:  # no name adds a column
        pipes = line.replace("\\\\", "").replace("\\|", "").count("|")
        assert pipes in (3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 17, 18)

    fared = rows(folder / "per_class.csv")
    assert len(fared) == 2 * len(HOSTILE)
    assert all(
        list(row) == ["label", "class", "precision", "recall", "f1", "images"] for row in fared
    )
    for row in [*fared, *rows(folder / "summary.csv")]:
        assert not any(cell.startswith(("=", "+", "@", "\t", "\r")) for cell in row.values())

    tex = (folder / "table.tex").read_text(encoding="utf-8")
    assert tex.count("\\\\") == 1 + len(nets)  # one line a backbone, and the titles


def test_hostile_runtimes_stay_text(tmp_path: Path) -> None:
    folder = make_run(tmp_path, [SIX[0]])
    (record,) = read_records(folder)
    hostile = (
        RuntimeResult("<b>|one\n"),
        RuntimeResult("<i>|two\x1b", status="failed", reason="<u>|"),
    )
    write_records(folder, [replace(record, runtimes=(*record.runtimes, *hostile))])
    findings = analyse_run(read_run(folder))
    section = runtimes.section(findings)
    assert section is not None
    text = section_text(section)
    assert text.count(r"&lt;b&gt;\|one ") == 1
    assert text.count(r"&lt;i&gt;\|two") == 2  # in the table, and with its reason
    assert "<" not in text
    assert not {c for c in text if c != "\n" and not c.isprintable()}


@pytest.mark.slow
def test_seeds_are_averaged_in_every_format(tmp_path: Path) -> None:
    folder = make_run(tmp_path, SIX[:2], seeds=(0, 1, 2))
    report.render(folder, latex=True)
    assert " ± " in (folder / "report.md").read_text(encoding="utf-8")
    assert " ± " in (folder / "table.tex").read_text(encoding="utf-8")
    assert len(rows(folder / "summary.csv")) == 6  # one line a trial all the same


@pytest.mark.slow
def test_two_hundred_trials_are_rendered_without_a_framework(tmp_path: Path) -> None:
    """The time is measured by `benchmarks/report_speed.py`."""
    nets = [Net(f"net{i}", 2 + i / 10, 10 + 3 * i) for i in range(20)]
    folder = make_run(tmp_path, nets, seeds=range(10))
    assert len(read_records(folder)) == 200
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from bench import reports\n"
        "reports.render(Path(sys.argv[1]))\n"
        "heavy = {'keras', 'tensorflow', 'jax', 'torch', 'matplotlib.pyplot'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, check=True)


@pytest.mark.slow
def test_the_guide_explains_every_column_and_file(tmp_path: Path) -> None:
    guide = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    folder = make_run(tmp_path)
    for path in report.render(folder, latex=True):
        name = path.relative_to(folder).as_posix()
        name = re.sub(r"confusion_.*[.]png", "confusion_<backbone>.png", name)
        assert f"`{name}`" in guide
        if path.suffix == ".csv":
            for column in rows(path)[0]:
                assert f"`{column}`" in guide, column
    for path in folder.iterdir():
        assert f"`{path.name}" in guide


def test_latest_names_the_newest_run(tmp_path: Path) -> None:
    for name in ("first", "second"):
        make_run(tmp_path / name, [])
        report.point_latest(tmp_path, name)
        assert read_run(tmp_path / "latest").meta.name == name
        assert not (tmp_path / "latest").readlink().is_absolute()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "latest", "second"]


def test_latest_replaces_a_text_file_and_never_a_folder(tmp_path: Path) -> None:
    (tmp_path / "latest").write_text("first\n")
    report.point_latest(tmp_path, "second")
    assert (tmp_path / "latest").readlink() == Path("second")
    (tmp_path / "latest").unlink()
    (tmp_path / "latest").mkdir()
    with pytest.raises(BenchError, match="is a folder"):
        report.point_latest(tmp_path, "second")
    assert (tmp_path / "latest").is_dir()


@pytest.mark.slow
def test_files_left_by_a_killed_report_are_removed(tmp_path: Path) -> None:
    folder = tiny_run(tmp_path / "r")
    left = [left_beside(folder / "figures" / "a.png"), left_beside(tmp_path / "index.html")]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    report.render(folder)
    report.write_index(tmp_path)
    assert not any(path.exists() for path in left)


def test_latest_is_a_text_file_where_links_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("a required privilege is not held")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    report.point_latest(tmp_path, "first")
    assert (tmp_path / "latest").read_text() == "first\n"


def test_importing_the_reports_is_cheap() -> None:
    code = "import sys, bench.reports\nprint({'pandas', 'matplotlib', 'numpy'} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"


@pytest.mark.parametrize("notes", [("a\u2028b\n",), ()])
def test_the_manifest_lists_all_trials_as_json(tmp_path: Path, notes: tuple[str, ...]) -> None:
    folder = make_run(tmp_path / "r", SIX)
    records = [replace(one, command=notes) for one in read_records(folder)] if notes else []
    write_records(folder, records)
    report.render(folder)
    expected = to_json([manifest_entry(one) for one in records], indent=2)
    assert (folder / "manifest.json").read_text(encoding="utf-8") == expected
