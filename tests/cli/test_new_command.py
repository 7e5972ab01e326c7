"""`new`: the plugin is written, is correct, is checked, and replaces no file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.cli.main import main
from bench.errors import Exit
from bench.registry import BACKBONES, load_plugins

pytestmark = pytest.mark.slow  # it loads a framework

load_plugins(packages=["backbones"])  # once in a process: not to be removed by a test
OWN = ("--from", "tiny:build", "--preprocess", "tiny:preprocess", "--input-size", "48")


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    before = BACKBONES.snapshot()
    yield
    for name in set(BACKBONES.names) - set(before):
        BACKBONES.remove(name)


def test_a_network_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "my_tiny", *OWN, "--output", "my plugin.py"]) == Exit.DONE
    told = capsys.readouterr().out
    assert "3 stages found: one_add, three_join, four_add" in told
    assert "10 of 10 passed" in told
    assert "--plugin 'my plugin.py' --backbones all,my_tiny\n" in told
    assert "check my_tiny --plugin 'my plugin.py'\n" in told
    plugin = Path("my plugin.py").read_text(encoding="utf-8")
    assert plugin.splitlines()[3:-1] == [
        "BACKBONES.add(",
        "    Backbone(",
        '        name="my_tiny",',
        '        build="tiny:build",',
        '        preprocess="tiny:preprocess",',
        "        input_size=48,",
        "    )",
    ]
    assert BACKBONES["my_tiny"].input_size == 48


def test_values_of_keras_networks_are_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.cli.commands.check_command.check_all", lambda *given: 1)
    words = ["new", "mine", "--from", "keras.applications:Xception"]
    assert main(words, packages=["backbones"]) == Exit.ERROR  # as the checks say
    assert Path("mine.py").read_text(encoding="utf-8").splitlines()[5:-2] == [
        '        name="mine",',
        '        build="keras.applications:Xception",',
        '        preprocess="keras.applications.xception:preprocess_input",',
        "        input_size=299,",
        '        weights="imagenet",',
        "        minimum_size=71,",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tiny", *OWN], "backbone 'tiny' exists already; choose another name."),
        (["a/b", *OWN], "NAME 'a/b' may have letters, digits"),
        (["there", *OWN], "there.py exists already; remove it, or give another --output."),
        (["mine", "--from", "tiny:nothing"], "--from 'tiny:nothing' cannot be found"),
        (["mine", "--from", "nowhere:build"], "--from 'nowhere:build' cannot be found"),
        (["mine", "--from", "tiny"], "reference 'tiny' has no ':'"),
        (["mine", "--from", "tiny:build"], "no network of keras.applications; give --preprocess"),
    ],
)
@pytest.mark.usefixtures("tiny_backbone")
def test_wrong_arguments_write_nothing(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("there.py").write_text("mine")
    assert main(["new", *words]) != Exit.DONE
    assert said in capsys.readouterr().err
    assert [(path.name, path.read_text()) for path in Path().iterdir()] == [("there.py", "mine")]
