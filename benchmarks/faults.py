"""Inject faults, and test that no record is lost, doubled or wrong, and that errors are explained.

    python benchmarks/faults.py [--minutes 10 | --cases 40] [--seed 0] [--kinds NAME,NAME]
    python benchmarks/faults.py --seed 0 --kinds NAME --case 7      one case again
    python benchmarks/faults.py --list

Kills, damaged caches and run folders, full and read-only disks, two commands at once, and hostile
images, archives, names, weights and plugins, each in a home folder of its own. After each case, the
same command is repeated if that is the remedy. Then no record may be missing or doubled, arrays
other than timings must be identical to those of the undisturbed run, no traceback may be printed,
no process and no temporary file may remain, the user's files must be unchanged, and exit codes must
be the documented ones. Exits with 0 only if all of this held in every case. Linux only.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter

from fault_campaign.campaign import chosen_kinds, import_ahead, in_processes, prepared
from fault_campaign.case import Kind, Verdict, play

SHOWN = 2000  # characters of a problem
LONGEST = 300  # of what was done


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, metavar="N")
    parser.add_argument("--cases", type=int, metavar="N", help="so many, whatever they take")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of all that is chosen")
    parser.add_argument("--kinds", default="", metavar="NAMES", help="with commas (all)")
    parser.add_argument("--case", type=int, metavar="N", help="this one case of a kind")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="cases at once")
    parser.add_argument("--list", action="store_true", help="show the kinds there are")
    arguments = parser.parse_args()
    kinds = chosen_kinds([name for name in arguments.kinds.split(",") if name])
    if arguments.list:
        print("\n".join(one.name for one in kinds))
        return 0
    if arguments.case is not None:
        return _one(kinds, arguments.seed, arguments.case)
    tried: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    begun = time.monotonic()
    seconds = 60 * arguments.minutes if arguments.cases is None else math.inf
    for verdict in in_processes(kinds, arguments.seed, seconds, arguments.cases, arguments.jobs):
        tried[verdict.kind] += 1
        if verdict.problems:
            failed[verdict.kind] += 1
            _show(verdict, arguments.seed)
    for one in kinds:
        name = one.name
        survived = tried[name] - failed[name]
        print(f"{name:36} {tried[name]:5} tried {survived:5} survived {failed[name]:5} failed")
    minutes = (time.monotonic() - begun) / 60
    print(
        f"{tried.total()} cases in {minutes:.1f} minutes, seed {arguments.seed}: "
        f"{tried.total() - failed.total()} survived, {failed.total()} failed"
    )
    return 1 if failed or not tried else 0


def _one(kinds: list[Kind], seed: int, number: int) -> int:
    failed = False
    import_ahead()
    with prepared() as stage:
        for one in kinds:
            verdict = play(stage, one, seed, number)
            failed |= bool(verdict.problems)
            _show(verdict, seed)
    return int(failed)


def _show(verdict: Verdict, seed: int) -> None:
    state = "FAILED" if verdict.problems else "survived"
    print(f"{state} {verdict.kind} ({verdict.what[:LONGEST]}), {verdict.seconds:.1f} s")
    for problem in verdict.problems:
        print(f"    {problem[:SHOWN]}")
    kind, number = verdict.kind, verdict.number
    print(
        f"    python benchmarks/faults.py --seed {seed} --kinds {kind} --case {number}", flush=True
    )


if __name__ == "__main__":
    sys.exit(main())
