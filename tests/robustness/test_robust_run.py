"""A run that was asked about corrupted images, from the plan to the record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image
from trained_run import Silent

from bench import datasets
from bench.executors.inline import Inline
from bench.plan import make_plan
from bench.protocol import Head, Phase, TrainingProtocol
from bench.records import load_run
from bench.robustness import KINDS, STRENGTHS
from bench.robustness.corruptions import CORRUPTIONS
from bench.run import Request, execute
from bench.store import Store
from bench.types import Measuring, Settings
from bench.weights import LocatedWeights

PROTOCOL = TrainingProtocol("p", "a head", Head(), (Phase("head", 2, 1e-2),))


@pytest.mark.slow
def test_the_trained_model_answers_corrupted_images(
    tmp_path: Path, store: Store, tiny_backbone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, (split, count) in enumerate({"train": 24, "validation": 8, "test": 10}.items()):
        for i, (pixels, label) in enumerate(zip(*tiny.images(count, seed=number), strict=True)):
            path = tmp_path / "data" / split / f"class {label}" / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    weights = tmp_path / "tiny.weights.h5"
    tiny.build((tiny.SIZE, tiny.SIZE, 3)).save_weights(weights)
    listing = datasets.list_dataset(str(tmp_path / "data"), store=store)
    plan = make_plan(
        [tiny.TINY],
        datasets.prepare(listing, [tiny.SIZE], store=store),
        PROTOCOL,
        Settings(),
        (0,),
        fractions=(0.5, 1.0),
        input_size=None,
        keras_backend="tensorflow",
        rate=1e11,
        located={"tiny": LocatedWeights("file", str(weights), weights.name)},
        measuring=Measuring(latency_seconds=0.02, robustness=True),
    )
    # Where nothing is done to an image, the answer must be that to the image itself.
    monkeypatch.setitem(CORRUPTIONS, "blur", lambda image, strength, number: image)
    execute(plan, tmp_path / "r", Request(command=()), store, Inline(), Silent())

    run = load_run(tmp_path / "r")
    (evidence,) = run.evidence
    assert evidence.record.reason == ""
    answers = evidence.arrays["robust_probabilities"]
    assert answers.shape == (len(KINDS), len(STRENGTHS), 10, 2)
    clean = evidence.arrays["test_probabilities"][evidence.arrays["robust_images"]]
    for untouched in answers[KINDS.index("blur")]:
        np.testing.assert_allclose(untouched, clean, atol=1e-5)
    assert np.abs(answers[KINDS.index("brightness")] - clean).max() > 1e-3

    seconds = evidence.record.seconds
    assert seconds["robustness"] > 0
    parts = sum(spent for part, spent in seconds.items() if part not in ("total", "reused"))
    assert parts == pytest.approx(seconds["total"])
    (smaller,) = run.smaller  # for the learning curve alone
    assert "robustness" not in smaller.seconds
