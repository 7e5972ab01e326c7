"""Replace a package by a stand-in, whether it is installed, imported or neither."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def set_aside(package: str) -> Iterator[None]:
    """Unload a package and its Keras classes inside the block, and their replacements after it.

    A remaining submodule would belong to the other package, and Keras would find a remaining class
    by its registered name.
    """
    modules, classes = _take_out(package)
    try:
        yield
    finally:
        _take_out(package)
        sys.modules.update(modules)
        _registered().update(classes)


def _take_out(package: str) -> tuple[dict[str, Any], dict[str, Any]]:
    registered = _registered()
    modules = [name for name in sys.modules if name.partition(".")[0] == package]
    classes = [name for name in registered if name.startswith(f"{package}>")]
    return (
        {name: sys.modules.pop(name) for name in modules},
        {name: registered.pop(name) for name in classes},
    )


def _registered() -> dict[str, Any]:
    """Return Keras' registered classes by name, without importing Keras."""
    if "keras" not in sys.modules:
        return {}
    import keras

    registered: dict[str, Any] = keras.saving.get_custom_objects()
    return registered
