"""Published files of weights: which one fits, whether it is on this machine, downloading it.

A file is kept where Keras itself looks for it, so that neither downloads it twice. A file that a
user put there is used, but counts as published only if it is unaltered.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.models.download import OnBytes, fetch
from bench.models.keras_applications import published_files
from bench.storage.cache import default_root
from bench.types import Backbone, FetchedWeights, PackagedWeights, WeightsFile


def files_for(backbone: Backbone, input_size: int) -> list[WeightsFile]:
    """Return the file trained at this size, then the one for every size or the backbone's own."""
    if isinstance(backbone.weights, PackagedWeights | FetchedWeights):
        return []
    files = backbone.weights if isinstance(backbone.weights, tuple) else published_files(backbone)
    exact = [file for file in files if file.input_size == input_size]
    usual = [file for file in files if file.input_size in (None, backbone.input_size)]
    return list(dict.fromkeys(exact + usual))


def keras_cache() -> Path:
    """Return where Keras keeps the weights that it downloads."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"


def own_cache() -> Path:
    """Return where weights go when Keras' cache is not writable."""
    return default_root() / "weights"


def cached(file: WeightsFile) -> Path | None:
    """Return where the file is on this machine, if it is."""
    paths = (folder / file.filename for folder in (keras_cache(), own_cache()))
    return next((path for path in paths if path.is_file()), None)


def download(file: WeightsFile, say: Callable[[str], None], progress: OnBytes) -> Path:
    """Download the file into Keras' cache, or into our own where that one is read-only."""
    folder = keras_cache() if _writable(keras_cache()) else own_cache()
    path = folder / file.filename
    fetch(file.url, path, checksum=file.checksum, nbytes=file.nbytes, progress=progress)
    if folder != keras_cache():
        say(f"{keras_cache()} cannot be written; {file.filename} is kept in {folder}.")
    return path


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
