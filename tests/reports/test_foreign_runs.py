"""A run's folder may come from anyone: no command imports what it names."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from synthetic import Net, make_run

from bench.cli.main import main
from bench.errors import BenchError
from bench.execution.request import RunRequest
from bench.models.rebuild import keras_backend_of
from bench.registry import BACKBONES
from bench.storage.records import read_run
from bench.system.plugin_files import remember_plugins


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A user who has run nothing yet."""
    monkeypatch.setenv("BACKBONE_BENCH_STATE", str(tmp_path / "state"))
    yield
    BACKBONES.remove("plugged")


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """Leaves a file when it is imported."""
    path = tmp_path / "plug.py"
    path.write_text(
        "from pathlib import Path\n"
        "from bench.registry import BACKBONES\n"
        "from bench.types import Backbone\n"
        f"Path({str(tmp_path / 'imported')!r}).touch()\n"
        "BACKBONES.add(Backbone('plugged', 'a:b', 'a:b', 32, ('end',)))\n"
    )
    return path


def shared(results: Path, plugin: str | None = None, dataset: str = "gone") -> Path:
    plugins = (Path(plugin),) if plugin else ()
    request = RunRequest(backbones="plugged", dataset=dataset, plugins=plugins)
    return make_run(results / "r", [Net("plugged")], request=request.data())


def test_verify_imports_only_plugins_that_this_user_has_run(
    tmp_path: Path, plugin: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    shared(results, str(plugin))
    words = ["verify", "r", "--results", str(results)]
    copy = tmp_path / "copies" / "plug.py"
    copy.parent.mkdir()
    shutil.copy(plugin, copy)
    remember_plugins([copy])

    assert main(words) == 2
    said = capsys.readouterr().err
    assert f"the plugin {str(plugin)!r}, which is not imported" in said
    assert "give it with --plugin" in said
    content = plugin.read_text()
    plugin.write_text(content + "# as it was, when this user ran it\n")
    remember_plugins([plugin])
    plugin.write_text(content)
    assert main(words) == 2
    assert not (tmp_path / "imported").exists()

    remember_plugins([plugin])
    capsys.readouterr()
    assert main(words) == 1
    assert "no data set 'gone'" in capsys.readouterr().err
    assert (tmp_path / "imported").exists()


def test_a_plugin_that_the_user_names_is_imported(
    tmp_path: Path, plugin: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    shared(results, "somebody_elses.py")

    assert main(["verify", "r", "--results", str(results), "--plugin", str(plugin)]) == 1
    assert "no data set 'gone'" in capsys.readouterr().err
    assert (tmp_path / "imported").exists()


@pytest.mark.parametrize(
    "words", [["predict", "r", "plugged", __file__], ["export", "r", "plugged"]]
)
def test_other_commands_do_not_even_look_for_recorded_plugins(
    tmp_path: Path, plugin: Path, words: list[str]
) -> None:
    results = tmp_path / "results"
    shared(results, str(plugin))
    remember_plugins([plugin])

    assert main([*words, "--results", str(results)]) == 1
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize(
    ("dataset", "refused"),
    [
        ("tfds:huggingface:somebodys", True),
        ("tfds:kubric:somebodys/a:1.0.0", True),
        ("tfds:mnist/data_dir=elsewhere", True),
        ("elsewhere", False),
    ],
)
def test_collections_that_are_code_are_not_loaded(
    tmp_path: Path, plugin: Path, dataset: str, refused: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    shared(results, dataset=dataset)

    words = ["verify", "r", "--results", str(results), "--plugin", str(plugin)]
    assert main(words) == 1
    assert ("it is not loaded, since the run" in capsys.readouterr().err) == refused


@pytest.mark.parametrize(
    "request_", [None, "--dataset x", {"dataset": 7}, {"plugins": "p.py"}, {"limit": "all"}]
)
def test_a_request_of_another_format_is_refused(
    tmp_path: Path, request_: object, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "r", [Net("plugged")], request=request_)

    assert main(["verify", "r", "--results", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: run.json of r does not hold the run's request")


def test_an_unknown_keras_backend_is_refused(tmp_path: Path) -> None:
    (record,) = read_run(make_run(tmp_path / "r", [Net("one")])).records
    assert keras_backend_of(record) == "tensorflow"
    record.environment["keras_backend"] = "somebodys.module"  # type: ignore[index]

    with pytest.raises(BenchError, match=r"'somebodys.module'; known are tensorflow, jax, torch"):
        keras_backend_of(record)
