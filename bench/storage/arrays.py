"""The arrays of one trial on disk, `arrays/KEY.npz`.

A file holds its trial's key and the checksums of the files that it replaced; the record holds the
checksum of the file itself. Measuring writes the file again and then the record: if a process is
killed in between, the record names the replaced file, whose checksum the new file lists. Files of
version 0.1 hold neither, and their records no checksum.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from bench.errors import BenchError, os_error_text
from bench.system.files import write_atomic
from bench.types import Record

Array = NDArray[Any]
TRIAL, REPLACES = "__trial__", "__replaces__"
DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
BLOCK = 1 << 20
ROUNDING = 0.01
SECONDS = ("latency_", "warmup_")


def arrays_path(folder: Path, key: str) -> Path:
    """Return the path of one trial's arrays."""
    return folder / "arrays" / f"{key}.npz"


def write_arrays(folder: Path, key: str, arrays: Mapping[str, Array], *, replaces: str = "") -> str:
    """Store the arrays of one trial; return the file's SHA-256, which belongs in its record.

    `replaces`: the checksum in the trial's current record, if it already has arrays.
    """
    earlier = dict.fromkeys([*_replaced(arrays_path(folder, key)), replaces]) if replaces else ()
    about = {TRIAL: np.array(key), REPLACES: np.array(list(earlier), dtype=np.str_)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays, **about)  # type: ignore[arg-type]
    content = buffer.getvalue()
    write_atomic(arrays_path(folder, key), content)
    return hashlib.sha256(content).hexdigest()


def read_arrays(folder: Path, record: Record, classes: int) -> dict[str, Array]:
    """Return the arrays of a trial by name, none where there is no file; raise an error where the
    file does not belong to the record."""
    path = arrays_path(folder, record.trial.key)
    try:
        with path.open("rb") as file:
            archive = _opened(file, record)
            arrays = {n: archive[n] for n in archive.files if n not in (TRIAL, REPLACES)}
        _check_shapes(arrays, classes)
    except FileNotFoundError:
        return {}
    except DAMAGE as error:
        if os_error_text(error):
            raise  # the file itself may be intact
        raise BenchError(
            f"{path} is damaged ({error}). The same `run` command trains that trial again and "
            f"keeps the others."
        ) from error
    return arrays


def arrays_fault(folder: Path, record: Record, classes: int) -> str:
    """Return what is wrong with the arrays of a finished trial, or an empty text."""
    path = arrays_path(folder, record.trial.key)
    if not path.is_file():
        return f"{path} is gone"
    if not record.arrays_sha256:
        try:
            return "" if read_arrays(folder, record, classes) else f"{path} is empty"
        except BenchError:
            return f"{path} is damaged"
    try:
        with path.open("rb") as file:
            _opened(file, record)
    except DAMAGE as error:
        if os_error_text(error):
            raise
        return f"{path} is damaged ({error})"
    return ""


def _replaced(path: Path) -> list[str]:
    """Return the checksums of the files that the present one replaced."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return [str(one) for one in archive[REPLACES]] if REPLACES in archive.files else []
    except (*DAMAGE, AttributeError):
        return []


def _opened(file: BinaryIO, record: Record) -> NpzFile:
    """Open the archive; raise ValueError where it does not belong to the record."""
    digest = hashlib.sha256()
    while block := file.read(BLOCK):
        digest.update(block)
    file.seek(0)
    archive = np.load(file, allow_pickle=False)
    if not isinstance(archive, NpzFile):
        raise ValueError("it is no .npz archive")
    holder = str(archive[TRIAL]) if TRIAL in archive.files else ""
    earlier = archive[REPLACES].ravel() if REPLACES in archive.files else ()
    if holder not in ("", record.trial.key):
        raise ValueError(f"it holds the arrays of trial {holder}")
    if record.arrays_sha256 and record.arrays_sha256 not in (digest.hexdigest(), *earlier):
        raise ValueError("it is not the file that the trial's record was made with")
    return archive


def _check_shapes(arrays: Mapping[str, Array], classes: int) -> None:
    """Raise ValueError where the arrays do not fit each other, or the run's classes."""
    for name, array in arrays.items():
        if name.endswith("_labels"):
            if array.ndim != 1 or array.dtype.kind not in "iu":
                raise ValueError(f"{name} is no list of whole numbers")
            if len(array) and not 0 <= array.min() <= array.max() < classes:
                raise ValueError(f"{name} are not of the run's {classes} classes")
        elif name.startswith(SECONDS):
            if array.ndim != 1 or array.dtype.kind != "f":
                raise ValueError(f"{name} is no list of seconds")
        elif name.endswith("_probabilities") or name.startswith("probabilities_"):
            if array.ndim < 2 or array.dtype.kind not in "fiu" or array.shape[-1] != classes:
                raise ValueError(f"{name} are not of the run's {classes} classes")
            # Non-finite ones come from a training that diverged.
            beyond = ((array < -ROUNDING) | (array > 1 + ROUNDING)) & np.isfinite(array)
            if name.endswith("_probabilities") and beyond.any():
                raise ValueError(f"{name} are no probabilities")
            images = arrays.get(_images_of(name))
            if images is not None and array.shape[-2] != len(images):
                raise ValueError(f"{name} are of {array.shape[-2]} images, not of {len(images)}")


def _images_of(probabilities: str) -> str:
    """Return the name of the array with one entry per image of these probabilities."""
    if probabilities.startswith("robust"):
        return "robust_images"
    return "validation_labels" if "validation_" in probabilities else "test_labels"
