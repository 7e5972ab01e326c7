"""Zip archives: valid ones are extracted once, suspicious ones write nothing."""

from __future__ import annotations

import shutil
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from trees import Tree

from bench.data.preparation import prepare
from bench.data.sources import archive, list_dataset
from bench.errors import DatasetError
from bench.storage.cache import Store
from bench.types import SPLITS


def zipped(path: Path, members: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def listed(path: Path, store: Store) -> None:
    list_dataset(str(path), store=store)


@pytest.fixture
def members(tmp_path: Path, tree: Tree) -> dict[str, bytes]:
    """Return two classes of four images, wrapped in a folder as in many archives."""
    root = tree(tmp_path / "source", {"pets/cats": 4, "pets/dogs": 4})
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*.png")}


def assert_nothing_written(store: Store) -> None:
    assert not list(store.root.glob("extracted/*"))
    assert not list(store.root.glob("drafts/*"))


def test_an_archive_is_extracted_once_and_read_as_its_folder(
    tmp_path: Path, store: Store, members: dict[str, bytes]
) -> None:
    litter = {"__MACOSX/pets/cats/._000.png": b"x", "pets/.DS_Store": b"x", "pets/read.me": b"x"}
    path = zipped(tmp_path / "my pets.zip", {**members, **litter})
    said: list[str] = []
    first, again = (list_dataset(str(path), store=store, say=said.append) for _ in range(2))
    assert said == ["Extracting my pets.zip: 9 files, 0 MB"]
    assert first.name == "my-pets"
    assert first.classes == ("cats", "dogs")
    assert [len(first.splits[s]) for s in SPLITS] == [4, 2, 2]
    assert first.notes == ("1 file(s) were ignored (.me: 1)",)
    assert again.identity == first.identity
    assert not list((store.root / "extracted").rglob("*MACOSX*"))
    dataset = prepare(first, [4], store=store)

    # Extracted anew, the files have other dates; the archive is what counts.
    shutil.rmtree(store.root / "extracted")
    steps: list[int] = []
    once_more = list_dataset(str(path), store=store)
    assert prepare(once_more, [4], store=store, progress=lambda n, _: steps.append(n)) == dataset
    assert steps == []


def test_a_dry_run_lists_the_archive_by_its_names(
    tmp_path: Path, store: Store, members: dict[str, bytes]
) -> None:
    """The same listing as after the extraction."""
    shift = {name.replace("pets/", "pets/train/"): data for name, data in members.items()}
    more = {"pets/val/cats/a.png": b"x", "pets/val/dogs/b/c.png": b"x", "pets/notes.txt": b"x"}
    for name, inside in (("one", members), ("two", shift | more)):
        path = zipped(tmp_path / f"{name}.zip", inside)
        reader = Store(store.root, read_only=True)
        by_names = list_dataset(str(path), store=reader)
        extracted = list_dataset(str(path), store=store)
        assert replace(by_names, read=extracted.read) == extracted
        with pytest.raises(OSError, match="No such file"):
            by_names.read(by_names.splits["train"][0].id)
        again = list_dataset(str(path), store=reader)  # as it is extracted by now
        id = again.splits["train"][0].id
        assert again.read(id) == extracted.read(id)


def test_names_written_on_windows(tmp_path: Path, store: Store, members: dict[str, bytes]) -> None:
    path = tmp_path / "w.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            info = zipfile.ZipInfo("x")
            info.filename = name.replace("/", "\\")
            file.writestr(info, data)
    assert list_dataset(str(path), store=store).classes == ("cats", "dogs")


@pytest.mark.parametrize(
    "name", ["../out.png", "pets/../../out.png", "/out.png", "C:/out.png", "..\\out.png"]
)
def test_no_path_escapes(
    tmp_path: Path, store: Store, members: dict[str, bytes], name: str
) -> None:
    path = zipped(tmp_path / "evil.zip", {**members, name: b"x"})
    with pytest.raises(DatasetError, match="names a file outside itself"):
        listed(path, store)
    assert_nothing_written(store)
    assert not list(tmp_path.rglob("out.png"))


def test_a_member_without_a_name_is_refused(
    tmp_path: Path, store: Store, members: dict[str, bytes]
) -> None:
    path = zipped(tmp_path / "odd.zip", members)
    with zipfile.ZipFile(path, "a") as file:
        nameless = zipfile.ZipInfo("x")
        nameless.filename = ""
        file.writestr(nameless, b"x")
    with pytest.raises(DatasetError, match=r"odd\.zip holds a file without a name"):
        listed(path, store)
    assert_nothing_written(store)


@pytest.mark.parametrize("which", [0, 1], ids=["before the file", "in the table of contents"])
def test_a_damaged_name_is_a_damaged_archive(
    tmp_path: Path, store: Store, members: dict[str, bytes], which: int
) -> None:
    path = zipped(tmp_path / "names.zip", {**members, "pets/cats/\u00e4.png": b"x"})
    before, name, *others = path.read_bytes().partition("\u00e4".encode())
    if which:
        rest, name, *after = others[0].rpartition("\u00e4".encode())
        path.write_bytes(before + name + rest + b"\xff\xff" + after[0])
    else:
        path.write_bytes(before + b"\xff\xff" + others[0])
    with pytest.raises(DatasetError, match=r"names\.zip is damaged"):
        listed(path, store)
    assert_nothing_written(store)


def test_links_are_refused(tmp_path: Path, store: Store, members: dict[str, bytes]) -> None:
    path = zipped(tmp_path / "links.zip", members)
    link = zipfile.ZipInfo("pets/cats/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(link, "/etc")
    with pytest.raises(DatasetError, match=r"link or device: 'pets/cats/link'"):
        listed(path, store)
    assert_nothing_written(store)


def test_encrypted_archives_are_refused(
    tmp_path: Path, store: Store, members: dict[str, bytes]
) -> None:
    path = zipped(tmp_path / "secret.zip", members)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag in the archive's directory
    path.write_bytes(data)
    with pytest.raises(DatasetError, match="encrypted"):
        listed(path, store)
    assert_nothing_written(store)


def test_archives_that_unpack_to_too_much_are_refused(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/a.png", bytes(1_000_000))
    monkeypatch.setattr(archive, "HARMLESS_BYTES", 999_999)
    with pytest.raises(DatasetError, match="to 1,000,000 bytes, which no archive of images"):
        listed(path, store)
    monkeypatch.setattr(archive, "MAX_BYTES", 999_999)
    with pytest.raises(DatasetError, match=r"1 files of 1,000,000 bytes; the limits"):
        listed(path, store)
    assert_nothing_written(store)


def test_two_members_of_one_name_are_refused(
    tmp_path: Path, store: Store, members: dict[str, bytes]
) -> None:
    path = zipped(tmp_path / "twice.zip", members)
    with (
        zipfile.ZipFile(path, "a") as file,
        pytest.warns(UserWarning, match="Duplicate name"),
    ):
        file.writestr("pets/cats/000.png", b"another")
    with pytest.raises(DatasetError, match=r"cannot be extracted.*File exists"):
        listed(path, store)
    assert_nothing_written(store)


def test_damaged_archives_are_refused(
    tmp_path: Path, store: Store, members: dict[str, bytes]
) -> None:
    whole = zipped(tmp_path / "whole.zip", members).read_bytes()
    flipped = bytearray(whole)
    flipped[60] ^= 0xFF  # inside the first image: its checksum no longer fits
    for name, data in (("cut", whole[:-40]), ("flipped", flipped), ("text", b"no archive")):
        path = tmp_path / f"{name}.zip"
        path.write_bytes(data)
        with pytest.raises(DatasetError, match=rf"{name}.zip is damaged or not a usable zip"):
            listed(path, store)
        assert_nothing_written(store)


@pytest.mark.parametrize("damage", ["missing", "cut", "more", "a link", "all", "a file"])
def test_incomplete_extractions_are_repeated(
    tmp_path: Path, store: Store, members: dict[str, bytes], damage: str
) -> None:
    path = zipped(tmp_path / "pets.zip", members)
    said: list[str] = []
    first = list_dataset(str(path), store=store, say=said.append)
    (folder,) = (store.root / "extracted").iterdir()
    image = folder / "pets" / "cats" / "000.png"
    if damage == "missing":
        image.unlink()
    elif damage == "cut":
        image.write_bytes(image.read_bytes()[:-1])
    elif damage == "more":
        image.with_name("999.png").write_bytes(image.read_bytes())
    elif damage == "a link":
        image.unlink()
        image.symlink_to(folder / "pets" / "cats" / "001.png")
    else:
        shutil.rmtree(folder)
        if damage == "a file":
            folder.touch()
    again = list_dataset(str(path), store=store, say=said.append)
    assert len(said) == 2
    assert again.splits == first.splits
    for split in SPLITS:
        for listed in first.splits[split]:
            assert again.read(listed.id) == members[f"pets/{listed.id}"]
    assert list_dataset(str(path), store=store, say=said.append).splits == first.splits
    assert len(said) == 2


@pytest.mark.parametrize("how", ["altered", "gone since it was listed"])
def test_a_file_changed_since_extraction_is_read_from_the_archive(
    tmp_path: Path, store: Store, members: dict[str, bytes], how: str
) -> None:
    path = zipped(tmp_path / "pets.zip", members)
    before = prepare(list_dataset(str(path), store=store), [4], store=store)
    image = next((store.root / "extracted").glob("*/pets/cats/000.png"))
    shutil.rmtree(store.root / "entries")
    if how == "altered":
        image.write_bytes(image.read_bytes()[:-1] + b"x")
    listing = list_dataset(str(path), store=store)
    if how != "altered":
        image.unlink()
    assert prepare(listing, [4], store=store) == before


def test_an_extraction_of_an_earlier_version_is_repeated(
    tmp_path: Path, store: Store, members: dict[str, bytes]
) -> None:
    path = zipped(tmp_path / "pets.zip", members)
    listed(path, store)
    (manifest,) = (store.root / "extracted").glob("*/.files.json")
    manifest.unlink()
    listed(path, store)
    assert manifest.exists()


def test_an_archive_in_use_is_not_cleared(
    tmp_path: Path, store: Store, members: dict[str, bytes]
) -> None:
    listed(zipped(tmp_path / "pets.zip", members), store)
    assert Store(store.root).clear().in_use == 1
    store.release()
    cleared = Store(store.root).clear()
    assert cleared.in_use == 0
    assert cleared.freed > sum(map(len, members.values()))


def test_too_deeply_nested_folders_are_refused(
    tmp_path: Path, store: Store, members: dict[str, bytes]
) -> None:
    path = zipped(tmp_path / "deep.zip", {**members, "a/" * 1500 + "b.png": b"x"})
    with pytest.raises(DatasetError, match="nests folders 1,501 deep, the limit is 100"):
        listed(path, store)
    assert_nothing_written(store)


def test_a_cache_that_cannot_be_created_is_an_error(
    tmp_path: Path, members: dict[str, bytes]
) -> None:
    (tmp_path / "file").touch()
    store = Store(tmp_path / "file" / "cache")
    with pytest.raises(DatasetError, match=r"cannot be extracted: the cache .*Not a directory"):
        listed(zipped(tmp_path / "pets.zip", members), store)
