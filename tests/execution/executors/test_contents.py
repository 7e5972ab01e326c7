"""Weights and images that nodes fetch: each is offered once, verified, and cached on the node."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import workbench
from plans import plan

from bench.data import pixels
from bench.errors import NodeLostError, WorkerDiedError
from bench.execution.executors import contents, follow
from bench.execution.executors.contents import Offer, place_files, place_images, place_weights
from bench.models.weights import LocatedWeights
from bench.storage.cache import Store
from bench.system.files import write_atomic
from bench.training.events import Ended
from bench.training.job import Job
from bench.types import SPLITS


class Carried:
    """A fake transport: contents by SHA-256, and how often each was fetched."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.damaged = 0  # so many of the next answers

    def put(self, sha256: str, content: bytes) -> None:
        assert sha256 not in self.held, "offered twice"
        self.held[sha256] = content

    def fetch(self, sha256: str) -> bytes:
        self.asked.append(sha256)
        self.damaged -= 1
        return b"other" if self.damaged >= 0 else self.held[sha256]


@pytest.fixture
def carried() -> Carried:
    return Carried()


@pytest.fixture
def job(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job whose images are cached here and sent in parts of ten; the data set itself is gone."""
    monkeypatch.setattr(contents, "PART_BYTES", 10 * pixels.array_bytes(1, tiny.SIZE))
    data = tmp_path / "data"
    dataset = workbench.make_dataset(data, store)
    data.rename(tmp_path / "elsewhere")
    p = plan("one")
    trials = (replace(p.trials[0], input_size=tiny.SIZE),)
    return Job(trials, p.protocol, dataset, None, "", str(store.root), store.limit_bytes)


def test_images_reach_a_node_once(job: Job, store: Store, tmp_path: Path, carried: Carried) -> None:
    offer, there = Offer(carried.put), Store(tmp_path / "there")
    sent = offer.offer_images(job)
    assert offer.offer_images(job) == sent
    assert [len(one.parts) for one in sent] == [4, 2, 2]  # of 40, 12 and 16 images
    for _ in range(2):
        place_images(job, sent, there, carried.fetch)
    assert sorted(carried.asked) == sorted(carried.held)
    for split in SPLITS:
        found, here = (pixels.get_entry(job.dataset, split, tiny.SIZE, s) for s in (there, store))
        np.testing.assert_array_equal(found.array(), here.array())
        # Times of trials from cold caches are those of the machine that decoded.
        assert found.cost_seconds == here.cost_seconds > 0


def test_a_damaged_part_is_fetched_again(job: Job, tmp_path: Path, carried: Carried) -> None:
    sent, there = Offer(carried.put).offer_images(job), Store(tmp_path / "there")
    carried.damaged = 1
    place_images(job, sent, there, carried.fetch)
    assert len(carried.asked) == len(carried.held) + 1
    assert pixels.is_stored(job.dataset, tiny.SIZE, there)


@pytest.mark.parametrize("fault", ["damaged", "missing"])
def test_contents_that_do_not_arrive_count_as_a_lost_node(
    fault: str, job: Job, tmp_path: Path, carried: Carried
) -> None:
    sent, there = Offer(carried.put).offer_images(job), Store(tmp_path / "there")
    if fault == "damaged":
        carried.damaged = 2
    else:
        del carried.held[sent[0].parts[-1]]
    says = r"^a part of the train images (arrived damaged|did not arrive \(.*\))\.$"
    with pytest.raises(NodeLostError, match=says):
        place_images(job, sent, there, carried.fetch)
    assert not there.entries()
    with pytest.raises(NodeLostError, match="so it is"):
        follow([Ended(1, message="so it is", lost=True)], job, print)


def test_a_measuring_node_gets_the_files_of_the_run(
    job: Job, tmp_path: Path, carried: Carried
) -> None:
    run, key = tmp_path / "r", job.trials[0].key
    names = {"run.json", "records.jsonl", f"arrays/{key}.npz", f"weights/{key}.npz"}
    names.add("arrays/other.npz")  # reports compare all
    for name in {*names, "report.md"}:
        write_atomic(run / name, f"content of {name}")
    write_atomic(tmp_path / "x.weights.h5", b"weights")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    located = LocatedWeights("file", str(tmp_path / "x.weights.h5"), "x", sha256)
    offer = Offer(carried.put)
    files = offer.offer_run_files(replace(job, folder=str(run), pretrained={"one": located}))
    place_files(tmp_path / "node", files, carried.fetch)
    there = {
        str(path.relative_to(tmp_path / "node")): path.read_text()
        for path in (tmp_path / "node").rglob("*.*")
    }
    sent = {"pretrained/one.x.weights.h5": "weights"}
    assert there == {name: f"content of {name}" for name in names} | sent


def test_weights_are_offered_once_and_must_not_have_changed(
    tmp_path: Path, carried: Carried
) -> None:
    path, offer = tmp_path / "x.h5", Offer(carried.put)
    path.write_bytes(b"weights")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    located = LocatedWeights("file", str(path), "x.h5", sha256)
    for one in (None, located, located):
        offer.offer_weights(one)
    found = place_weights(tmp_path / "job", located, carried.fetch)
    assert found == replace(located, path=str(tmp_path / "job" / "pretrained" / "x.h5"))
    assert Path(found.path).read_bytes() == b"weights"
    path.write_bytes(b"others")
    with pytest.raises(WorkerDiedError, match=r"x\.h5 was changed since the plan"):
        Offer(carried.put).offer_weights(located)
