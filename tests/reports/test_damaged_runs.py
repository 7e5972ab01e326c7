"""A damaged run folder gives an error that names the file and what to do, never a figure."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import Net, make_run, write_records

from bench.analysis.findings import Findings, analyse_run
from bench.data import thumbnails
from bench.errors import BenchError
from bench.storage.arrays import (
    TrainedWeights,
    arrays_path,
    find_arrays_fault,
    read_arrays,
    read_trained,
    weights_path,
    write_arrays,
    write_trained,
)
from bench.storage.records import read_records, read_run

NETS = [Net("one"), Net("two")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of two backbones whose records carry the checksums of their arrays."""
    folder = make_run(tmp_path / "r", NETS, images=10, queries=5)
    records = read_records(folder)
    for number, record in enumerate(records):
        digest = write_arrays(folder, record.trial.key, read_arrays(folder, record, 2))
        records = (*records[:number], replace(record, arrays_sha256=digest), *records[number + 1 :])
    write_records(folder, records)
    return folder


@pytest.fixture
def old_folder(tmp_path: Path) -> Path:
    """The same run as version 0.1 wrote it, without checksums and keys."""
    folder = make_run(tmp_path / "r", NETS, images=10, queries=5)
    for record in read_records(folder):
        arrays = read_arrays(folder, record, 2)
        np.savez_compressed(arrays_path(folder, record.trial.key), **arrays)  # type: ignore[arg-type]
    return folder


def read(folder: Path) -> Findings:
    return analyse_run(read_run(folder))


def keys(folder: Path) -> list[str]:
    return [record.trial.key for record in read_records(folder)]


def _json(name: str, change: Callable[[Any], Any]) -> Callable[[Path], object]:
    """Change a JSON file; for `records.jsonl`, its first line."""

    def damage(folder: Path) -> None:
        first, newline, rest = (folder / name).read_text().partition("\n")
        (folder / name).write_text(json.dumps(change(json.loads(first))) + newline + rest)

    return damage


def _bytes(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def _arrays(**arrays: Any) -> Callable[[Path], object]:
    """Replace arrays in the first trial's file by others in the right format."""

    def damage(folder: Path) -> None:
        record = read_records(folder)[0]
        found = read_arrays(folder, record, 2)
        path = arrays_path(folder, record.trial.key)
        np.savez_compressed(path, **(found | arrays))

    return damage


def _first_arrays(content: bytes) -> Callable[[Path], object]:
    return lambda folder: arrays_path(folder, keys(folder)[0]).write_bytes(content)


def _an_array_alone(folder: Path) -> None:
    with arrays_path(folder, keys(folder)[0]).open("wb") as file:
        np.save(file, np.zeros(3))


def _exchanged(folder: Path) -> None:
    first, second = (arrays_path(folder, key) for key in keys(folder))
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)


def _cut_last_line(folder: Path) -> None:
    path = folder / "records.jsonl"
    path.write_bytes(path.read_bytes()[:-40] + b"\n")


DEEP = b"[" * 100_000
NOT_UTF8 = b'{"name": "\xff"}'
META, DATASET, RECORDS = "run.json", "dataset.json", "records.jsonl"
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "run.json is no JSON": (_bytes(META, b"{"), "run.json is damaged .* Move it elsewhere"),
    "run.json is empty": (_bytes(META, b""), "run.json is damaged"),
    "run.json is not UTF-8": (_bytes(META, NOT_UTF8), "run.json is damaged .*utf-8"),
    "run.json is nested deep": (_bytes(META, DEEP), "run.json is damaged .*recursion"),
    "run.json is a list": (
        _json(META, lambda raw: [raw]),
        "run.json .*Expected `object`, got `array`",
    ),
    "run.json is null": (_json(META, lambda raw: None), "run.json .*Expected `object`, got `null`"),
    "settings are a text": (
        _json(META, lambda raw: raw | {"settings": "x"}),
        "run.json is damaged .Expected `object`, got `str` - at `[$].settings`",
    ),
    "the price is a text": (
        _json(META, lambda raw: raw | {"price_per_hour": "1"}),
        "Expected `float [|] null`, got `str` - at `[$].price_per_hour`",
    ),
    "phases are numbers": (
        _json(META, lambda raw: raw | {"protocol": {"phases": [1]}}),
        "Expected `object`, got `int` - at `[$].protocol.phases\\[0\\]`",
    ),
    "skipped is a list of texts": (
        _json(META, lambda raw: raw | {"skipped": ["vgg16"]}),
        "Expected `object`, got `str` - at `[$].skipped\\[0\\]`",
    ),
    "dataset.json is missing": (
        lambda f: (f / DATASET).unlink(),
        "dataset.json is missing. .*writes it",
    ),
    "dataset.json is no JSON": (_bytes(DATASET, b"nonsense"), "dataset.json is damaged"),
    "dataset.json is a number": (
        _bytes(DATASET, b"1"),
        "dataset.json .*Expected `object`, got `int`",
    ),
    "dataset.json is nested deep": (_bytes(DATASET, DEEP), "dataset.json is damaged"),
    "classes are numbers": (
        _json(DATASET, lambda raw: raw | {"classes": [1, 2]}),
        "Expected `str`, got `int` - at `[$].classes\\[0\\]`",
    ),
    "a class that is no text": (
        _json(DATASET, lambda raw: raw | {"classes": ["\ud800", "b"]}),
        "dataset.json is damaged .*surrogates",
    ),
    "a label of no class": (
        _json(DATASET, lambda raw: raw | {"splits": {"test": {"ids": ["x"], "labels": [7]}}}),
        "split 'test' has labels outside the classes",
    ),
    "a label too few": (
        _json(DATASET, lambda raw: raw | {"splits": {"test": {"ids": ["x"], "labels": []}}}),
        "split 'test' has 1 ids, 0 labels",
    ),
    "an unknown split": (
        _json(DATASET, lambda raw: raw | {"splits": {"x": {"ids": [], "labels": []}}}),
        "Invalid enum value 'x' - at `key` in `[$].splits`",
    ),
    "records.jsonl is not UTF-8": (_bytes(RECORDS, NOT_UTF8 + b"\n"), "records.jsonl .*utf-8"),
    "the last record is cut": (
        _cut_last_line,
        r"records.jsonl line 2 is not a record .* Delete that line: the same `run` command",
    ),
    "a record is nested deep": (_bytes(RECORDS, DEEP), "line 1 is not a record .*recursion"),
    "a record is a list": (_bytes(RECORDS, b"[]\n"), "line 1 is not a record"),
    "a record lacks its trial": (
        _bytes(RECORDS, b'{"schema": 1}\n'),
        "line 1 is not a record .Object missing required field `trial`",
    ),
    "a record of another status": (
        _json(RECORDS, lambda raw: raw | {"status": "fine"}),
        "line 1 .*Invalid enum value 'fine' - at `[$].status`",
    ),
    "seconds are texts": (
        _json(RECORDS, lambda raw: raw | {"seconds": {"total": "1"}}),
        "line 1 .*Expected `float`, got `str` - at `[$].seconds",
    ),
    "seconds that no float holds": (
        _json(RECORDS, lambda raw: raw | {"seconds": {"total": 10**400}}),
        "line 1 .*Number out of range - at `[$].seconds",
    ),
    "a best epoch that there is not": (
        _json(RECORDS, lambda raw: raw | {"phases": [raw["phases"][0] | {"best_epoch": 7}]}),
        "line 1 .*its best epoch is not among its epochs",
    ),
    "arrays were exchanged": (_exchanged, "npz is damaged .it holds the arrays of trial"),
    "arrays were altered": (
        _arrays(),
        "npz is damaged .it is not the file that the trial's record",
    ),
    "an empty file of arrays": (_first_arrays(b""), "npz is damaged"),
    "arrays of another kind": (_first_arrays(b"\x93NUMPY nonsense"), "npz is damaged"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_an_error_that_names_the_file(name: str, folder: Path) -> None:
    damage, message = DAMAGES[name]
    read(folder)
    damage(folder)
    with pytest.raises(BenchError, match=f"(?i){message}"):
        read(folder)


WITHOUT_CHECKSUM: dict[str, tuple[Callable[[Path], object], str]] = {
    "labels too few": (_arrays(test_labels=np.zeros(9, int)), "are for 10 images, not for 9"),
    "labels of no class": (_arrays(test_labels=np.full(10, 2)), "not of the run's 2 classes"),
    "labels that are texts": (_arrays(test_labels=np.full(10, "x")), "not a list of whole numbers"),
    "a class too many": (
        _arrays(test_probabilities=np.ones((10, 3))),
        "not of the run's 2 classes",
    ),
    "probabilities of one dimension": (_arrays(test_probabilities=np.ones(10)), "2 classes"),
    "values that are not probabilities": (
        _arrays(validation_probabilities=np.full((10, 2), -1.0)),
        "validation_probabilities are not probabilities",
    ),
    "durations that are texts": (
        _arrays(latency_keras_b1=np.full(5, "x")),
        "not a list of seconds",
    ),
    "objects": (_arrays(test_labels=np.array([{}] * 10)), "allow_pickle=False"),
    "an array alone": (_an_array_alone, "not an .npz archive"),
    "a text": (_first_arrays(b"nonsense"), "is damaged"),
}


@pytest.mark.parametrize("name", WITHOUT_CHECKSUM)
def test_arrays_of_an_old_run_are_compared_with_each_other(name: str, old_folder: Path) -> None:
    damage, message = WITHOUT_CHECKSUM[name]
    read(old_folder)
    damage(old_folder)
    with pytest.raises(BenchError, match=message):
        read(old_folder)


def test_a_trial_whose_arrays_are_gone_has_no_figures_and_no_rank(folder: Path) -> None:
    arrays_path(folder, keys(folder)[0]).unlink()
    table = read(folder).trials.set_index("backbone")
    assert table.loc["one", "reason"] == "its arrays are missing"
    assert np.isnan(table["accuracy"]["one"])
    assert table["rank"].to_dict() == {"two": 1, "one": None}


@pytest.mark.slow
def test_the_last_line_of_a_repeated_record_counts(folder: Path) -> None:
    path = folder / "records.jsonl"
    first, second = path.read_text().splitlines()
    path.write_text("\n".join([first, second, first.replace('"notes": []', '"notes": ["later"]')]))
    run = read_run(folder)
    assert [(r.trial.backbone, r.notes) for r in run.records] == [("two", ()), ("one", ("later",))]
    assert list(analyse_run(run).trials["rank"]) == [1, 2]


def test_trained_weights_of_another_trial_are_damage(tmp_path: Path) -> None:
    for key in ("one", "two"):
        write_trained(tmp_path, key, TrainedWeights({3: np.ones(2)}, (np.zeros(1),)))
    assert list(read_trained(tmp_path, "one").backbone) == [3]
    weights_path(tmp_path, "two").replace(weights_path(tmp_path, "one"))
    with pytest.raises(
        BenchError, match=r"one\.npz is damaged \(it holds the weights of trial two"
    ):
        read_trained(tmp_path, "one")


def test_unusual_paths_leave_the_records_readable(folder: Path) -> None:
    # Line separators of Unicode, and bytes that are not UTF-8 as Python holds them.
    strange = "a\u2028b\u2029c\u0085d\x1e" + os.fsdecode(b"\xff\xfe")
    records = [replace(record, reason=strange) for record in read_records(folder)]
    write_records(folder, records)
    assert read_records(folder) == tuple(records)


def test_arrays_newer_than_their_record_are_no_damage(folder: Path) -> None:
    """A process was killed after it wrote the arrays, and before it wrote their record."""
    record = read_records(folder)[0]
    arrays = read_arrays(folder, record, 2)
    more = arrays | {"latency_xla_b1": np.array([0.5])}
    # Twice, as a second try does: the record still names the first file.
    for _ in range(2):
        digest = write_arrays(folder, record.trial.key, more, replaces=record.arrays_sha256)
    written = replace(record, arrays_sha256=digest)
    # The next runtime is measured before the record of the last is on the disk.
    third = write_arrays(folder, record.trial.key, more, replaces=digest)
    for known in (record, written, replace(record, arrays_sha256=third)):
        assert sorted(read_arrays(folder, known, 2)) == sorted(more)
        assert find_arrays_fault(folder, known, 2) == ""
    trained_again = write_arrays(folder, record.trial.key, {"latency_keras_b1": np.array([9.0])})
    assert find_arrays_fault(folder, replace(record, arrays_sha256=trained_again), 2) == ""
    assert "is damaged" in find_arrays_fault(folder, record, 2)


def test_a_file_without_read_permission_is_no_damage(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the trial would be trained again, and replace intact arrays."""
    record = read_records(folder)[0]

    def denied(path: Path, *arguments: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "denied", str(path))

    monkeypatch.setattr(Path, "open", denied)
    for look in (read_arrays, find_arrays_fault):
        with pytest.raises(PermissionError):
            look(folder, record, 2)
    with pytest.raises(
        BenchError, match=r"run\.json: permission denied; make it readable and writable"
    ):
        read_run(folder)


@pytest.mark.skipif(os.name != "posix", reason="has no named pipes")
def test_pictures_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    pictures = tmp_path / thumbnails.FOLDER
    (pictures / "00001.jpg").mkdir(parents=True)
    os.mkfifo(pictures / "00002.jpg")
    (pictures / "00003.jpg").symlink_to("nowhere")
    (pictures / "00004.jpg").write_bytes(b"jpeg")
    assert thumbnails.read_thumbnails(tmp_path) == {4: b"jpeg"}
