"""The memory that a block takes, each in a process that has done nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="resets peaks")]

ROOT = Path(__file__).resolve().parents[3]
BEGIN = """
import mmap, time
from bench.inference.measuring.memory import measure_growth
MB = 10**6

def read(path):
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    return mapped, sum(mapped[::4096])

"""


def _megabytes(block: str, before: str = "") -> float:
    program = (
        f"{BEGIN}{before}\nwith measure_growth() as grown:\n    {block}\nprint(grown.nbytes / MB)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def test_an_empty_block_takes_no_memory() -> None:
    assert _megabytes("pass") < 0.5


def test_kept_and_freed_memory_both_count() -> None:
    assert _megabytes("kept = bytearray(20 * MB)") == pytest.approx(20, abs=0.5)
    # Too short for a look from time to time, but the system notices.
    assert _megabytes("bytearray(b'x') * (50 * MB)") == pytest.approx(50, abs=0.5)


def test_a_file_counts_if_it_is_mapped_in_the_block(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"x" * 30 * 10**6)
    assert _megabytes(f"kept = read({str(path)!r})") == pytest.approx(30, abs=0.5)
    # As a library is: mapped before, and touched only now.
    before = f"file = open({str(path)!r}, 'rb')\n"
    before += "mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)"
    assert _megabytes("sum(mapped[::4096])", before) < 0.5


def test_code_that_becomes_resident_after_the_peak_does_not_hide_it(tmp_path: Path) -> None:
    path = tmp_path / "library.bin"
    path.write_bytes(b"x" * 30 * 10**6)
    before = f"file = open({str(path)!r}, 'rb')\n"
    before += "mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)"
    block = "kept = bytearray(b'x') * (40 * MB); time.sleep(1); del kept; sum(mapped[::4096])"
    assert _megabytes(block, before) == pytest.approx(40, abs=0.5)
