"""Read PyTorch's weight files without PyTorch: both layouts, and only numeric tensors.

    legacy   four pickles (magic, version, system, the object), the storages' keys, their bytes
    zip      `*/data.pkl` and `*/data/KEY` in an archive; PyTorch's default since 1.6

The bytes of every tensor must be in the file, so that all arrays together take no more memory than
the file.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from backbones.torch_pickle import MAX_PICKLE_BYTES, Array, Pickle, Tensor
from bench.errors import WeightsError

MAGIC = 0x1950A86A20F9469CFC6C


def read_torch(path: Path) -> Mapping[str, Array]:
    """Return the arrays of a saved `state_dict` by name, in its order.

    Raises `WeightsError` for any other, damaged or malicious file.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            zipped = zipfile.is_zipfile(file)
            file.seek(0)
            return _read_zip(file, size) if zipped else _read_legacy(file, size)
    except WeightsError as error:
        raise WeightsError(f"{path.name} cannot be read: {error}") from None
    except Exception as error:
        # A damaged pickle can raise almost any exception.
        reason = str(error) or type(error).__name__
        raise WeightsError(f"{path.name} is damaged or not a PyTorch file: {reason}") from error


def _read_legacy(file: IO[bytes], size: int) -> Mapping[str, Array]:
    if Pickle().load(file) != MAGIC:
        raise WeightsError("it does not begin like a PyTorch file.")
    for _ in ("protocol version", "system"):
        Pickle().load(file)
    pickle = Pickle()
    state = pickle.load(file)
    values = {}
    for key in Pickle().load(file):
        storage = pickle.storages[key]
        file.read(8)  # the length, which the pickle has, too
        if storage.nbytes > size - file.tell():
            raise WeightsError("it is truncated.")
        values[key] = storage.decode(file.read(storage.nbytes))
    return _arrays(state, values)


def _read_zip(file: IO[bytes], size: int) -> Mapping[str, Array]:
    with zipfile.ZipFile(file) as archive:
        index = next((n for n in archive.namelist() if n.endswith("/data.pkl")), None)
        if index is None:
            raise WeightsError("the archive holds no data.pkl.")
        pickle = Pickle()
        state = pickle.load(io.BytesIO(_read_entry(archive, index, MAX_PICKLE_BYTES)))
        folder = index.removesuffix("data.pkl") + "data/"
        values = {}
        for key, storage in pickle.storages.items():
            # Entries may overlap, but their sizes must not add up to more than the file's.
            size -= storage.nbytes
            if size < 0:
                raise WeightsError("it is truncated.")
            values[key] = storage.decode(_read_entry(archive, f"{folder}{key}", storage.nbytes))
    return _arrays(state, values)


def _read_entry(archive: zipfile.ZipFile, name: str, max_bytes: int) -> bytes:
    """Return the bytes of an uncompressed entry, at most `max_bytes`."""
    entry = archive.getinfo(name)
    if entry.compress_type != zipfile.ZIP_STORED:
        raise WeightsError(f"{name} is compressed, which PyTorch does not do; refused.")
    if entry.file_size > max_bytes:
        raise WeightsError(f"{name} is longer than it may be ({entry.file_size:,} bytes).")
    return archive.read(entry)


def _arrays(state: Any, values: Mapping[str, Array]) -> Mapping[str, Array]:
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise WeightsError("it does not hold a plain dictionary of tensors.")
    return {name: tensor.array(values[tensor.storage.key]) for name, tensor in state.items()}
