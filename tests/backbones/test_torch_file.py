"""PyTorch's two layouts, written here by hand: no PyTorch is needed to write or to read them."""

from __future__ import annotations

import io
import os
import pickle
import sys
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from backbones import torch_file, torch_pickle
from backbones.torch_file import MAGIC, read_torch
from bench.errors import WeightsError


class FloatStorage:
    """Four numbers, of which a file holds the name first and the bytes later."""

    def __init__(self, key: str, values: list[float]) -> None:
        self.key, self.values = key, np.array(values, "<f4")


def _rebuild_tensor_v2(*arguments: Any) -> None:
    """A name for a pickle to refer to; PyTorch's own would build a tensor."""


class Tensor:
    def __init__(self, storage: FloatStorage, offset: int, shape: Any, strides: Any) -> None:
        state: OrderedDict[str, Any] = OrderedDict()
        self.arguments = (storage, offset, shape, strides, False, state)

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


OUTSIDE = "outside its storage"
NUMBERS = "values that are not numbers"
SPREAD = "not contiguous"


@LAYOUTS
@pytest.mark.parametrize(
    ("offset", "shape", "strides", "reason"),
    [
        (1, (4,), (1,), OUTSIDE),
        (4, (), (), OUTSIDE),
        (0, (2**40, 2**40), (2**40, 1), OUTSIDE),
        (-1, (2,), (1,), NUMBERS),
        (2, (3,), (-1,), NUMBERS),
        (0, ("2",), (1,), NUMBERS),
        (0, (2,), (2,), SPREAD),
        (0, (2, 2), (2, 2), SPREAD),
        (0, (4,), (0,), SPREAD),
        (0, (2**30, 2**20), (0, 0), OUTSIDE),  # 4 PB from one number
    ],
)
def test_only_contiguous_parts_of_a_storage_are_tensors(
    tmp_path: Path, layout: Any, offset: int, shape: Any, strides: Any, reason: str
) -> None:
    storage = FloatStorage("0", [1, 2, 3, 4])

    with pytest.raises(WeightsError, match=reason):
        read(tmp_path, layout({"weight": Tensor(storage, offset, shape, strides)}, storage))


@LAYOUTS
def test_many_tensors_of_one_storage_take_no_more_memory_than_it(
    tmp_path: Path, layout: Any
) -> None:
    storage = FloatStorage("0", [1, 2, 3, 4])
    shapes = {"a": ((2, 2), (2, 1)), "b": ((2, 2), (1, 2)), "c": ((4, 1), (1, 7))}
    state = {name: Tensor(storage, 0, *shape) for name, shape in shapes.items()}

    arrays = read(tmp_path, layout(state, storage))

    assert {name: array.tolist() for name, array in arrays.items()} == {
        "a": [[1, 2], [3, 4]],
        "b": [[1, 3], [2, 4]],
        "c": [[1], [2], [3], [4]],
    }
    assert all(np.shares_memory(arrays["a"], arrays[name]) for name in "bc")


class Call:
    """Whatever `reduce` says is written."""

    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> Any:
        return self.reduced


@LAYOUTS
def test_attributes_of_a_dictionary_are_ignored(tmp_path: Path, layout: Any) -> None:
    storage = FloatStorage("0", [1, 2, 3, 4])
    items = iter([("weight", Tensor(storage, 0, (4,), (1,)))])
    state = Call(OrderedDict, (), {"items": "mine", "_metadata": {"version": 1}}, None, items)

    assert read(tmp_path, layout(state, storage))["weight"].tolist() == [1, 2, 3, 4]


@LAYOUTS
def test_no_other_object_takes_attributes(tmp_path: Path, layout: Any) -> None:
    storage = FloatStorage("0", [1, 2, 3, 4])
    tensor = Tensor(storage, 0, (4,), (1,))
    state = {"weight": Call(_rebuild_tensor_v2, tensor.arguments, {"offset": 7})}
    with pytest.raises(WeightsError, match="changes an object of the wrong type"):
        read(tmp_path, layout(state, storage))
    # `c` names a function and `b` sets an attribute of it.
    function = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\1\0\0\0aK\1sb."
    with pytest.raises(WeightsError, match="changes an object of the wrong type"):
        read_torch(archive(tmp_path, function))


def archive(folder: Path, content: bytes, *entries: tuple[str, bytes], **options: Any) -> Path:
    path = folder / "net.pth"
    with zipfile.ZipFile(path, "w", **options) as file:
        file.writestr("net/data.pkl", content)
        for name, data in entries:
            file.writestr(name, data)
    return path


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"(" + b"K\1" * 10 + b"l.", "holds LIST, which PyTorch does not write"),
        (b"N0.", "holds POP"),
        (b"Nr\xff\xff\xff\x7f.", "does not hold a plain dictionary"),  # memo of 2**31
        (b"}((((ttttK\1s.", "a name that is not text"),
        (b"K\1K\1K\1u.", "damaged or not a PyTorch file"),
        (b"}(K\1s.", "takes more values than the stack holds"),
        (b"B\xff\xff\xff\x7fabc.", "longer than 16,777,216 bytes"),
        (b"N" * 40 + b".", "damaged or not a PyTorch file"),
    ],
)
def test_operations_that_pytorch_does_not_write_are_refused(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    with pytest.raises(WeightsError, match=reason):
        read_torch(archive(tmp_path, b"\x80\x02" + content))


def test_a_pickle_has_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_pickle, "MAX_OPERATIONS", 1000)
    with pytest.raises(WeightsError, match="more than 1,000 operations"):
        read_torch(archive(tmp_path, b"\x80\x02" + b"}" * 2000 + b"."))
    monkeypatch.setattr(torch_file, "MAX_PICKLE_BYTES", 1000)
    with pytest.raises(WeightsError, match=r"longer than it may be \(2,003 bytes\)"):
        read_torch(archive(tmp_path, b"\x80\x02" + b"}" * 2000 + b"."))


def test_what_inflates_is_refused_before_it_does(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        bomb = archive(tmp_path, bytes(50_000_000), compression=zipfile.ZIP_DEFLATED)
        tracemalloc.reset_peak()
        with pytest.raises(WeightsError, match=r"net/data.pkl is compressed"):
            read_torch(bomb)
        before = tracemalloc.get_traced_memory()[0]
        assert tracemalloc.get_traced_memory()[1] - before < 5_000_000
    finally:
        tracemalloc.stop()
    storage = FloatStorage("0", [1, 2, 3, 4])
    state = pickled({"weight": Tensor(storage, 0, (4,), (1,))})
    short = archive(tmp_path, state, ("net/data/0", bytes(12)))
    with pytest.raises(WeightsError, match="truncated"):
        read_torch(short)
    long = archive(tmp_path, state, ("net/data/0", bytes(20)))
    with pytest.raises(WeightsError, match="longer than it may be"):
        read_torch(long)


def test_a_storage_that_cannot_be_in_the_file_is_not_allocated(tmp_path: Path) -> None:
    class Huge:
        def __len__(self) -> int:
            return 2**40

        def tobytes(self) -> bytes:
            return b""

    storage = FloatStorage("0", [])
    storage.values = Huge()  # type: ignore[assignment]
    state = {"weight": Tensor(storage, 0, (4,), (1,))}
    parts = [pickled(p) for p in (MAGIC, 1001, {}, state, ["0"])]
    with pytest.raises(WeightsError, match="truncated"):
        read(tmp_path, b"".join(parts) + bytes(24))
    with pytest.raises(WeightsError, match="truncated"):
        read_torch(archive(tmp_path, pickled(state), ("net/data/0", bytes(16))))


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
