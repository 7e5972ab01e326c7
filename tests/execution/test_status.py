"""The status of a run: while it is running, and after every way to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import user as user_file
from scripted_executor import Outcome, ScriptedExecutor
from user import Ended, User, in_process

from bench.errors import UsageError
from bench.execution.status import FILE, Status, read_status
from bench.storage.run_folder import find_run
from bench.training.job import Job
from bench.types import Trial

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny_backbone")]


def status(user: User, *words: str) -> Ended:
    return in_process(user.home, "status", *words, "--results", str(user.results))


def files(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_status_while_running(tmp_path: Path) -> None:
    user, seen = User(tmp_path), list[Status]()

    def script(job: Job, trial: Trial) -> Outcome:
        seen.append(read_status(user.results / "r"))
        return "failed" if trial.seed == 1 else "ok"

    user.main("--seeds", "3", executor=ScriptedExecutor(script))
    assert [(one.state, one.done, one.failed, one.left) for one in seen] == [
        ("running", 0, 0, 3),
        ("running", 1, 0, 2),
        ("running", 1, 1, 1),
    ]
    assert all(one.elapsed_seconds is not None for one in seen)


def test_status_of_a_finished_run(tmp_path: Path) -> None:
    user = User(tmp_path)
    executor = ScriptedExecutor(lambda job, trial: "failed" if trial.seed else "ok")
    user.main("--seeds", "2", executor=executor)
    before = files(user.results)
    ended = status(user)
    lines = [line.split(maxsplit=1) for line in ended.stdout.splitlines()]
    told = dict(lines)
    assert told["run"].startswith("r, finished after ")
    assert told["trials"] == "1 of 2 done, 1 failed, 0 left"
    assert told["continue"].startswith("backbone-bench run --backbones tiny --dataset")
    assert told["report"] == f"{user.results / 'r'}/report.html"
    assert ended.returncode == 0
    assert json.loads(status(user, "r", "--json").stdout)["failed"] == 1
    assert files(user.results) == before


def test_the_command_to_continue_names_the_moved_results_folder(tmp_path: Path) -> None:
    user = User(tmp_path)
    user.main(executor=ScriptedExecutor(lambda job, trial: KeyboardInterrupt()))
    assert f"--results {user.results}" in status(user).stdout
    elsewhere = tmp_path / "elsewhere"
    user.results.rename(elsewhere)
    told = in_process(user.home, "status", "r", "--results", str(elsewhere)).stdout
    assert f"--results {elsewhere}" in told
    assert str(user.results) not in told


def test_status_after_an_interrupt_and_an_error(tmp_path: Path) -> None:
    user = User(tmp_path)
    user.main(executor=ScriptedExecutor(lambda job, trial: KeyboardInterrupt()))
    assert status(user).stdout.startswith("run       r, interrupted after ")
    user.main(executor=ScriptedExecutor(lambda job, trial: ValueError("no such thing")))
    told = status(user).stdout
    assert told.startswith("run       r, ended by an error after ")
    assert "error     ValueError: no such thing\n" in told
    user.main()
    told = status(user).stdout
    assert "trials    1 of 1 done, 0 left" in told
    assert "continue" not in told


def test_status_after_a_kill(tmp_path: Path) -> None:
    user = User(tmp_path)
    words = user.words("--plugin", str(user_file.PLUGINS), "--seeds", "2")
    code = (
        "import sys\n"
        "from scripted_executor import HANGS, ScriptedExecutor\n"
        "from bench.cli.main import main\n"
        "def script(job, trial):\n"
        "    if trial.seed == 1:\n"
        "        print('hangs', flush=True)\n"
        "    return HANGS if trial.seed == 1 else 'ok'\n"
        "main(sys.argv[1:], executor=ScriptedExecutor(script))\n"
    )
    paths = os.pathsep.join([str(user_file.ROOT), str(user_file.ROOT / "tests" / "helpers")])
    with subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    ) as process:
        assert process.stdout is not None
        while process.stdout.readline() not in ("hangs\n", ""):
            pass
        running = read_status(user.results / "r")
        os.kill(process.pid, signal.SIGKILL)
    assert (running.state, running.done, running.left) == ("running", 1, 1)
    killed = status(user).stdout
    assert killed.startswith("run       r, killed, or the machine went down, after about ")
    assert "trials    1 of 2 done, 1 left" in killed
    assert "continue " in killed


def test_status_of_a_run_of_an_earlier_version(tmp_path: Path) -> None:
    user = User(tmp_path)
    user.main()
    (user.results / "r" / FILE).unlink()
    assert status(user).stdout.startswith(
        "run       r, made by a version that recorded no progress"
    )
    (user.results / "r" / FILE).write_text("{")
    ended = status(user)
    assert ended.returncode == 1
    assert "progress.json is damaged" in ended.stderr


def test_status_without_any_run(tmp_path: Path) -> None:
    ended = in_process(tmp_path, "status")
    assert (ended.returncode, ended.stderr) == (2, "error: there is no run in results yet.\n")


def test_latest_needs_a_finished_run(tmp_path: Path) -> None:
    user = User(tmp_path)
    user.main()
    (user.results / "latest").unlink()
    (user.results / "r" / "report.md").unlink()
    ended = in_process(tmp_path, "report")
    said = "error: no run in results has finished yet; `status r` shows its progress.\n"
    assert (ended.returncode, ended.stderr) == (2, said)


def test_only_a_file_named_latest_is_read_as_latest(tmp_path: Path) -> None:
    user = User(tmp_path)
    user.main()
    (user.results / "README.md").write_text("r\n")
    with pytest.raises(UsageError, match=r"there is no run 'README.md' in .* Known: r"):
        find_run(user.results, "README.md")
    (user.results / "latest").unlink()
    (user.results / "latest").write_text("r\nand more\n")
    assert find_run(user.results, "latest") == (user.results / "r").resolve()
    assert find_run(Path("elsewhere"), str(user.results / "latest")).name == "r"
