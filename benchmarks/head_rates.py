"""What five learning rates of a head cost against one: processor time, in turns.

    python benchmarks/head_rates.py --classes 2 17 100 --rounds 7

Random features stand for cached ones. The cost is that of the whole phase: batches, steps,
validation, the best epoch. Their results are the same (`tests/training/test_head_copies.py`).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import keras
import numpy as np

from bench.models.backends.base import current
from bench.models.head_copies import HeadCopies
from bench.models.network import Tail, build_head, initialise_head
from bench.protocol import Head, Phase
from bench.training.rows import Stored
from bench.training.train import PhaseTrainer
from bench.training.tuning import multipliers

PHASE = Phase("head", 10, 1e-3)
BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, nargs="+", default=[2, 17, 100])
    parser.add_argument("--features", type=int, default=1280)
    parser.add_argument("--images", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    for classes in arguments.classes:
        one, five = (_training(arguments, classes, budget) for budget in (1, 5))
        one(), five()  # the first of each reads code and weights for the first time
        pairs = [(one(), five()) for _ in range(arguments.rounds)]
        ratios = [many / single for single, many in pairs]
        print(
            f"{classes} classes: one rate {statistics.median(s for s, _ in pairs):.2f} s, five "
            f"{statistics.median(m for _, m in pairs):.2f} s, ratio "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )


def _training(arguments: argparse.Namespace, classes: int, budget: int) -> Callable[[], float]:
    """Return a function that trains the phase and returns the processor time it took."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, arguments.images)
    rows = Stored(rng.standard_normal((arguments.images, arguments.features)).astype("float32"))
    head = build_head(Head(dropout=0.2), (arguments.features,), classes)
    rates = [PHASE.learning_rate * m for m in multipliers(budget)] if budget > 1 else []
    tail = HeadCopies(head, budget) if rates else Tail(None, head, trains_batchnorm=False)
    tail(keras.Input((arguments.features,)))
    trainer = PhaseTrainer(PHASE, 0, tail, current(), rates)
    trainer.compile(rows, BATCH)

    def train() -> float:
        initialise_head(head, 0)
        if rates:
            tail.load(head)
        begun = time.process_time()
        trainer.run(
            lambda epoch: [rows],
            labels,
            rows,
            labels,
            seed=0,
            batch_size=BATCH,
            learning_rate=PHASE.learning_rate,
            on_batch=lambda done, total: None,
            on_epoch=lambda number, epoch: None,
        )
        return time.process_time() - begun

    return train


if __name__ == "__main__":
    main()
