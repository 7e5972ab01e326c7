"""Consequences of pairs: clusters, leaked images, images to drop. Counted by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest
from synthetic import audit_of

from bench.data.audit.result import (
    Audit,
    Balance,
    BrokenGroup,
    ImagePair,
    KeptAudit,
    LocatedImage,
    find_clusters,
    leak_text,
    leaked_test_ids,
    other_findings,
    outcome_text,
    train_ids_to_drop,
    validation_ids_to_drop,
)
from bench.types import OnLeak

TRAIN = [LocatedImage(f"train/{n}", "train", n % 2) for n in range(4)]
VALIDATION = [LocatedImage(f"validation/{n}", "validation", n % 2) for n in range(3)]
TEST = [LocatedImage(f"test/{n}", "test", n % 2) for n in range(4)]


def near(first: LocatedImage, second: LocatedImage) -> ImagePair:
    return ImagePair(first, second, "near", 0.9)


def exact(first: LocatedImage, second: LocatedImage) -> ImagePair:
    return ImagePair(first, second, "exact", 1.0)


def test_clusters_are_connected_components() -> None:
    found = find_clusters([(TRAIN[0], TEST[0]), (TRAIN[1], TEST[1]), (TEST[0], TEST[2])])
    assert found == [[TRAIN[0], TEST[0], TEST[2]], [TRAIN[1], TEST[1]]]


def test_a_long_chain_is_one_cluster() -> None:
    chain = [LocatedImage(str(n), "train", 0) for n in range(5000)]
    assert find_clusters(pairwise(chain)) == [chain]


def test_no_pairs_no_leaks() -> None:
    assert leaked_test_ids(audit_of()) == ()
    assert train_ids_to_drop(audit_of()) == ()


def test_a_split_may_not_share_images_with_those_after_it() -> None:
    found = audit_of(
        exact(TRAIN[0], TEST[0]),
        near(VALIDATION[1], TEST[1]),
        near(TRAIN[2], VALIDATION[2]),
        near(TEST[2], TEST[3]),  # twice in test: no leak
    )
    assert leaked_test_ids(found) == ("test/0", "test/1")
    assert train_ids_to_drop(found) == ("train/0", "train/2")
    assert validation_ids_to_drop(found) == ("validation/1",)


def test_copies_of_a_leaked_image_are_leaked() -> None:
    # test/1 is the same file as test/0, which is near train/0; so is train/3 the same as train/0.
    found = audit_of(exact(TRAIN[0], TRAIN[3]), exact(TEST[0], TEST[1]), near(TRAIN[0], TEST[0]))
    assert leaked_test_ids(found) == ("test/0", "test/1")
    assert train_ids_to_drop(found) == ("train/0", "train/3")


def test_pairs_by_kind_and_split() -> None:
    same, other = exact(TRAIN[0], TRAIN[2]), exact(TRAIN[0], TEST[1])
    alike, crossed = near(TRAIN[0], TRAIN[1]), near(TRAIN[1], TEST[1])
    found = audit_of(same, other, alike, crossed)
    assert found.pairs_of("exact", across=False) == (same,)
    assert found.pairs_of("exact", across=True) == (other,)
    assert found.pairs_of("near", across=False) == (alike,)
    assert found.pairs_of("near", across=True) == (crossed,)
    assert found.conflicts == (other, alike)  # label 0 against label 1


def test_balance_is_the_largest_class_over_the_smallest() -> None:
    assert Balance("train", (30, 10, 20)).ratio == pytest.approx(3.0)


def test_a_group_in_two_splits_is_a_leak_like_a_copy() -> None:
    group = BrokenGroup("rex", (TRAIN[0], TRAIN[1], TEST[1]))
    found = audit_of(near(TEST[1], TEST[2]), broken_groups=(group,))
    # test/2 is near test/1, which is of the group.
    assert leaked_test_ids(found) == ("test/1", "test/2")
    assert train_ids_to_drop(found) == ("train/0", "train/1")


def kept(audit: Audit, dropped: tuple[str, ...] = ()) -> KeptAudit:
    on_leak: OnLeak = "drop" if dropped else "warn"
    return KeptAudit(audit, leaked_test_ids(audit), on_leak, dropped, seconds=0.5)


def test_the_text_on_leaks() -> None:
    found = audit_of(exact(TRAIN[0], TEST[3]))
    what = "1 of 60 test images (1.7%) has a copy in train or validation, such as test/3 of train/0"
    assert leak_text(found) == what
    dropping = "--on-leak drop leaves out 1 training and 0 validation images"
    assert outcome_text(kept(found)) == f"{what}; {dropping}"
    told = f"{what}; left out of train and validation: 1"
    assert outcome_text(kept(found, ("train/0",))) == told
    assert outcome_text(kept(audit_of(near(TEST[0], TEST[2])))) == ""


def test_the_texts_on_other_findings() -> None:
    pairs = (near(TRAIN[0], TRAIN[1]), near(TRAIN[2], VALIDATION[0]), exact(TEST[0], TEST[2]))
    assert list(other_findings(audit_of(*pairs))) == [
        "1 picture under two labels",
        "1 copy between train and validation",
        "2 copies within a split",
    ]
