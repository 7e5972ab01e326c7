"""Reading the site file of `--site`; its options are tested in `test_slurm.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.execution.executors.site_file import Site, read_site


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text("partition = 'gpu'\n", encoding="utf-8-sig")
    assert read_site(path) == Site(partition="gpu")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a = " + b"[" * 100_000, "is not valid TOML: "),
        ("partition = 'größe'".encode("latin-1"), "is not UTF-8 text; save it as such."),
    ],
)
def test_invalid_toml_is_refused(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=says) as refused:
        read_site(path)
    assert str(refused.value).startswith(f"--site {path}")
