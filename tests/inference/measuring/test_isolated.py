"""A pool of single-use processes, created by a Python process that has loaded no framework:
this one's threads must not be forked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="forks, and resets peaks"),
]

ROOT = Path(__file__).resolve().parents[3]
WORK = """
import os, signal
from bench.inference.measuring.memory import IsolatedProcesses
from bench.inference.measuring.memory import measure_growth
from bench.system.memory import peak_memory

def take(megabytes):
    with measure_growth() as grown:
        bytearray(b"x") * (megabytes * 10**6)
    return grown.nbytes

def fail():
    raise ValueError("it cannot be done")

def die():
    os.kill(os.getpid(), signal.SIGKILL)

isolated = IsolatedProcesses()
"""


def python(more: str) -> subprocess.CompletedProcess[str]:
    """Run the code until all processes that hold its output have ended."""
    return subprocess.run(
        [sys.executable, "-c", WORK + more], cwd=ROOT, capture_output=True, text=True, check=True
    )


def test_memory_freed_by_one_piece_of_work_is_counted_again_for_the_next() -> None:
    found = python(
        "for m in (100, 50, 100): isolated.submit(take, m)\n"
        "for _ in range(3): print(isolated.result())"
    )
    megabytes = [int(line) / 1e6 for line in found.stdout.split()]
    assert megabytes == pytest.approx([100, 50, 100], abs=2)


def test_work_that_raises_or_dies_returns_none_and_the_next_is_done() -> None:
    found = python(
        "for work in (fail, die, os.getpid, os.getpid): isolated.submit(work)\n"
        "print(*(isolated.result() for _ in range(4)))"
    )
    failed, died, one, other = found.stdout.split()
    assert (failed, died) == ("None", "None")
    assert one != other
    assert "ValueError: it cannot be done" in found.stderr


def test_results_of_concurrent_work_come_in_order(tmp_path: Path) -> None:
    """The first ends only after the second, so they must run at the same time."""
    found = python(
        "import time\n"
        "from pathlib import Path\n"
        f"ended = Path({str(tmp_path / 'ended')!r})\n"
        "def first():\n"
        "    for _ in range(3000):\n"
        "        if ended.exists(): return 'first'\n"
        "        time.sleep(0.01)\n"
        "def second():\n"
        "    ended.touch()\n"
        "    return 'second'\n"
        "two = IsolatedProcesses(at_once=2)\n"
        "for work in (first, second, second): two.submit(work)\n"
        "print(*(two.result() for _ in range(3)))"
    )
    assert found.stdout.split() == ["first", "second", "second"]


def test_the_peak_of_a_process_excludes_its_parent() -> None:
    child = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    child += "from bench.system.memory import peak_memory\nprint(peak_memory())"
    found = python(
        "import subprocess, sys\n"
        "large = bytearray(b'x') * 3 * 10**8\n"
        f"subprocess.run([sys.executable, '-c', {child!r}])"
    )
    assert 5e6 < int(found.stdout) < 200e6
