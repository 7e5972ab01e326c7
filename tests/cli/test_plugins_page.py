"""docs/plugins.md: its plugins are what `new` writes and `check` passes, its output is real."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from user import ROOT, User, process

from bench.cli.commands import check_command
from bench.cli.main import main
from bench.errors import Exit
from bench.registry import BACKBONES, load_plugins

pytestmark = pytest.mark.slow  # it loads a framework

load_plugins(packages=["backbones"])  # once in a process: not to be removed by a test
PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```python\n# (\S+\.py)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
COMMANDS = re.findall(
    r"^(?:KERAS_BACKEND=torch )?python run_bench.py ([^#\n]*)", PAGE, re.MULTILINE
)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    before = set(BACKBONES.names)
    yield
    for name in set(BACKBONES.names) - before:
        BACKBONES.remove(name)


def test_what_new_writes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checked: list[str] = []

    def check(console: object, backbones: list[object], *options: object) -> int:
        checked.extend(str(backbone.name) for backbone in backbones)  # type: ignore[attr-defined]
        return 0

    monkeypatch.setattr(check_command, "check_all", check)
    [new] = [command for command in COMMANDS if command.startswith("new ")]
    assert main(shlex.split(new)) == Exit.DONE
    assert checked == ["my_convnext"]
    assert Path("my_convnext.py").read_text(encoding="utf-8") == FILES["my_convnext.py"]
    told = capsys.readouterr().out
    for command in ("--plugin my_convnext.py --backbones", "check my_convnext --plugin"):
        [line] = [line for line in COMMANDS if line.startswith(command)]
        assert line.strip() in told
    [listing] = [command for command in COMMANDS if command.startswith("list my_convnext")]
    assert main(shlex.split(listing)) == Exit.DONE
    assert "my_convnext  224" in capsys.readouterr().out


def test_a_network_of_ones_own_passes_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    Path("small.py").write_text(FILES["small.py"], encoding="utf-8")
    [check] = [command for command in COMMANDS if command.startswith("check small")]
    assert main(shlex.split(check)) == Exit.DONE
    told = capsys.readouterr().out
    assert "10 of 10 passed" in told
    [shown] = re.findall(r"here `(re_lu@.*?)`", PAGE)
    assert f"3 stages found: {shown}\n" in told


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
def test_a_network_of_pytorch_passes_every_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    Path("torch_net.py").write_text(FILES["torch_net.py"], encoding="utf-8")
    [check] = [command for command in COMMANDS if command.startswith("check torch_net")]
    ended = process(tmp_path, *User.program, *shlex.split(check))
    assert "10 of 10 passed" in ended.stdout, ended.stdout + ended.stderr
    assert "3 stages found: part0, part1, part2\n" in ended.stdout
