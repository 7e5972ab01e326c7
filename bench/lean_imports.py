"""Importing a package without what it would take along but not use.

Keras imports pandas, scikit-learn and matplotlib where it finds them, for wrappers and plots that
a worker never calls: they take as long to load as all the rest.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

UNUSED_BY_WORKERS = ("matplotlib", "pandas", "sklearn")


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
