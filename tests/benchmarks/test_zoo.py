"""The page of the catalogue, and the command that makes it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import zoo
from user import ROOT

from bench.errors import UsageError
from bench.registry import BACKBONES, load_plugins

load_plugins(packages=["backbones"])
ROW = {"name": "net", "px": 64, "parameters": 12_345_678, "gmacs": 0.0123, "stages": ["a", "b"]}


def test_the_page_has_every_backbone_with_what_is_declared_of_it() -> None:
    page = (ROOT / "docs" / "zoo.md").read_text(encoding="utf-8")
    table = page.partition(zoo.BEGIN)[2].partition(zoo.END)[0]
    rows = [line.strip("| ").split(" | ") for line in table.strip().splitlines()]
    shown = {row[0]: row[1:4] for row in rows[2:]}
    assert shown.keys() == set(BACKBONES.names)
    for backbone in BACKBONES:
        size, parameters, gmacs = shown[backbone.name]
        assert int(size) == backbone.input_size
        assert float(parameters) == pytest.approx((backbone.parameters or 0) / 1e6, rel=0.005)
        assert float(gmacs) == pytest.approx(backbone.gmacs, rel=0.02)
    assert all(1 <= int(row[4]) <= 6 for row in rows[2:])


def test_the_table_of_a_page_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{zoo.BEGIN}\nold\n{zoo.END}\nafter\n")
    monkeypatch.setattr(zoo, "_in_a_process", lambda name, arguments: ROW | {"faults": []})
    monkeypatch.setattr(sys, "argv", ["zoo.py", "vgg16", "--page", str(page)])
    assert zoo.main() == 0
    table = (
        "| backbone | px | parameters (M) | GMACs | stages |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
        "| net | 64 | 12.3 | 0.0123 | 2 |"
    )
    assert page.read_text() == f"before\n{zoo.BEGIN}\n{table}\n{zoo.END}\nafter\n"
    assert "vgg16: as declared\n    a, b\n" in capsys.readouterr().err

    page.write_text("no table\n")
    with pytest.raises(UsageError, match="has no lines"):
        zoo.main()
    monkeypatch.setattr(zoo, "_in_a_process", lambda name, arguments: {"faults": ["it is odd"]})
    monkeypatch.setattr(sys, "argv", ["zoo.py", "vgg16"])
    assert zoo.main() == 1
    assert "vgg16: it is odd\n" in capsys.readouterr().err
