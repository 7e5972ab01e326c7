"""The whole audit of a small folder with planted faults, its command and its pictures."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from bench.audit import (
    Audit,
    audit,
    contact_sheet,
    leaked_test_ids,
    train_ids_to_drop,
)
from bench.audit.extensions import format_of
from bench.commands import audit_command
from bench.datasets.listing import Listing
from bench.files import to_json
from bench.records import structure
from bench.store import Store
from bench.types import Dataset

SIZE = 64
Prepared = Callable[[Path], tuple[Dataset, Listing]]


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


def test_an_honest_folder_is_clean(folder: Path, store: Store, prepared: Prepared):
    dataset, listing = prepared(folder)
    found = audit(dataset, store, size=SIZE, reader=listing.reader)
    assert found.pairs == found.excluded == found.wrong_extensions == found.notes == ()
    assert [(b.split, b.counts) for b in found.balance] == [
        ("train", (6, 6)),
        ("validation", (2, 2)),
        ("test", (3, 3)),
    ]


def test_every_fault_is_found(faulty: Path, store: Store, prepared: Prepared):
    dataset, listing = prepared(faulty)
    found = audit(dataset, store, size=SIZE, reader=listing.reader)

    def names(pairs: tuple) -> list[tuple[str, str]]:
        return [(pair.first.id, pair.second.id) for pair in pairs]

    assert names(found.exact_across) == [("train/cats/0.png", "test/cats/same.png")]
    assert names(found.exact_within) == [("train/dogs/1.png", "train/dogs/twice.png")]
    assert names(found.near_across) == [("train/cats/2.png", "test/dogs/near.jpg")]
    assert names(found.near_within) == [("validation/dogs/1.png", "validation/dogs/grey.jpg")]
    assert names(found.conflicts) == [("train/cats/2.png", "test/dogs/near.jpg")]
    assert found.conflicts[0].mirrored
    assert [(e.id, e.reason[:7]) for e in found.excluded] == [("train/cats/broken.jpg", "damaged")]
    assert found.wrong_extensions is not None
    assert [(w.id, w.format) for w in found.wrong_extensions] == [("train/dogs/4.jpg", "PNG")]
    assert found.notes == ("1 images are blank or nearly so; of these, only equal files are told",)
    assert found.balance[0].counts == (7, 7)
    assert leaked_test_ids(found) == ("test/cats/same.png", "test/dogs/near.jpg")
    assert train_ids_to_drop(found) == ("train/cats/0.png", "train/cats/2.png")


def test_the_second_time_is_free_and_says_the_same(faulty: Path, store: Store, prepared: Prepared):
    dataset, _ = prepared(faulty)
    stages: list[str] = []

    def progress(stage: str, done: int, total: int) -> None:
        stages.append(stage)

    first = audit(dataset, store, size=SIZE, progress=progress)
    assert {"looking", "hashing", "searching", "comparing"} <= set(stages)
    stages.clear()
    assert audit(dataset, store, size=SIZE, progress=progress) == first
    assert stages == []
    moved = dataclasses.replace(dataset, name="moved")
    assert audit(moved, store, size=SIZE) == dataclasses.replace(first, dataset="moved")


def test_another_label_is_another_audit(faulty: Path, store: Store, prepared: Prepared):
    dataset, _ = prepared(faulty)
    assert len(audit(dataset, store, size=SIZE).conflicts) == 1
    shutil.move(faulty / "test/dogs/near.jpg", faulty / "test/cats/near.jpg")
    assert audit(prepared(faulty)[0], store, size=SIZE).conflicts == ()


def test_without_room_to_keep_it_the_audit_is_made_all_the_same(
    faulty: Path, store: Store, prepared: Prepared
):
    dataset, _ = prepared(faulty)
    kept = audit(dataset, store, size=SIZE)
    full = Store(store.root, limit_bytes=1)
    for entry in store.entries():
        if entry.kind == "audit":
            store.remove(entry)
    assert audit(dataset, full, size=SIZE) == kept
    assert "audit" not in {entry.kind for entry in store.entries()}


def test_findings_survive_json(faulty: Path, store: Store, prepared: Prepared):
    dataset, listing = prepared(faulty)
    found = audit(dataset, store, size=SIZE, reader=listing.reader)
    assert structure(Audit, json.loads(to_json(dataclasses.asdict(found)))) == found


def test_embeddings_go_with_their_images(faulty: Path, store: Store, prepared: Prepared):
    dataset, _ = prepared(faulty)
    rng = np.random.default_rng(0)
    vectors = {split: rng.normal(size=(len(s), 8)) for split, s in dataset.splits.items()}
    plain = audit(dataset, store, size=SIZE)
    # Altered lightly, all pairs are sure: vectors that tell nothing change nothing.
    assert audit(dataset, store, size=SIZE, embeddings=vectors).pairs == plain.pairs


def test_the_sheet_shows_each_pair(faulty: Path, store: Store, prepared: Prepared, tmp_path: Path):
    dataset, _ = prepared(faulty)
    found = audit(dataset, store, size=SIZE)
    path = contact_sheet(found, dataset, store, tmp_path / "pairs.png", size=SIZE)
    assert path is not None
    with Image.open(path) as sheet:
        assert sheet.size == (3 * 330 + 10, 2 * 220 + 10)  # four pairs, three in a row
        first = np.asarray(sheet.convert("RGB"))[25:175, 10:160]
        second = np.asarray(sheet.convert("RGB"))[25:175, 170:320]
    # The most harmful stands first: two labels, and here mirrored.
    assert np.abs(first.astype(int) - second[:, ::-1]).mean() < 8
    assert np.abs(first.astype(int) - second).mean() > 30


def test_no_sheet_without_pairs(folder: Path, store: Store, prepared: Prepared, tmp_path: Path):
    dataset, _ = prepared(folder)
    found = audit(dataset, store, size=SIZE)
    assert contact_sheet(found, dataset, store, tmp_path / "pairs.png", size=SIZE) is None
    assert not (tmp_path / "pairs.png").exists()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\x89PNG\r\n\x1a\n....", "PNG"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "WebP"),
        (b"\0\0\0\x20ftypavif", "AVIF"),
        (b"P6\n2 2\n255\n", "PNM"),
        (b"", None),
        (b"<html>", None),
    ],
)
def test_first_bytes_tell_the_format(data: bytes, name: str | None):
    assert format_of(data) == name


def arguments(folder: Path, store: Store, **changed: object) -> argparse.Namespace:
    usual = {
        "dataset": str(folder),
        "split_seed": 0,
        "limit": None,
        "cache": store.root,
        "cache_gb": 1.0,
        "json": False,
        "on_leak": "warn",
        "sheet": None,
    }
    return argparse.Namespace(**usual | changed)


def test_the_command_tells_what_is_wrong(
    faulty: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    sheet = tmp_path / "pairs.png"
    assert audit_command.main(arguments(faulty, store, sheet=sheet)) == 0
    assert sheet.exists()
    text = capsys.readouterr().out
    assert "train/cats/2.png [train, cats] = test/dogs/near.jpg [test, dogs]  (near " in text
    assert "train/dogs/4.jpg is a PNG file" in text
    assert "train/cats/broken.jpg: damaged" in text
    assert (
        "2 test image(s), 25.0%, have a copy in train or validation; --on-leak drop leaves "
        "2 image(s) out of train and 0 out of validation"
    ) in text
    assert "1 pair(s) show one picture under two labels" in text


def test_the_command_fails_on_leaks_where_it_is_told_to(faulty: Path, store: Store):
    assert audit_command.main(arguments(faulty, store, on_leak="fail")) == 3


def test_the_command_is_content_with_an_honest_folder(
    folder: Path, store: Store, capsys: pytest.CaptureFixture[str]
):
    assert audit_command.main(arguments(folder, store, on_leak="fail")) == 0
    assert "no test image was seen before" in capsys.readouterr().out


def test_the_command_as_json(faulty: Path, store: Store, capsys: pytest.CaptureFixture[str]):
    audit_command.main(arguments(faulty, store, json=True))
    found = json.loads(capsys.readouterr().out)
    assert found["leaked_test_ids"] == ["test/cats/same.png", "test/dogs/near.jpg"]
    assert len(found["pairs"]) == 4
