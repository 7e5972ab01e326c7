"""Compare the time of training with that of the arithmetic alone.

    python benchmarks/near_limit.py FOLDER --backbone mobilenetv2 --input-size 160 --rounds 3

The limit is one bare forward pass of the frozen part over all images, and a bare training loop of
the unfrozen part over tensors in memory: no validation, no records, no files. Both sides run in
turns, as whole processes. `engine` is the time of the trial for the frozen part, compiling, and
training with its validation; `whole` is everything from the start of the process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from ours import run_bench, timed, write_protocol

from bench.storage.records import read_run

MATRIX = 2048  # the edge of the matrices whose product shows the machine's peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--backbone", default="mobilenetv2")
    parser.add_argument("--weights", default="auto")
    parser.add_argument("--input-size", type=int, default=160)
    parser.add_argument("--head-epochs", type=int, default=10)
    parser.add_argument("--fine-tune-epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bare", nargs=2, type=int, metavar=("TRAIN", "ALL"), help="internal")
    arguments = parser.parse_args()
    if arguments.bare:
        print(json.dumps(_bare(arguments, *arguments.bare)))
        return
    ratios: dict[str, list[float]] = {"engine": [], "whole": []}
    with tempfile.TemporaryDirectory() as work:
        for number in range(arguments.rounds):
            parts, whole, counts = _ours(arguments, Path(work), number)
            bare = json.loads(timed(_again(counts), '"train"').line)
            limit = bare["forward"] + bare["train"]
            ratios["engine"].append(sum(parts.values()) / limit)
            ratios["whole"].append(whole / limit)
            shown = "  ".join(f"{name} {seconds:.2f}" for name, seconds in parts.items())
            print(f"round {number + 1}: ours {shown}  whole {whole:.2f}", flush=True)
            print(
                f"         bare forward {bare['forward']:.2f} s ({bare['forward_gflops']:.0f} "
                f"GFLOPS), train {bare['train']:.2f} s ({bare['train_gflops']:.0f} GFLOPS); "
                f"matrix product {bare['peak_gflops']:.0f} GFLOPS",
                flush=True,
            )
    for name, values in ratios.items():
        rounds = "  ".join(f"{value:.2f}" for value in values)
        print(f"{name} over limit: median {statistics.median(values):.2f}  (rounds {rounds})")


def _again(counts: tuple[int, int]) -> list[str]:
    return [sys.executable, *sys.argv, "--bare", str(counts[0]), str(counts[1])]


def _ours(
    arguments: argparse.Namespace, work: Path, number: int
) -> tuple[dict[str, float], float, tuple[int, int]]:
    """Return the seconds of the trial and of the whole process, and the numbers of images."""
    protocol = write_protocol(
        work / "limit.toml", arguments.head_epochs, arguments.fine_tune_epochs
    )
    options = ["--backbones", arguments.backbone, "--weights", arguments.weights]
    options += ["--dataset", arguments.folder, "--protocol", str(protocol)]
    options += ["--input-size", str(arguments.input_size), "--cache", str(work / f"cache{number}")]
    options += ["--results", str(work / "results"), "--run", f"round{number}"]
    timing = run_bench(options)
    run = read_run(work / "results" / f"round{number}")
    seconds = run.records[0].seconds
    splits = run.dataset.splits
    counts = len(splits["train"]), sum(len(split) for split in splits.values())
    return (
        {name: seconds[name] for name in ("features", "compile", "train")},
        timing.seconds,
        counts,
    )


def _bare(arguments: argparse.Namespace, train: int, images: int) -> dict[str, float]:
    """Time the arithmetic alone, in plain TensorFlow functions on arrays of noise in memory."""
    import keras
    import numpy as np
    import tensorflow as tf

    from bench.models.network import Network, build_head, count_macs, weighted_loss
    from bench.protocol import Head, Phase, Unfreeze
    from bench.registry import BACKBONES, load_plugins

    load_plugins([], ["backbones"])
    network = Network(BACKBONES[arguments.backbone], arguments.input_size)
    head = build_head(Head(dropout=0.2), network.features_shape, 2)
    batch = 32
    size = arguments.input_size
    pixels = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), dtype="uint8")

    def loop(cut: str, phase: Phase) -> float:
        network.unfreeze(phase)
        tail = network.tail(cut, head, phase)
        optimizer = keras.optimizers.Adam(phase.learning_rate)
        optimizer.build(tail.trainable_variables)
        rows = tf.random.uniform((train, *network.shape(cut)))
        labels = tf.zeros(train, "int32")

        @tf.function(jit_compile=False)  # type: ignore[untyped-decorator]
        def step(indices: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                logits = tail(tf.gather(rows, indices), training=True)
                value = weighted_loss(tf.gather(labels, indices), logits, tf.ones(batch))
            variables = tail.trainable_variables
            optimizer.apply(tape.gradient(value, [v.value for v in variables]), variables)
            return value

        step(tf.range(batch))
        start = time.perf_counter()
        for _ in range(phase.epochs):
            order = tf.random.shuffle(tf.range(train))
            for first in range(0, train, batch):
                value = step(tf.roll(order, -first, 0)[:batch])
        float(value)
        return time.perf_counter() - start

    whole = network.submodel("pixels", ["features"])
    forward = tf.function(lambda x: whole(x, training=False), jit_compile=False)
    forward(pixels)
    start = time.perf_counter()
    for _ in range(-(-images // batch)):
        np.asarray(forward(pixels)[0])
    seconds = {"forward": time.perf_counter() - start}

    frozen = Phase("head", epochs=arguments.head_epochs, learning_rate=1e-3)
    seconds["train"] = loop("features", frozen)
    tuned = Phase(
        "tune", arguments.fine_tune_epochs, learning_rate=1e-5, unfreeze=Unfreeze("stages", 1)
    )
    cut = network.unfreeze(tuned)
    seconds["train"] += loop(cut, tuned) if tuned.epochs else 0.0

    of_tail = count_macs(network.submodel(cut, ["features"])) if tuned.epochs else 0
    steps = -(-train // batch) * batch * tuned.epochs
    matrix = tf.random.uniform((MATRIX, MATRIX))
    product = tf.function(lambda: tf.reduce_sum(tf.linalg.matmul(matrix, matrix)))
    float(product())
    start = time.perf_counter()
    for _ in range(10):
        float(product())
    peak = 10 * 2 * MATRIX**3 / (time.perf_counter() - start) / 1e9
    return seconds | {
        "forward_gflops": 2 * count_macs(whole) * images / seconds["forward"] / 1e9,
        # Forward, and twice as much backward: to the input and to the weights.
        "train_gflops": 6 * of_tail * steps / seconds["train"] / 1e9,
        "peak_gflops": peak,
    }


if __name__ == "__main__":
    main()
