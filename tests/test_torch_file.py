"""PyTorch's two layouts, written here by hand: no PyTorch is needed to write or to read them."""

from __future__ import annotations

import io
import os
import pickle
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bench.errors import WeightsError
from bench.torch_file import MAGIC, read_torch


class FloatStorage:
    """Four numbers, of which a file holds the name first and the bytes later."""

    def __init__(self, key: str, values: list[float]) -> None:
        self.key, self.values = key, np.array(values, "<f4")


def _rebuild_tensor_v2(*arguments: Any) -> None:
    """A name for a pickle to refer to; PyTorch's own would build a tensor."""


class Tensor:
    def __init__(self, storage: FloatStorage, offset: int, shape: Any, strides: Any) -> None:
        self.arguments = (storage, offset, shape, strides, False, OrderedDict())

    def __reduce__(self) -> Any:
        return _rebuild_tensor_v2, self.arguments


class Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, FloatStorage):
            return ("storage", FloatStorage, obj.key, "cpu", len(obj.values))
        return None


class Malicious:
    def __reduce__(self) -> Any:
        return os.system, ("touch evil",)


@pytest.fixture(autouse=True)
def torch_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets pickle write `torch.FloatStorage` and `torch._utils._rebuild_tensor_v2`."""
    torch, utils = ModuleType("torch"), ModuleType("torch._utils")
    for owner, thing in ((torch, FloatStorage), (utils, _rebuild_tensor_v2)):
        setattr(owner, thing.__name__, thing)
        monkeypatch.setattr(thing, "__module__", owner.__name__)
        monkeypatch.setitem(sys.modules, owner.__name__, owner)


def pickled(value: Any) -> bytes:
    buffer = io.BytesIO()
    Pickler(buffer, protocol=2).dump(value)
    return buffer.getvalue()


def legacy(state: Any, *storages: FloatStorage) -> bytes:
    parts = [pickled(p) for p in (MAGIC, 1001, {"little_endian": True}, state)]
    parts.append(pickled([s.key for s in storages]))
    parts += [len(s.values).to_bytes(8, "little") + s.values.tobytes() for s in storages]
    return b"".join(parts)


def zipped(state: Any, *storages: FloatStorage) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("net/data.pkl", pickled(state))
        for storage in storages:
            archive.writestr(f"net/data/{storage.key}", storage.values.tobytes())
    return buffer.getvalue()


LAYOUTS = pytest.mark.parametrize("layout", [legacy, zipped])


def read(folder: Path, content: bytes) -> Any:
    path = folder / "net.pth"
    path.write_bytes(content)
    return read_torch(path)


@LAYOUTS
def test_arrays_by_name_in_the_order_saved(tmp_path: Path, layout: Any) -> None:
    first, second = FloatStorage("7", [1, 2, 3, 4]), FloatStorage("3", [5, 6])
    state = OrderedDict(
        rows=Tensor(first, 0, (2, 2), (2, 1)),
        columns=Tensor(first, 0, (2, 2), (1, 2)),
        part=Tensor(second, 1, (1,), (1,)),
        scalar=Tensor(second, 0, (), ()),
    )

    arrays = read(tmp_path, layout(state, first, second))

    assert {name: array.tolist() for name, array in arrays.items()} == {
        "rows": [[1, 2], [3, 4]],
        "columns": [[1, 3], [2, 4]],
        "part": [6],
        "scalar": 5,
    }
    assert list(arrays) == ["rows", "columns", "part", "scalar"]


@LAYOUTS
def test_code_in_a_pickle_is_refused_and_not_run(
    tmp_path: Path, layout: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(WeightsError, match=r"net.pth .* asks for posix.system.* refused"):
        read(tmp_path, layout({"weight": Malicious()}))

    assert not (tmp_path / "evil").exists()


@LAYOUTS
@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(1, (4,), (1,)), (0, (2,), (4,)), (-1, (2,), (1,)), (2, (3,), (-1,)), (4, (), ())],
)
def test_a_view_outside_its_storage_is_refused(
    tmp_path: Path, layout: Any, offset: int, shape: Any, strides: Any
) -> None:
    storage = FloatStorage("0", [1, 2, 3, 4])

    with pytest.raises(WeightsError, match="outside its storage"):
        read(tmp_path, layout({"weight": Tensor(storage, offset, shape, strides)}, storage))


@LAYOUTS
def test_something_else_than_tensors_is_refused(tmp_path: Path, layout: Any) -> None:
    with pytest.raises(WeightsError, match="plain dictionary of tensors"):
        read(tmp_path, layout({"epoch": 3}))


@LAYOUTS
def test_a_truncated_file_is_an_error_wherever_it_ends(tmp_path: Path, layout: Any) -> None:
    storage = FloatStorage("0", [1, 2, 3, 4])
    whole = layout({"weight": Tensor(storage, 0, (4,), (1,))}, storage)

    for length in range(0, len(whole), 3):
        with pytest.raises(WeightsError, match=r"net\.pth"):
            read(tmp_path, whole[:length])


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="No such file"):
        read_torch(tmp_path / "none.pth")
