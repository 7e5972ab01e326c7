"""Compare the processor time of training a head at five learning rates with that at one.

    python benchmarks/head_rates.py --classes 2 17 100 --rounds 7

Prints two ratios: of the phase alone, on random features (batches, steps, validation, the best
epoch), and of all that a user waits for, with the frozen pass over the images. The results are the
same as of separate trainings (`tests/training/test_head_copies.py`).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import keras
import numpy as np

from bench.models.backends.base import current_backend
from bench.models.cuts import FEATURES, PIXELS
from bench.models.head_copies import HeadCopies
from bench.models.network import Network, Tail, build_head, initialise_head
from bench.protocol import Head, Phase
from bench.registry import BACKBONES, load_plugins
from bench.training.phase_trainer import PhaseTrainer
from bench.training.prepared import ForwardPassCache
from bench.training.rows import StoredRows, predict
from bench.training.tuning import rate_multipliers

BATCH = 32
PASSED = 256  # images whose frozen pass is timed
VALIDATION = 0.25  # images of validation for each of training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, nargs="+", default=[2, 17, 100])
    parser.add_argument("--backbone", default="mobilenetv2")
    parser.add_argument("--input-size", type=int, default=160)
    parser.add_argument("--images", type=int, default=800)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    features, frozen = _frozen(arguments.backbone, arguments.input_size)
    frozen *= arguments.images * (1 + VALIDATION)
    print(f"{arguments.backbone} at {arguments.input_size} px: {frozen:.2f} s to its features")
    phase = Phase("head", arguments.epochs, 1e-3)
    for classes in arguments.classes:
        one, five = (
            _training(phase, arguments.images, features, classes, budget) for budget in (1, 5)
        )
        one(), five()  # the first of each reads code and weights for the first time
        pairs = [(one(), five()) for _ in range(arguments.rounds)]
        ratios = [many / single for single, many in pairs]
        whole = [(frozen + many) / (frozen + single) for single, many in pairs]
        print(
            f"{classes} classes: one rate {statistics.median(s for s, _ in pairs):.2f} s, five "
            f"{statistics.median(m for _, m in pairs):.2f} s, ratio "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}); "
            f"with the frozen pass {statistics.median(whole):.2f}",
            flush=True,
        )


def _frozen(name: str, size: int) -> tuple[int, float]:
    """Return the number of a backbone's features, and the processor time for those of one image."""
    load_plugins((), ("backbones",))
    network = Network(BACKBONES[name], size)
    forward = ForwardPassCache(network, current_backend()).get(PIXELS, [FEATURES])
    images = np.random.default_rng(0).integers(0, 256, (PASSED, size, size, 3), "uint8")
    predict(forward, StoredRows(images[:BATCH]))
    begun = time.process_time()
    predict(forward, StoredRows(images))
    return network.features_shape[0], (time.process_time() - begun) / PASSED


def _training(
    phase: Phase, images: int, features: int, classes: int, budget: int
) -> Callable[[], float]:
    """Return a function that trains the phase and returns the processor time it took."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, images)
    array = rng.standard_normal((images, features)).astype("float32")
    rows, validation = StoredRows(array), StoredRows(array[: int(images * VALIDATION)])
    head = build_head(Head(dropout=0.2), (features,), classes)
    rates = [phase.learning_rate * m for m in rate_multipliers(budget)] if budget > 1 else []
    tail = HeadCopies(head, budget) if rates else Tail(None, head, trains_batchnorm=False)
    tail(keras.Input((features,)))
    trainer = PhaseTrainer(phase, 0, tail, current_backend(), rates)
    trainer.compile(rows, BATCH)

    def train() -> float:
        initialise_head(head, 0)
        if rates:
            tail.copy_from(head)
        begun = time.process_time()
        trainer.run(
            lambda epoch: [rows],
            labels,
            validation,
            labels[: len(validation)],
            seed=0,
            batch_size=BATCH,
            learning_rate=phase.learning_rate,
        )
        return time.process_time() - begun

    return train


if __name__ == "__main__":
    main()
