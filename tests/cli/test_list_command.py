"""`list`: names stay readable on a narrow terminal; figures, weights and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.cli.main import main
from bench.errors import Exit
from bench.protocol import protocol_names
from bench.registry import BACKBONES, load_plugins

load_plugins(packages=["backbones"])


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_no_name_is_cut(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["list"], packages=["backbones"]) == Exit.DONE
    told = capsys.readouterr().out
    lines = told.splitlines()
    assert max(map(len, lines)) <= columns
    assert "…" not in told
    words = {line.split()[0] for line in lines if line.strip()}
    families = {backbone.name for backbone in BACKBONES if backbone.in_all}
    assert words >= {*families, *protocol_names(), "tfds:NAME"}
    assert "convnext_tiny" not in words
    assert f"{len(BACKBONES) - len(families)} more: `list zoo`, `list 'resnet*'`" in lines


def test_on_a_narrow_terminal_a_backbone_is_a_line_of_whole_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def lines(columns: int) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(columns))
        assert main(["list", "vgg16", "efficientnetv2b0"], packages=["backbones"]) == Exit.DONE
        return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]

    narrow = lines(40)
    assert narrow[1:4] == [
        "name px weights",
        "vgg16 224 to download",
        "efficientnetv2b0 224 to download",
    ]
    assert " ".join(narrow[4:]).strip() == (
        "too narrow for million parameters, GMACs, published top-1, in `all`: --json has all"
    )
    assert "vgg16 224 14.71 71.3 to download" in lines(60)
    assert "vgg16 224 14.71 15.35 71.3 yes to download" in (wide := lines(80))
    assert "no room" not in " ".join(wide)


@pytest.mark.usefixtures("tiny_backbone")
def test_a_plugin_without_weights_lacks_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "tiny"], packages=["backbones"]) == Exit.DONE
    assert capsys.readouterr().out.split()[-1] == "none"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("densenet*,vgg16", ["densenet121", "densenet169", "densenet201", "vgg16"]),
        ("vgg19", ["vgg19"]),
        ("zoo", [*BACKBONES.names]),
    ],
)
def test_only_the_named_backbones_are_listed(
    names: str, expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", names], packages=["backbones"]) == Exit.DONE
    title, *lines = capsys.readouterr().out.rstrip().splitlines()
    assert title.strip() == "backbones"
    assert [line.split()[0] for line in lines if not line.startswith((" ", "name"))] == expected


def test_several_words_and_one_list_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "vgg16", "vgg19", "--json"], packages=["backbones"]) == Exit.DONE
    named = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in named["backbones"]] == ["vgg16", "vgg19"]
    assert main(["list", "protocol", "formats", "--json"], packages=["backbones"]) == Exit.DONE
    lists = json.loads(capsys.readouterr().out)
    assert set(lists) == {"protocols", "export formats"}
    assert [row["name"] for row in lists["protocols"]] == [*protocol_names()]


@pytest.mark.usefixtures("tiny_backbone")
def test_published_figures_and_blanks_where_none_are_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = "efficientnet_lite0,vgg16,tiny"
    assert main(["list", names], packages=["backbones"]) == Exit.DONE
    *_, lite, vgg16, tiny, _ = (line.split() for line in capsys.readouterr().out.splitlines())
    assert vgg16[:5] == ["vgg16", "224", "14.71", "15.35", "71.3"]
    assert lite[:5] == ["efficientnet_lite0", "224", "3.41", "0.38", "75.1"]
    assert tiny[0] == "tiny"
    assert tiny[4] == "-"


def test_only_a_plugin_may_lack_a_figure() -> None:
    shown = ("parameters", "gmacs", "top1")
    assert not [
        (backbone.name, name)
        for backbone in BACKBONES
        for name in shown
        if getattr(backbone, name) is None
    ]


def test_json_has_what_the_table_leaves_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"], packages=["backbones"]) == Exit.DONE
    (resnet,) = (
        backbone
        for backbone in json.loads(capsys.readouterr().out)["backbones"]
        if backbone["name"] == "resnet50"
    )
    assert resnet["weights"].endswith("resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5")
