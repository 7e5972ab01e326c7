"""Folders of images: supported layouts, and the messages about others."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from trees import Tree

from bench.data.listing import Listing
from bench.data.sources.folder import list_folder
from bench.errors import DatasetError
from bench.inference.prediction import find_images
from bench.types import SPLITS


def listed(root: Path) -> Listing:
    return list_folder(root, split_seed=0)


def sizes(listing: Listing) -> tuple[int, ...]:
    return tuple(len(listing.splits[split]) for split in SPLITS)


def test_a_folder_per_class(tmp_path: Path, tree: Tree) -> None:
    listing = listed(tree(tmp_path / "My pets!", {"dogs": 10, "cats": 20, "axolotls": 3}))
    assert listing.name == "My-pets"
    assert listing.classes == ("axolotls", "cats", "dogs")
    # axolotls 1+1+1, cats 14+3+3, dogs 6+2+2
    assert sizes(listing) == (21, 6, 6)
    image = listing.splits["train"][0]
    assert image.id.startswith("axolotls/")
    assert image.label == 0
    assert listing.read(image.id) == (tmp_path / "My pets!" / image.id).read_bytes()


@pytest.mark.parametrize("train", ["train", "training", "training_set", "Train"])
@pytest.mark.parametrize("second", ["validation", "val", "valid", "test", "testing", "test_set"])
def test_two_splits_under_any_of_their_names(
    tmp_path: Path, tree: Tree, train: str, second: str
) -> None:
    counts = {f"{train}/a": 10, f"{train}/b": 10, f"{second}/a": 5, f"{second}/b": 5}
    listing = listed(tree(tmp_path, counts))
    assert sizes(listing) == (16, 4, 10)
    assert all(image.id.startswith(second) for image in listing.splits["test"])
    assert f"test is '{second}'" in listing.description


def test_three_splits_as_given(tmp_path: Path, tree: Tree) -> None:
    counts = {f"{s}/{c}": n for s, n in (("train", 4), ("val", 3), ("test", 2)) for c in "ab"}
    listing = listed(tree(tmp_path, counts))
    assert sizes(listing) == (8, 6, 4)
    assert "as given" in listing.description


def test_wrapping_folders_are_stepped_into(tmp_path: Path, tree: Tree) -> None:
    tree(tmp_path / "outer" / "inner", {"training_set/training_set/a": 4, "test_set/test_set/a": 2})
    tree(tmp_path / "outer" / "inner", {"training_set/training_set/b": 4, "test_set/test_set/b": 2})
    listing = listed(tmp_path)
    assert listing.classes == ("a", "b")
    assert sizes(listing) == (6, 2, 4)


def test_litter_is_ignored_and_other_files_are_counted(tmp_path: Path, tree: Tree) -> None:
    root = tree(tmp_path, {"a": 5, "b": 5})
    for name in (".DS_Store", "a/Thumbs.db", "__MACOSX/a/._1.jpg", "a/.hidden.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    for name in ("readme.txt", "a/labels.csv", "b/labels.CSV", "b/noname"):
        (root / name).write_bytes(b"x")
    (root / "a" / "deeper").mkdir()
    (root / "a" / "000.png").rename(root / "a" / "deeper" / "0.PNG")
    (root / "b" / "000.png").rename(root / "stray.png")
    listing = listed(root)
    assert sizes(listing) == (5, 2, 2)
    assert any(image.id == "a/deeper/0.PNG" for s in SPLITS for image in listing.splits[s])
    assert listing.notes == (
        "5 file(s) were ignored (.csv: 2, .txt: 1, images outside class folders: 1, no suffix: 1)",
    )


def test_folders_beside_the_splits_are_noted(tmp_path: Path, tree: Tree) -> None:
    listing = listed(tree(tmp_path, {"train/a": 4, "train/b": 4, "docs/x": 1}))
    assert sizes(listing) == (4, 2, 2)
    assert listing.notes == ("folder(s) next to the splits were ignored: docs",)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"only": 3}, "at least 2 classes.*only 'only'"),
        ({}, "at least 2 classes.*none"),
        ({"a": 3, "b": 0}, "class folder .*b holds no image"),
        ({"train/a": 3, "train/b": 3, "val/a": 3}, "class 'b' is missing from .*val"),
        ({"val/a": 3, "val/b": 3}, "no 'train'"),
        ({"train/a": 3, "train/b": 3, "val/a": 1, "valid/a": 1}, "two folders for validation"),
    ],
)
def test_folders_that_cannot_be_used(
    tmp_path: Path, tree: Tree, counts: dict[str, int], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        listed(tree(tmp_path, counts))


def test_links_are_followed_even_in_cycles(tmp_path: Path, tree: Tree) -> None:
    root = tree(tmp_path / "data", {"a": 4, "b": 4})
    elsewhere = tree(tmp_path / "elsewhere", {"more": 2})
    (root / "a" / "more").symlink_to(elsewhere / "more")
    (root / "a" / "circle").symlink_to(root / "a")
    (root / "b" / "again.png").symlink_to(root / "b" / "000.png")
    assert sum(sizes(listed(root))) == 4 + 2 + 4 + 1


@contextmanager
def nested(folder: Path, name: str, depth: int) -> Iterator[None]:
    """Folders in folders, and the working folder in the last of them. Made and removed one by one:
    what clears the folder of tests does not go so deep."""
    before = Path.cwd()
    os.chdir(folder)
    made = 0
    try:
        for _ in range(depth):
            Path(name).mkdir()
            made += 1
            os.chdir(name)
        yield
    finally:
        for _ in range(made):
            for left in Path().iterdir():
                left.unlink()
            os.chdir("..")
            Path(name).rmdir()
        os.chdir(before)


@pytest.mark.slow
def test_folders_nested_deeper_than_the_stack(tmp_path: Path, tree: Tree) -> None:
    root = tree(tmp_path, {"a": 4, "b": 4})
    with nested(root / "a", "d", 1100):
        (root / "a" / "000.png").rename("deep.png")
        listing = listed(root)
        (id,) = (i.id for s in SPLITS for i in listing.splits[s] if i.id.endswith("deep.png"))
        assert id == "a/" + "d/" * 1100 + "deep.png"
        assert listing.read(id) == Path("deep.png").read_bytes()
        assert sum(path.name == "deep.png" for path in find_images([root])) == 1


def test_paths_longer_than_the_system_takes_are_an_error_in_one_line(
    tmp_path: Path, tree: Tree
) -> None:
    root = tree(tmp_path, {"a": 4, "b": 4})
    with nested(root / "a", "d" * 255, 17):
        with pytest.raises(DatasetError, match="cannot be read: File name too long") as caught:
            listed(root)
        assert len(str(caught.value)) < 300


def test_only_regular_files_are_read(tmp_path: Path, tree: Tree) -> None:
    """A pipe that nobody writes to never ends, and a device may."""
    root = tree(tmp_path, {"a": 4, "b": 4})
    os.mkfifo(root / "a" / "pipe.png")
    (root / "a" / "device.png").symlink_to("/dev/zero")
    (root / "a" / "folder.png").mkdir()
    listing = listed(root)
    assert sum(sizes(listing)) == 10
    for name in ("pipe", "device"):
        with pytest.raises(OSError, match="not a regular file"):
            listing.read(f"a/{name}.png")


def test_identity_follows_name_size_and_date(tmp_path: Path, tree: Tree) -> None:
    root = tree(tmp_path, {"a": 4, "b": 4})
    first = listed(root).identity
    assert listed(root).identity == first
    image = root / "a" / "000.png"
    status = image.stat()
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    second = listed(root).identity
    image.write_bytes(image.read_bytes() + b"x")
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    third = listed(root).identity
    image.rename(root / "a" / "new.png")
    assert len({first, second, third, listed(root).identity}) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes exist on Linux alone")
def test_names_that_are_not_text_can_still_be_written(tmp_path: Path, tree: Tree) -> None:
    root = tree(tmp_path, {"a": 4, "b": 4})
    (root / "a" / "000.png").rename(os.fsdecode(os.fsencode(root / "a") + b"/caf\xe9.png"))
    listing = listed(root)
    (name,) = (i.id for s in SPLITS for i in listing.splits[s] if "caf" in i.id)
    assert name.encode() == rb"a/caf\xe9.png"
    assert listing.read(name).startswith(b"\x89PNG")
