"""Measure the costs of more seeds, and of a later run with another seed.

    python benchmarks/seeds.py FOLDER --backbone mobilenetv2 --input-size 160 --rounds 3

Times one seed and five, in turns, from cold caches: of the head phase alone, and of the whole
protocol; to the last accuracy, and to the end of the command with its timing and reports. Then a
run with a new seed on warm caches: its seconds by part.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from ours import Timed, run_bench, write_protocol

from bench.storage.records import read_run

SEEDS = "5"
NEW_SEED = "77"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--backbone", default="mobilenetv2")
    parser.add_argument("--input-size", default="160")
    parser.add_argument("--epochs", type=int, default=10, help="of each phase")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        head = write_protocol(work / "head.toml", arguments.epochs, 0)
        both = write_protocol(work / "both.toml", arguments.epochs, arguments.epochs)
        for protocol in (head, both):
            trained, whole = [], []
            for number in range(arguments.rounds):
                name = f"{protocol.stem}{number}"
                one = _run(arguments, work, protocol, f"{name}-one", ["--seeds", "1"])
                five = _run(arguments, work, protocol, f"{name}-five", ["--seeds", SEEDS])
                trained.append(five.seconds / one.seconds)
                whole.append(five.whole_seconds / one.whole_seconds)
                print(
                    f"{name}: 1 seed {one.seconds:.1f} s ({one.whole_seconds:.1f} s), {SEEDS} "
                    f"seeds {five.seconds:.1f} s ({five.whole_seconds:.1f} s)",
                    flush=True,
                )
            print(
                f"{protocol.stem}: {SEEDS} seeds over 1, median {statistics.median(trained):.2f}, "
                f"of the whole command {statistics.median(whole):.2f}",
                flush=True,
            )
        _run(arguments, work, both, "warm", ["--seed", NEW_SEED], cache="both0-five")
        seconds = read_run(work / "results" / "warm").records[0].seconds
        reused = seconds["data"] + seconds["features"] - seconds["reused"]
        parts = "  ".join(f"{name} {value:.2f}" for name, value in seconds.items())
        print(f"another seed on warm caches, as from cold: {parts}")
        print(f"spent on decoding and frozen passes: {reused:.2f} s")


def _run(
    arguments: argparse.Namespace,
    work: Path,
    protocol: Path,
    name: str,
    options: list[str],
    cache: str | None = None,
) -> Timed:
    common = ["--backbones", arguments.backbone, "--dataset", arguments.folder]
    common += ["--protocol", str(protocol), "--input-size", arguments.input_size]
    common += ["--results", str(work / "results"), "--run", name]
    return run_bench([*common, "--cache", str(work / (cache or name)), *options])


if __name__ == "__main__":
    main()
