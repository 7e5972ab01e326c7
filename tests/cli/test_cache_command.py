"""`cache`: a summary by kind, each entry on request, and a clearing that leaves what is in use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.cli.main import main
from bench.storage.cache import Draft, Store


@pytest.fixture
def filled(store: Store) -> Store:
    """Two entries of images (1.0 and 2.0 MB), one of features (0.5 MB), one that is damaged, and
    an extracted archive (3.0 MB)."""

    def add(kind: str, name: str, nbytes: int) -> None:
        def fill(draft: Draft) -> dict[str, Any]:
            draft.append(np.zeros(nbytes, "uint8"))
            return {}

        store.get_or_create(kind, {"name": name}, name, nbytes, fill)

    for kind, name, nbytes in (
        ("images", "cats train", 1_000_000),
        ("images", "cats test", 2_000_000),
        ("features", "vgg16", 500_000),
    ):
        add(kind, name, nbytes)
    (store.root / "entries" / "features" / "foreign").mkdir()
    archive = store.root / "extracted" / "0123"
    archive.mkdir(parents=True)
    (archive / "a.png").write_bytes(bytes(3_000_000))
    return store


def _ask(store: Store, capsys: pytest.CaptureFixture[str], *words: str) -> list[list[str]]:
    assert main(["cache", *words, "--cache", str(store.root)]) == 0
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_a_summary_by_kind(filled: Store, capsys: pytest.CaptureFixture[str]) -> None:
    header, *kinds, total = _ask(filled, capsys)
    assert header == ["kind", "entries", "MB", "made", "in", "last", "used"]
    assert [line[:3] for line in kinds] == [
        ["features", "1", "0.5"],
        ["images", "2", "3.0"],
        ["unreadable", "1", "0.0"],
        ["extracted", "1", "3.0"],
    ]
    assert total[:3] == ["7", "MB", "in"]


def test_list_shows_each_entry(filled: Store, capsys: pytest.CaptureFixture[str]) -> None:
    header, *entries, _ = _ask(filled, capsys, "list")
    assert header[-1] == "description"
    assert [" ".join(line[6:]) for line in entries if line[0] == "images"] == [
        "cats train",
        "cats test",
    ]
    assert len(entries) == 4


def test_entries_in_use_are_not_cleared(filled: Store, capsys: pytest.CaptureFixture[str]) -> None:
    freed, kept = _ask(filled, capsys, "clear")
    assert freed[:3] == ["freed", "3", "MB"]  # the archive: nobody reads it now
    assert kept[:3] == ["kept", "3", "entries"]
    filled.release()
    assert _ask(filled, capsys, "clear")[0][:3] == ["freed", "4", "MB"]
    assert not list(filled.entries())


def test_a_folder_in_brackets_is_named_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "[red] cache"
    assert main(["cache", "clear", "--cache", str(folder)]) == 0
    assert capsys.readouterr().out == f"freed 0 MB in {folder}\n"
