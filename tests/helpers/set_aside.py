"""A package that is set aside for a stand-in, whether it is installed, imported or not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def set_aside(package: str) -> Iterator[None]:
    """Make Python forget a package and Keras its classes inside, and what took their place after.

    A submodule that stayed would be the other package's, and a class that Keras knows by a name is
    found by that name.
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
    """Return the classes that Keras finds by their names; it is not imported for that."""
    if "keras" not in sys.modules:
        return {}
    import keras

    registered: dict[str, Any] = keras.saving.get_custom_objects()
    return registered
