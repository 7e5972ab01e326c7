"""PyTorch's weight files read without PyTorch: both layouts, and nothing but numbers.

    legacy   four pickles (magic, version, system, the object), the storages' keys, their bytes
    zip      `*/data.pkl` and `*/data/KEY` in an archive; PyTorch's default since 1.6

Such a file is a pickle, and a pickle may run any code that it names. The unpickler here knows
tensors, their storages and `OrderedDict`, and refuses every other name. What the arrays mean is the
caller's business.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import WeightsError

MAGIC = 0x1950A86A20F9469CFC6C
Array = NDArray[Any]

STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "|b1",
}


def read_torch(path: Path) -> Mapping[str, Array]:
    """The arrays of a saved `state_dict` by name, in the order they were saved."""
    try:
        with path.open("rb") as file:
            zipped = zipfile.is_zipfile(file)
            file.seek(0)
            return _read_zip(file) if zipped else _read_legacy(file)
    except WeightsError as error:
        raise WeightsError(f"{path.name} cannot be read: {error}") from None
    except Exception as error:
        # A damaged pickle can raise almost anything, and all of it means the same to the user.
        reason = str(error) or type(error).__name__
        raise WeightsError(f"{path.name} is damaged or no PyTorch file: {reason}") from error


class _Storage(NamedTuple):
    """A run of numbers whose bytes lie elsewhere in the file. Immutable, like everything that a
    pickle can get hold of here: what was checked cannot be altered afterwards."""

    key: str
    dtype: str
    length: int

    def decode(self, data: bytes) -> Array:
        values = np.frombuffer(data, self.dtype)
        if len(values) != self.length:
            raise WeightsError("it is truncated.")
        return values


class _Tensor(NamedTuple):
    """A view of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, values: Array) -> Array:
        last = sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        # Strides come from the file: a view past the storage would read foreign memory.
        if min(self.offset, *self.shape, *self.strides, 0) < 0 or (
            0 not in self.shape and self.offset + last >= len(values)
        ):
            raise WeightsError("a tensor lies outside its storage.")
        strides = tuple(step * values.itemsize for step in self.strides)
        view = np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides)
        return np.ascontiguousarray(view).reshape(self.shape)


class _Unpickler(pickle.Unpickler):
    """Rebuilds tensors, and refuses every name that is not needed for them."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        # Bound methods and strings: a pickle cannot hang attributes on them.
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return self._parameter
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise WeightsError(f"it asks for {module}.{name}, which is not part of a tensor; refused.")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _device, length, *view = pid
        if kind != "storage" or dtype not in STORAGES.values() or view not in ([], [None]):
            raise WeightsError("it holds a reference that is not a storage.")
        return self.storages.setdefault(key, _Storage(key, dtype, length))

    def _tensor(self, storage: _Storage, offset: int, shape: Any, strides: Any, *_: Any) -> _Tensor:
        return _Tensor(storage, offset, tuple(shape), tuple(strides))

    def _parameter(self, tensor: _Tensor, *_: Any) -> _Tensor:
        return tensor


def _read_legacy(file: IO[bytes]) -> Mapping[str, Array]:
    if _Unpickler(file).load() != MAGIC:
        raise WeightsError("it does not begin like a PyTorch file.")
    for _ in ("protocol version", "system"):
        _Unpickler(file).load()
    unpickler = _Unpickler(file)
    state = unpickler.load()
    values = {}
    for key in _Unpickler(file).load():
        storage = unpickler.storages[key]
        file.read(8)  # the length again
        values[key] = storage.decode(file.read(storage.length * np.dtype(storage.dtype).itemsize))
    return _arrays(state, values)


def _read_zip(file: IO[bytes]) -> Mapping[str, Array]:
    with zipfile.ZipFile(file) as archive:
        index = next((n for n in archive.namelist() if n.endswith("/data.pkl")), None)
        if index is None:
            raise WeightsError("the archive holds no data.pkl.")
        unpickler = _Unpickler(io.BytesIO(archive.read(index)))
        state = unpickler.load()
        folder = index.removesuffix("data.pkl") + "data/"
        values = {
            key: storage.decode(archive.read(f"{folder}{key}"))
            for key, storage in unpickler.storages.items()
        }
    return _arrays(state, values)


def _arrays(state: Any, values: Mapping[str, Array]) -> Mapping[str, Array]:
    if not isinstance(state, dict) or not all(isinstance(t, _Tensor) for t in state.values()):
        raise WeightsError("it holds something else than a plain dictionary of tensors.")
    return {str(name): tensor.array(values[tensor.storage.key]) for name, tensor in state.items()}
