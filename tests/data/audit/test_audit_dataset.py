"""The whole audit of a small folder with planted faults, its command and its pictures."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from trees import Prepared

from bench.cli.commands import audit_command
from bench.data import pixels, preparation
from bench.data.audit import gate
from bench.data.audit.gate import find_audit
from bench.data.audit.result import Audit, leaked_test_ids, load_audit, train_ids_to_drop
from bench.data.decode import mismatched_format
from bench.data.listing import Listing
from bench.data.sources import list_dataset
from bench.errors import BenchError, DatasetError
from bench.storage.cache import Store
from bench.system.files import from_json, to_json, write_atomic
from bench.types import Dataset

SIZE = 64


def look(
    listing: Listing,
    dataset: Dataset,
    store: Store,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Audit:
    return find_audit(listing, dataset, store, size=SIZE, progress=progress)


@pytest.fixture
def faulty(folder: Path) -> Path:
    """The honest folder with one of every fault."""
    shutil.copy(folder / "train/cats/0.png", folder / "test/cats/same.png")
    shutil.copy(folder / "train/dogs/1.png", folder / "train/dogs/twice.png")
    with Image.open(folder / "train/cats/2.png") as image:
        ImageOps.mirror(image).save(folder / "test/dogs/near.jpg", quality=80)
    with Image.open(folder / "validation/dogs/1.png") as image:
        image.convert("L").save(folder / "validation/dogs/grey.jpg", quality=90)
    Image.new("RGB", (30, 30), "navy").save(folder / "train/cats/blank.png")
    (folder / "train/cats/broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    (folder / "train/dogs/4.png").rename(folder / "train/dogs/4.jpg")
    return folder


def test_a_folder_without_faults_has_no_findings(
    folder: Path, store: Store, prepared: Prepared
) -> None:
    dataset, listing = prepared(folder)
    found = look(listing, dataset, store)
    assert not found.pairs + found.broken_groups + found.excluded
    assert not found.wrong_extensions + found.notes
    assert [(b.split, b.counts) for b in found.balance] == [
        ("train", (6, 6)),
        ("validation", (2, 2)),
        ("test", (3, 3)),
    ]


def test_every_fault_is_found(faulty: Path, store: Store, prepared: Prepared) -> None:
    dataset, listing = prepared(faulty)
    found = look(listing, dataset, store)

    def names(kind: str, *, across: bool) -> list[tuple[str, str]]:
        return [(p.first.id, p.second.id) for p in found.pairs_of(kind, across=across)]

    assert names("exact", across=True) == [("train/cats/0.png", "test/cats/same.png")]
    assert names("exact", across=False) == [("train/dogs/1.png", "train/dogs/twice.png")]
    assert names("near", across=True) == [("train/cats/2.png", "test/dogs/near.jpg")]
    assert names("near", across=False) == [("validation/dogs/1.png", "validation/dogs/grey.jpg")]
    (conflict,) = found.conflicts
    assert (conflict.first.id, conflict.second.id) == ("train/cats/2.png", "test/dogs/near.jpg")
    assert conflict.mirrored
    assert [(e.id, e.reason[:7]) for e in found.excluded] == [("train/cats/broken.jpg", "damaged")]
    assert [(w.id, w.format) for w in found.wrong_extensions] == [("train/dogs/4.jpg", "PNG")]
    assert found.notes == (
        "1 image is blank or nearly so; of these, only identical files are found",
    )
    assert found.balance[0].counts == (7, 7)
    assert leaked_test_ids(found) == ("test/cats/same.png", "test/dogs/near.jpg")
    assert train_ids_to_drop(found) == ("train/cats/0.png", "train/cats/2.png")


def test_a_cached_audit_is_the_same(faulty: Path, store: Store, prepared: Prepared) -> None:
    dataset, listing = prepared(faulty)
    stages: list[str] = []

    def progress(stage: str, done: int, total: int) -> None:
        stages.append(stage)

    first = look(listing, dataset, store, progress)
    assert {"looking", "hashing", "searching", "comparing"} <= set(stages)
    stages.clear()
    assert look(listing, dataset, store, progress) == first
    assert stages == []
    moved = dataclasses.replace(dataset, name="moved")
    assert look(listing, moved, store) == dataclasses.replace(first, dataset="moved")


def test_a_changed_label_repeats_the_audit(faulty: Path, store: Store, prepared: Prepared) -> None:
    dataset, listing = prepared(faulty)
    assert len(look(listing, dataset, store).conflicts) == 1
    shutil.move(faulty / "test/dogs/near.jpg", faulty / "test/cats/near.jpg")
    dataset, listing = prepared(faulty)
    assert look(listing, dataset, store).conflicts == ()


def test_the_audit_works_without_room_in_the_cache(
    faulty: Path, store: Store, prepared: Prepared
) -> None:
    dataset, listing = prepared(faulty)
    kept = look(listing, dataset, store)
    full = Store(store.root, limit_bytes=1)
    for entry in store.entries():
        if entry.kind == "audit":
            shutil.rmtree(entry.path)
    assert look(listing, dataset, full) == kept
    assert "audit" not in {entry.kind for entry in store.entries()}


def test_findings_survive_json(faulty: Path, store: Store, prepared: Prepared) -> None:
    dataset, listing = prepared(faulty)
    found = look(listing, dataset, store)
    assert from_json(to_json(found), Audit) == found


def test_the_pictures_show_each_pair(faulty: Path, store: Store, prepared: Prepared) -> None:
    dataset, listing = prepared(faulty)
    _, kept = gate.audit_dataset(listing, dataset, [SIZE], store=store, on_leak="warn")
    files = gate.audit_files(kept, dataset, [SIZE], store=store)
    assert kept.pictures == tuple(f"audit/00{n}.jpg" for n in (1, 2, 3, 4))
    assert sorted(files) == sorted(("audit.json", *kept.pictures))
    with Image.open(io.BytesIO(files["audit/001.jpg"])) as both:
        assert both.size == (2 * 128 + 4, 128)
        pixels = np.asarray(both).astype(int)
    first, second = pixels[:, :128], pixels[:, -128:]
    # The most harmful stands first: two labels, and here mirrored.
    assert np.abs(first - second[:, ::-1]).mean() < 8
    assert np.abs(first - second).mean() > 30


def test_no_pictures_without_pairs(folder: Path, store: Store, prepared: Prepared) -> None:
    dataset, listing = prepared(folder)
    trained, kept = gate.audit_dataset(listing, dataset, [SIZE], store=store, on_leak="fail")
    assert trained is dataset
    assert list(gate.audit_files(kept, dataset, [SIZE], store=store)) == ["audit.json"]


def test_the_files_of_an_audit_are_read_back(
    faulty: Path, store: Store, prepared: Prepared, tmp_path: Path
) -> None:
    dataset, listing = prepared(faulty)
    _, kept = gate.audit_dataset(listing, dataset, [SIZE], store=store, on_leak="warn")
    assert load_audit(tmp_path) is None
    for path, content in gate.audit_files(kept, dataset, [SIZE], store=store).items():
        write_atomic(tmp_path / path, content)
    assert load_audit(tmp_path) == kept
    (tmp_path / "audit.json").write_text("{")
    with pytest.raises(BenchError, match=r"audit\.json is damaged"):
        load_audit(tmp_path)


def test_with_on_leak_fail_a_leak_is_an_error(
    faulty: Path, store: Store, prepared: Prepared
) -> None:
    dataset, listing = prepared(faulty)
    with pytest.raises(DatasetError) as error:
        gate.audit_dataset(listing, dataset, [SIZE], store=store, on_leak="fail")
    assert str(error.value) == (
        "2 of 8 test images (25.0%) have a copy in train or validation, such as "
        "test/dogs/near.jpg of train/cats/2.png. Remove them, or use --on-leak drop to train "
        "without them."
    )


def test_with_on_leak_drop_copies_leave_train_and_files_stay(
    faulty: Path, store: Store, prepared: Prepared
) -> None:
    files = sorted(faulty.rglob("*"))
    dataset, listing = prepared(faulty)
    trained, kept = gate.audit_dataset(listing, dataset, [SIZE], store=store, on_leak="drop")
    assert kept.dropped == ("train/cats/0.png", "train/cats/2.png")
    assert set(dataset.splits["train"].ids) - set(trained.splits["train"].ids) == set(kept.dropped)
    assert trained.splits["test"] == dataset.splits["test"]
    assert trained.fingerprint != dataset.fingerprint
    note = "left out of train and validation, as copies of later splits: 2"
    assert trained.notes == (*dataset.notes, note)
    assert sorted(faulty.rglob("*")) == files
    before = dict(zip(dataset.splits["train"].ids, _train_pixels(dataset, store), strict=True))
    after = dict(zip(trained.splits["train"].ids, _train_pixels(trained, store), strict=True))
    assert all((after[id] == before[id]).all() for id in after)
    # What is left has no leak.
    _, again = gate.audit_dataset(listing, trained, [SIZE], store=store, on_leak="fail")
    assert again.leaked == ()


def test_dropping_a_whole_class_is_refused(folder: Path, store: Store, prepared: Prepared) -> None:
    for path in (folder / "train/cats").iterdir():
        shutil.copy(path, folder / "test/cats" / f"copy-{path.name}")
    dataset, listing = prepared(folder)
    with pytest.raises(DatasetError, match="all 6 train images of class 'cats' would be left out"):
        gate.audit_dataset(listing, dataset, [SIZE], store=store, on_leak="drop")


def test_a_group_across_the_users_own_splits_is_reported(folder: Path, store: Store) -> None:
    table = folder.parent / "groups.csv"
    table.write_text(
        "image,group\ntrain/cats/0.png,tom\ntest/cats/1.png,tom\ntrain/dogs/3.png,rex\n"
    )
    listing = list_dataset(str(folder), store=store, groups=table)
    dataset = preparation.prepare(listing, [SIZE], store=store)
    trained, kept = gate.audit_dataset(listing, dataset, [SIZE], store=store, on_leak="drop")
    assert [group.name for group in kept.audit.broken_groups] == ["tom"]
    assert kept.leaked == ("test/cats/1.png",)
    assert kept.dropped == ("train/cats/0.png",)
    assert "train/cats/0.png" not in trained.splits["train"].ids


def _train_pixels(dataset: Dataset, store: Store) -> np.ndarray:
    return pixels.get_entry(dataset, "train", SIZE, store).array()


@pytest.mark.parametrize(
    ("kind", "own", "name"),
    [
        ("PNG", "a.png", "PNG"),
        ("WEBP", "a.webp", "WebP"),
        ("JPEG2000", "a.jp2", "JPEG 2000"),
        ("PPM", "a.pgm", "PNM"),
    ],
)
def test_the_format_is_that_of_the_content(kind: str, own: str, name: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2)).save(buffer, kind)
    named = {id: mismatched_format(id, buffer.getvalue()) for id in (own, "a.JPG", "a.tga", "a")}
    assert named == {own: "", "a.JPG": name, "a.tga": "", "a": ""}


def arguments(folder: Path, store: Store, **changed: object) -> argparse.Namespace:
    usual = {
        "dataset": str(folder),
        "split_seed": 0,
        "limit": None,
        "cache": store.root,
        "cache_gb": 1.0,
        "json": False,
        "on_leak": "warn",
        "out": None,
        "groups": None,
    }
    return argparse.Namespace(**usual | changed)


def test_the_command_reports_all_findings(
    faulty: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert audit_command.main(arguments(faulty, store, out=out)) == 0
    text = capsys.readouterr().out
    written = (out / "audit.md").read_text()
    assert ": train/cats/2.png (train, cats) = test/dogs/near.jpg (test, dogs)\n" in text
    assert "2 of 8 test images (25.0%) have a copy in train or validation" in text
    for told in (
        "train/dogs/4.jpg: a PNG file",
        "train/cats/broken.jpg: damaged",
        "; --on-leak drop leaves out 2 training and 0 validation images.",
        "1 picture under two labels",
    ):
        assert told in text
        assert told in written
    assert "![](audit/001.jpg) | train/cats/2.png (train, cats)" in written
    assert (out / "audit/001.jpg").exists()


def test_the_command_fails_on_leaks_with_on_leak_fail(faulty: Path, store: Store) -> None:
    with pytest.raises(DatasetError, match="2 test images were seen in train or validation"):
        audit_command.main(arguments(faulty, store, on_leak="fail"))


def test_the_command_succeeds_without_findings(
    folder: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit_command.main(arguments(folder, store, on_leak="fail")) == 0
    assert "No test image leaked into train or validation." in capsys.readouterr().out


def test_the_command_as_json(
    faulty: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    audit_command.main(arguments(faulty, store, json=True))
    found = json.loads(capsys.readouterr().out)
    assert found["leaked_test_ids"] == ["test/cats/same.png", "test/dogs/near.jpg"]
    assert len(found["pairs"]) == 4
