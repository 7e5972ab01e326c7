"""`list` on a narrow terminal: what is there to be typed can be read."""

from __future__ import annotations

import json

import pytest

from bench.cli.main import main
from bench.errors import Exit
from bench.protocol import protocol_names
from bench.registry import BACKBONES


@pytest.mark.parametrize("columns", [60, 80, 200])
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
    assert words >= {*BACKBONES.names, *protocol_names(), "tfds:NAME"}


def test_json_has_what_the_table_leaves_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"], packages=["backbones"]) == Exit.DONE
    (resnet,) = (
        backbone
        for backbone in json.loads(capsys.readouterr().out)["backbones"]
        if backbone["name"] == "resnet50"
    )
    assert resnet["weights"].endswith("resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5")
