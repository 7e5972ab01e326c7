"""Importing a package without what it would take along but not use.

Keras imports pandas, scikit-learn and matplotlib where it finds them, for wrappers and plots that
a worker never calls: they take as long to load as all the rest. And Python looks for garbage again
and again among the very many objects that are made once and stay.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

UNUSED_BY_WORKERS = ("matplotlib", "pandas", "sklearn")


@contextmanager
def uncollected() -> Iterator[None]:
    """Inside, nothing is looked through for garbage; what was made there never will be."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def without(*packages: str) -> Iterator[None]:
    """Inside, importing `packages` fails as if they were not installed; afterwards it works."""
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: not to be imported
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
