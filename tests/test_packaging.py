"""What `pyproject.toml` says twice is the same both times."""

from __future__ import annotations

import tomllib
from pathlib import Path

OF_TENSORFLOW = ("tensorflow", "tensorflow-datasets", "importlib-resources", "array-record")


def test_the_core_is_the_dependencies_without_tensorflow() -> None:
    path = Path(__file__).resolve().parent.parent / "pyproject.toml"
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    wanted = [
        line
        for line in content["project"]["dependencies"]
        if line.split(">")[0] not in OF_TENSORFLOW
    ]

    assert content["dependency-groups"]["core"] == wanted
