"""An edited plugin is another backbone: its trials are trained again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import edited
import pytest
import tiny

from bench.models import fingerprint as module
from bench.models.fingerprint import code_digest
from bench.types import PackagedWeights


@pytest.mark.slow
@pytest.mark.parametrize("name", edited.EDITS)
def test_an_edit_changes_the_digest(tmp_path: Path, name: str) -> None:
    plugin = edited.write(tmp_path)
    before = code_digest(edited.load(plugin))
    assert code_digest(edited.load(plugin)) == before
    edited.edit(tmp_path, name)
    assert code_digest(edited.load(plugin)) != before


def test_where_the_plugin_lies_does_not_matter(tmp_path: Path) -> None:
    before = code_digest(edited.load(edited.write(tmp_path / "here")))
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert code_digest(edited.load(tmp_path / "there" / "plugin.py")) == before


@pytest.mark.slow
def test_another_process_finds_the_same() -> None:
    code = (
        "import tiny; from bench.models.fingerprint import code_digest as digest; "
        "print(digest(tiny.TINY))"
    )
    path = f"{Path(tiny.__file__).parent}:{Path(__file__).parents[2]}"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": path, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == code_digest(tiny.TINY)


def test_bound_arguments_and_the_declaration_count() -> None:
    def deep(depth: int) -> object:
        return lambda **options: depth

    variants = [
        tiny.TINY,
        replace(tiny.TINY, build=partial(tiny.build, include_top=False)),
        replace(tiny.TINY, build=partial(tiny.build, include_top=True)),
        replace(tiny.TINY, build=deep(1)),
        replace(tiny.TINY, build=deep(2)),
        replace(tiny.TINY, stages=("one_add", "four_add")),
        replace(tiny.TINY, weights=PackagedWeights("p", "m", "w", tiny.preprocess)),
    ]
    assert len({code_digest(backbone) for backbone in variants}) == len(variants)


def test_a_name_counts_with_the_version_of_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    named = replace(tiny.TINY, build="keras.applications:VGG16", preprocess="keras.ops:abs")
    before = code_digest(named)
    assert before != code_digest(replace(named, build="keras.applications:VGG19"))
    monkeypatch.setattr(module, "version", lambda package: f"another {package}")
    assert code_digest(named) != before


def test_a_package_beside_its_metadata_is_installed_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pip install --target` and `--user` use other folders than this Python's own."""

    def digest_of(source: str, said: str | None) -> str:
        site = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        (site / "netlib").mkdir(parents=True)
        (site / "netlib" / "__init__.py").write_text(source)
        if said is not None:
            (site / f"netlib-{said}.dist-info").mkdir()
            metadata = f"Metadata-Version: 2.1\nName: netlib\nVersion: {said}\n"
            (site / f"netlib-{said}.dist-info" / "METADATA").write_text(metadata)
        with monkeypatch.context() as patched:
            patched.syspath_prepend(site)
            return code_digest(replace(tiny.TINY, build="netlib:make"))

    assert digest_of("make = 1", "1.0") == digest_of("make = 2", "1.0")
    assert digest_of("make = 1", "1.0") != digest_of("make = 1", "1.1")
    assert digest_of("make = 1", None) != digest_of("make = 2", None)
