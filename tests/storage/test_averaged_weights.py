"""Soups: the mean of weights, and the records of a run that are averaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic import Net, make_run

from bench.cli.commands import predict_command
from bench.errors import UnknownNameError, UsageError
from bench.inference.measuring.pending import soup_candidates, soup_needed
from bench.models.rebuild import find_members, find_record
from bench.storage.arrays import TrainedWeights, average_weights, weights_path
from bench.storage.records import StoredRun, read_run, soup_ingredients, soup_record, weight_sources
from bench.system.files import write_atomic
from bench.types import Ingredient, Record, Soup, WeightsUsed


def test_unchanged_arrays_enter_the_mean_with_their_initial_values() -> None:
    before = [np.array([2.0, 4.0], "float32"), np.zeros(1, "float32")]
    one = TrainedWeights({0: np.array([4.0, 4.0], "float32")}, (np.array([1.0], "float32"),))
    other = TrainedWeights({}, (np.array([3.0], "float32"),))
    mean = average_weights(before, [one, other])
    assert {place: array.tolist() for place, array in mean.backbone.items()} == {0: [3.0, 4.0]}
    assert [array.tolist() for array in mean.head] == [[2.0]]
    assert {array.dtype for array in (mean.backbone[0], *mean.head)} == {np.dtype("float32")}


def run_with_soup(folder: Path, *taken: bool) -> StoredRun:
    """Return a run of one backbone whose first seed holds a soup of the seeds that are `taken`."""
    run = read_run(make_run(folder, [Net("a"), Net("b")], seeds=range(len(taken)), images=10))
    tried = tuple(
        Ingredient(seed, record.finished, 0.9, one)
        for seed, (one, record) in enumerate(zip(taken, run.records, strict=False))
    )
    first, *others = run.all_records
    return replace(run, all_records=(replace(first, soup=Soup(tried)), *others))


def keys(records: tuple[Record, ...]) -> list[int]:
    return [record.trial.seed for record in records]


def test_a_soup_is_named_after_its_backbone_and_has_the_weights_of_its_seeds(
    tmp_path: Path,
) -> None:
    run = run_with_soup(tmp_path / "r", True, False, True)
    soup = find_record(run, "a@soup")
    assert (soup.trial.name, soup.trial.seeds) == ("a@soup", (0, 2))
    assert (soup.phases, soup.runtimes) == ((), ())
    assert keys(weight_sources(run.records, soup)) == [0, 2]
    assert weight_sources(run.records, run.records[0]) == (run.records[0],)
    assert predict_command._members_and_paths(run, ["a@soup", "x.png"]) == (
        (soup,),
        [Path("x.png")],
    )
    both = find_members(run, "a@soup + b")
    assert [record.trial.name for record in both] == ["a@soup", "b"]
    with pytest.raises(UsageError, match="names a backbone twice"):
        find_members(run, "a@soup+a")
    with pytest.raises(UsageError, match="run r has no weight soup of b: it needs several seeds"):
        find_record(run, "b@soup")
    with pytest.raises(UnknownNameError, match="'c'"):
        find_record(run, "c@soup")


def test_a_soup_has_no_ingredients_if_a_seed_was_trained_again(tmp_path: Path) -> None:
    run = run_with_soup(tmp_path / "r", True, True)
    first, second, *others = run.records
    again = (first, replace(second, finished="later"), *others)
    assert soup_ingredients(again, first) == ()
    assert soup_ingredients((first, *others), first) == ()


def test_a_single_seed_is_not_a_soup(tmp_path: Path) -> None:
    run = run_with_soup(tmp_path / "r", True, False)
    assert soup_record(run.records[0]) is None
    with pytest.raises(UsageError, match=r"seed 0 alone.*; use a\."):
        find_record(run, "a@soup")


def test_soup_candidates_have_kept_weights_of_one_origin(tmp_path: Path) -> None:
    run = run_with_soup(tmp_path / "r", True, True)
    of_a = [record for record in run.records if record.trial.backbone == "a"]
    plain = [replace(record, soup=None) for record in of_a]
    assert soup_candidates(plain, run.folder) == []
    for record in of_a:
        write_atomic(weights_path(run.folder, record.trial.key), b"")
    found = soup_candidates(plain, run.folder)
    assert len(found) == 2
    assert soup_needed(found, plain)
    assert not soup_needed(found, of_a)
    assert not soup_needed(found[:1], plain)
    assert soup_needed([found[0], replace(found[1], finished="later")], of_a)
    for source in ("imagenet", "random init"):
        other = WeightsUsed(source, "x", "of another file")
        changed = [found[0], replace(found[1], weights=other)]
        assert soup_candidates(changed, run.folder) == found[:1]
