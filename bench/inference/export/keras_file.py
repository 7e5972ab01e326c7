"""Keras' own formats: `.keras`, and the older `.h5`.

A `.keras` file holds preprocessing as it was declared. An `.h5` file can hold layers alone, so
there preprocessing becomes one: see `preprocessing_layers.py`.
"""

from __future__ import annotations

import logging
import warnings
import zipfile
from pathlib import Path
from typing import Any

from bench.inference.export.base import MEMBER, About, Call, Format
from bench.inference.export.preprocessing_layers import with_preprocessing_layers
from bench.models.backends.base import Array, current


def _write_keras(model: Any, folder: Path, about: About) -> Path:
    path = folder / "model.keras"
    model.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(MEMBER, about.json())
    return path


def _write_h5(model: Any, folder: Path, about: About) -> Path:
    import h5py

    path = folder / "model.h5"
    plain = with_preprocessing_layers(model)
    logger = logging.getLogger("absl")  # through which Keras says that the format is old
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            plain.save(path)
    finally:
        logger.setLevel(level)
    with h5py.File(path, "a") as file:
        file.attrs[MEMBER] = about.json()
    return path


def _load(path: Path) -> Call:
    import keras

    forward = current().forward(keras.saving.load_model(path, compile=False))

    def call(images: Array) -> Array:
        return forward(images)[0]

    return call


KERAS = Format("keras", ".keras", _write_keras, _load)
H5 = Format("h5", ".h5", _write_h5, _load)
