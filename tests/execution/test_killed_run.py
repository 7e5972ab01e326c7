"""A run killed by SIGKILL at any time: no result is lost or counted twice."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import user as user_file
from user import PLUGINS, User

from bench.storage.records import read_records

pytestmark = pytest.mark.slow  # it loads a framework

SEEDS = ("--seeds", "8")
KILLS = 5


def test_a_run_killed_at_any_time_resumes(tmp_path: Path) -> None:
    user = User(tmp_path)

    def command(name: str) -> list[str]:
        words = user.words("--plugin", str(PLUGINS), "--run", name, *SEEDS)
        return [sys.executable, user_file.__file__, *words]

    begun = time.monotonic()
    subprocess.run(command("whole"), check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - begun
    rng = np.random.default_rng(0)
    kills = 0
    for _ in range(KILLS):
        with subprocess.Popen(command("killed"), stdout=subprocess.DEVNULL) as process:
            try:
                # The images are decoded already, so kill early the first time, before the run ends.
                process.wait(rng.uniform(0.1, 0.9 if kills else 0.3) * seconds)
                break
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
    assert kills > 0
    subprocess.run(command("killed"), check=True, stdout=subprocess.DEVNULL)
    assert sorted(r.trial.seed for r in read_records(user.results / "killed")) == list(range(8))
    whole, killed = (
        {e.record.trial.seed: e.arrays for e in user.load(name).evidence}
        for name in ("whole", "killed")
    )
    for seed, arrays in whole.items():
        assert arrays.keys() == killed[seed].keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, killed[seed][name])
    assert not list(user.results.rglob(".*.*-*"))
