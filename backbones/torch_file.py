"""Read PyTorch's weight files without PyTorch: both layouts, and only numbers.

    legacy   four pickles (magic, version, system, the object), the storages' keys, their bytes
    zip      `*/data.pkl` and `*/data/KEY` in an archive; PyTorch's default since 1.6

The bytes of a tensor must be in the file, so that all arrays together take no more memory than the
file. The caller interprets them.
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
    """Return the arrays of a saved `state_dict` by name, in the order they were saved."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            zipped = zipfile.is_zipfile(file)
            file.seek(0)
            return _read_zip(file, size) if zipped else _read_legacy(file, size)
    except WeightsError as error:
        raise WeightsError(f"{path.name} cannot be read: {error}") from None
    except Exception as error:
        # A damaged pickle can raise almost anything, and all of it means the same to the user.
        reason = str(error) or type(error).__name__
        raise WeightsError(f"{path.name} is damaged or no PyTorch file: {reason}") from error


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
        file.read(8)  # the length again
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
        state = pickle.load(io.BytesIO(_stored(archive, index, MAX_PICKLE_BYTES)))
        folder = index.removesuffix("data.pkl") + "data/"
        values = {}
        for key, storage in pickle.storages.items():
            # Entries may overlap: together they may still be no longer than the file.
            size -= storage.nbytes
            if size < 0:
                raise WeightsError("it is truncated.")
            values[key] = storage.decode(_stored(archive, f"{folder}{key}", storage.nbytes))
    return _arrays(state, values)


def _stored(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Return the bytes of an entry as stored in the archive; PyTorch compresses none."""
    entry = archive.getinfo(name)
    if entry.compress_type != zipfile.ZIP_STORED:
        raise WeightsError(f"{name} is compressed, which PyTorch does not do; refused.")
    if entry.file_size > most:
        raise WeightsError(f"{name} is longer than it may be ({entry.file_size:,} bytes).")
    return archive.read(entry)


def _arrays(state: Any, values: Mapping[str, Array]) -> Mapping[str, Array]:
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise WeightsError("it holds something else than a plain dictionary of tensors.")
    return {name: tensor.array(values[tensor.storage.key]) for name, tensor in state.items()}
