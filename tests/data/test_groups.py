"""Groups: reading a user's file, matching its names, and splits that keep groups whole."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bench.data.groups import match_groups, read_groups
from bench.data.listing import ListedImage
from bench.data.sources import list_dataset
from bench.data.splits import carve_groups, complete_splits
from bench.errors import DatasetError, UsageError
from bench.storage.cache import Store
from bench.types import SplitName

CLASSES = ("cats", "dogs")


def carved(
    images: list[ListedImage], groups: dict[str, str], carve: tuple[SplitName, ...], *, seed: int
) -> dict[SplitName, list[ListedImage]]:
    return carve_groups(images, groups, carve, classes=CLASSES, seed=seed)


def whole(splits: dict[SplitName, list[str]], groups: dict[str, str]) -> bool:
    """Whether no group has images in two splits."""
    met = {(groups[id], split) for split, ids in splits.items() for id in ids if id in groups}
    return len(met) == len({group for group, _ in met})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("groups.csv", "image,group\na.jpg,rex\nb.jpg,7\n"),
        ("groups.csv", '\ufeffgroup,note,image\r\nrex,"two, old",a.jpg\r\n7,,b.jpg\r\n'),
        ("groups.tsv", "image\tgroup\na.jpg\trex\n b.jpg \t 7 \n"),
        ("groups.json", '{"a.jpg": "rex", "b.jpg": 7}'),
        ("groups.csv", "image,group\na.jpg,rex\nb.jpg,7\na.jpg,rex\n"),
    ],
)
def test_a_groups_file_is_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_groups(tmp_path / name) == {"a.jpg": "rex", "b.jpg": "7"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("groups.txt", "", r"must end in \.csv, \.tsv or \.json"),
        ("groups.csv", "", "no column 'image' and no column 'group'; its first line is empty"),
        ("groups.csv", "image;group\na;b\n", "no column .* its first line is image;group"),
        ("groups.csv", "image,group\n", "names no image"),
        ("groups.csv", "image,group\na.jpg\n", "line 2: the group is empty"),
        ("groups.csv", "image,group\na,x\n,y\n", "line 3: the image is empty"),
        ("groups.csv", "image,group\na,x\na,y\n", "line 3: a is in group 'y' here and in 'x'"),
        ("groups.json", '{"a": "x", "a": "y"}', "entry 2: a is in group 'y' here and in 'x'"),
        ("groups.json", '{"a": ["x"]}', r"entry 1: the group of 'a' must be .* got \[\"x\"\]"),
        ("groups.json", '[{"image": "a"}]', "must map images to groups"),
        ("groups.json", "{", "is not JSON"),
        ("groups.json", "[" * 100_000, "is not JSON"),
    ],
)
def test_a_bad_groups_file_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message):
        read_groups(tmp_path / name)


def test_a_groups_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"groups\.csv cannot be read: No such file"):
        read_groups(tmp_path / "groups.csv")


def test_images_are_named_by_their_path_or_its_end() -> None:
    ids = ["train/cats/1.jpg", "train/dogs/1.jpg", "train/dogs/2.jpg"]
    named = {"train/cats/1.jpg": "a", "dogs\\1.jpg": "b", "./2.jpg": "c"}
    assert match_groups(named, ids) == dict(zip(ids, "abc", strict=True))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"1.jpg": "a"}, "'1.jpg' matches 2 images, such as cats/1.jpg and dogs/1.jpg"),
        ({"3.jpg": "a", "4.jpg": "a"}, "2 image.* does not have: '3.jpg', '4.jpg'. .* cats/1.jpg"),
        ({"2.jpg": "a", "dogs/2.jpg": "b"}, "puts dogs/2.jpg into 'a' and into 'b'"),
    ],
)
def test_unknown_and_ambiguous_names_are_refused(groups: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        match_groups(groups, ["cats/1.jpg", "dogs/1.jpg", "dogs/2.jpg"])


def listed(counts: tuple[int, ...]) -> list[ListedImage]:
    return [
        ListedImage(f"{label}/{n:03d}", label) for label, n in enumerate(counts) for n in range(n)
    ]


def test_without_groups_the_splits_are_the_usual_ones() -> None:
    images = listed((40, 60))
    usual = complete_splits({"train": images}, classes=CLASSES, seed=3)
    found = carved(images, {}, ("test", "validation"), seed=3)
    assert {split: sorted(i.id for i in each) for split, each in found.items()} == {
        split: [i.id for i in each] for split, each in usual.items()
    }


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_whole_and_classes_keep_their_share(seed: int) -> None:
    images = listed((100, 200))
    groups = {image.id: f"{image.id[0]}-{int(image.id[2:]) // 4}" for image in images}
    found = carved(images, groups, ("validation", "test"), seed=seed)
    ids = {split: [image.id for image in each] for split, each in found.items()}
    assert whole(ids, groups)
    assert sorted(id for each in ids.values() for id in each) == sorted(i.id for i in images)
    for split in ("validation", "test"):
        counts = Counter(image.label for image in found[split])
        assert abs(counts[0] - 15) <= 2  # 15 % of 100, to half a group of 4
        assert abs(counts[1] - 30) <= 2


def test_another_seed_draws_other_groups_and_the_same_draws_the_same() -> None:
    images = listed((100, 100))
    groups = {image.id: f"{image.id[:4]}" for image in images}

    def test_ids(seed: int) -> list[str]:
        found = carved(images, groups, ("test",), seed=seed)
        return [image.id for image in found["test"]]

    assert test_ids(0) == test_ids(0)
    assert test_ids(0) != test_ids(1)


def test_of_groups_that_are_all_too_large_the_smallest_is_taken() -> None:
    images = listed((30, 100))
    groups = {image.id: "big" if int(image.id[2:]) < 18 else "small" for image in images[:30]}
    found = carved(images, groups, ("test",), seed=0)
    assert Counter(image.label for image in found["test"]) == {0: 12, 1: 15}


def test_a_class_in_one_group_cannot_be_split() -> None:
    images = listed((30, 100))
    groups = {image.id: "rex" for image in images[:30]}
    with pytest.raises(DatasetError, match="train cannot have an image of class 'cats' without"):
        carved(images, groups, ("test",), seed=0)


def test_a_group_and_a_lone_image_of_the_same_name_are_two() -> None:
    images = listed((10, 10))
    groups = {image.id: "0/000" for image in images[10:14]}
    found = carved(images, groups, ("test",), seed=0)
    ids = {split: [image.id for image in each] for split, each in found.items()}
    assert sum(map(len, ids.values())) == 20
    assert whole(ids, groups)


def test_a_folder_is_carved_by_its_groups(tmp_path: Path, store: Store) -> None:
    root = tmp_path / "pets"
    ids = [f"{title}/{n:02d}.png" for title in CLASSES for n in range(20)]
    for id in ids:
        (root / id).parent.mkdir(parents=True, exist_ok=True)
        (root / id).touch()
    groups = {id: f"{id[:4]} {int(id[5:7]) // 5}" for id in ids if "19" not in id}
    table = tmp_path / "groups.csv"
    table.write_text("image,group\n" + "".join(f"{id},{g}\n" for id, g in groups.items()))

    def splits(file: Path | None) -> dict[SplitName, list[str]]:
        listing = list_dataset(str(root), store=store, groups=file)
        assert listing.groups == (groups if file else {})
        return {split: [image.id for image in each] for split, each in listing.splits.items()}

    assert whole(splits(table), groups)
    assert not whole(splits(None), groups)


@pytest.mark.parametrize("name", ["auto", "demo"])
def test_groups_are_refused_for_built_in_images(name: str, tmp_path: Path, store: Store) -> None:
    with pytest.raises(UsageError, match="is for your own images; name them with --dataset"):
        list_dataset(name, store=store, groups=tmp_path / "groups.csv")
