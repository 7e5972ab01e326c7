"""Compare the harness with a plain Keras loop: same folder and protocol, whole processes in turns.

    python benchmarks/compare.py FOLDER --backbone mobilenetv2 --input-size 160 --rounds 3

FOLDER is any folder that the harness reads. Both sides get the same three splits, batch size,
precision, threads and epochs; ours starts from an empty cache every round. Times run from the start
of the process, imports included, to the line with the final test accuracy.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ours import ROOT, run_bench, timed, write_protocol

from bench.data.sources import list_dataset
from bench.storage.cache import Store
from bench.storage.records import read_run


@dataclass(frozen=True)
class Round:
    """One process, from its start to the final test accuracy."""

    seconds: float
    accuracy: float
    val_accuracy: float
    peak_mb: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backbone", default="mobilenetv2")
    parser.add_argument("--weights", choices=("imagenet", "random"), default="imagenet")
    parser.add_argument("--input-size", type=int, default=160)
    parser.add_argument("--head-epochs", type=int, default=10)
    parser.add_argument("--fine-tune-epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--flip", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vary-seed", action="store_true", help="another seed every round")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        _three_splits(arguments.folder, work / "data", work)
        plain, ours = [], []
        for number in range(arguments.rounds):
            seed = number if arguments.vary_seed else 0
            plain.append(_plain(arguments, work, seed))
            ours.append(_ours(arguments, work, number, seed))
            print(f"round {number + 1}: plain {plain[-1]}\n         ours  {ours[-1]}", flush=True)
    _summary(plain, ours)


def _three_splits(folder: Path, target: Path, work: Path) -> None:
    """Link the images into the harness's own three splits, so that both sides use the same ones."""
    listing = list_dataset(str(folder), store=Store(work / "listing"))
    for split, images in listing.splits.items():
        for image in images:
            link = target / split / listing.classes[image.label] / Path(image.id).name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to((folder / image.id).resolve())


def _plain(arguments: argparse.Namespace, work: Path, seed: int) -> Round:
    command = [sys.executable, str(ROOT / "benchmarks" / "plain_keras.py"), str(work / "data")]
    for name in ("backbone", "weights", "input_size", "head_epochs", "fine_tune_epochs"):
        command += [f"--{name.replace('_', '-')}", str(getattr(arguments, name))]
    command += ["--batch-size", str(arguments.batch_size), "--seed", str(seed)]
    command += ["--flip"] if arguments.flip else []
    run = timed(command, '"accuracy"', watched=True)
    result = json.loads(run.line)
    return Round(run.seconds, result["accuracy"], result["val_accuracy"], run.peak_mb)


def _ours(arguments: argparse.Namespace, work: Path, number: int, seed: int) -> Round:
    head, fine_tune = arguments.head_epochs, arguments.fine_tune_epochs
    protocol = write_protocol(work / "plain.toml", head, fine_tune, flip=arguments.flip)
    command = ["--backbones", arguments.backbone, "--weights", _weights(arguments.weights)]
    command += ["--dataset", str(work / "data"), "--protocol", str(protocol)]
    command += ["--input-size", str(arguments.input_size), "--seed", str(seed)]
    command += ["--batch-size", str(arguments.batch_size)]
    command += ["--cache", str(work / f"cache{number}"), "--run", f"round{number}"]
    command += ["--results", str(work / "results")]
    timing = run_bench(command, watched=True)
    run = read_run(work / "results" / f"round{number}")
    record = run.records[0]
    if record.status != "ok":
        sys.exit(f"ours failed: {record.reason}")
    epoch = record.phases[-1].epochs[-1]
    arrays = run.evidence[0].arrays
    right = arrays["test_probabilities"].argmax(axis=1) == arrays["test_labels"]
    return Round(timing.seconds, float(right.mean()), epoch.val_accuracy, timing.peak_mb)


def _weights(choice: str) -> str:
    # A file in Keras' cache counts as pretrained for the plain loop, whatever its checksum.
    return "auto" if choice == "imagenet" else choice


def _summary(plain: list[Round], ours: list[Round]) -> None:
    def median(rounds: list[Round], field: str) -> float:
        return float(statistics.median(getattr(r, field) for r in rounds))

    print(f"{'median of ' + str(len(plain)):24}{'plain':>10}{'ours':>10}{'plain/ours':>12}")
    for field in ("seconds", "accuracy", "val_accuracy", "peak_mb"):
        a, b = median(plain, field), median(ours, field)
        print(f"{field:24}{a:10.3f}{b:10.3f}{a / b:12.2f}")
    ratios = sorted(p.seconds / o.seconds for p, o in zip(plain, ours, strict=True))
    print("ratio by round          " + "  ".join(f"{r:.2f}" for r in ratios))


if __name__ == "__main__":
    main()
