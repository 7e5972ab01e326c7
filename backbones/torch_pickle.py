"""A safe interpreter for the pickles in PyTorch's weight files.

A pickle can call any function, or fill the memory with a few bytes. So Python's unpickler is not
used: the few operations that PyTorch writes are executed here on plain values, within bounds, and
all others are refused. A tensor must be a contiguous part of its storage, in any order of its axes.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterable, Mapping
from math import prod
from typing import IO, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from bench.errors import WeightsError

MAX_PICKLE_BYTES = 1 << 24  # a network of 1,000 tensors takes 100 kB
MAX_OPERATIONS = 1_000_000  # of one pickle; such a network takes 50,000
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
ORDERED_DICT = "collections.OrderedDict"
TENSOR = "torch._utils._rebuild_tensor_v2"
PARAMETER = "torch._utils._rebuild_parameter"

# Operations that push their argument, or a constant, on the stack.
VALUES = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINSTRING", "SHORT_BINSTRING"),
}
CONSTANTS: Mapping[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Storage(NamedTuple):
    """A reference to an array of numbers, whose bytes are elsewhere in the file."""

    key: str
    dtype: str
    length: int

    @property
    def nbytes(self) -> int:
        return self.length * np.dtype(self.dtype).itemsize

    def decode(self, data: bytes) -> Array:
        """Return the bytes as a flat array; raise if their number is wrong."""
        if len(data) != self.nbytes:
            raise WeightsError("it is truncated.")
        return np.frombuffer(data, self.dtype)


class Tensor(NamedTuple):
    """A contiguous part of a storage, with a shape."""

    storage: Storage
    offset: int  # in numbers
    shape: tuple[int, ...]
    order: tuple[int, ...]  # axes by stride, the longest first

    def array(self, values: Array) -> Array:
        """Return the tensor as a view of its storage's `values`, which takes no memory."""
        part = values[self.offset : self.offset + prod(self.shape)]
        stored = part.reshape([self.shape[axis] for axis in self.order])
        return stored.transpose(sorted(range(len(self.order)), key=self.order.__getitem__))


class _Global(NamedTuple):
    """A function or class that the pickle may call, by its name."""

    name: str


class Pickle:
    """An interpreter of one pickle."""

    def __init__(self) -> None:
        self.storages: dict[str, Storage] = {}
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def load(self, file: IO[bytes]) -> Any:
        """Return the pickled object; the file's position is then after the pickle."""
        source = cast(IO[bytes], _Bounded(file))
        for number, (operation, argument, _) in enumerate(pickletools.genops(source)):
            if number > MAX_OPERATIONS:
                raise WeightsError(f"its pickle has more than {MAX_OPERATIONS:,} operations.")
            if operation.name != "STOP":
                self._execute(operation.name, argument)
        (value,) = self._stack
        return value

    def _execute(self, operation: str, argument: Any) -> None:
        push, pop = self._stack.append, self._stack.pop
        if operation in ("PROTO", "FRAME"):
            return
        if operation in VALUES:
            push(argument)
        elif operation in CONSTANTS:
            push(CONSTANTS[operation])
        elif operation in TUPLES:
            push(tuple(self._take(len(self._stack) - TUPLES[operation])))
        elif operation == "MARK":
            self._marks.append(len(self._stack))
        elif operation == "TUPLE":
            push(tuple(self._take(self._marks.pop())))
        elif operation == "EMPTY_LIST":
            push([])
        elif operation == "EMPTY_DICT":
            push({})
        elif operation in ("APPEND", "APPENDS"):
            start = self._marks.pop() if operation == "APPENDS" else len(self._stack) - 1
            items = self._take(start)
            self._top(list).extend(items)
        elif operation in ("SETITEM", "SETITEMS"):
            start = self._marks.pop() if operation == "SETITEMS" else len(self._stack) - 2
            items = self._take(start)
            self._top(dict).update(_pairs(zip(items[::2], items[1::2], strict=True)))
        elif operation in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = self._stack[-1]
        elif operation == "MEMOIZE":
            self._memo[len(self._memo)] = self._stack[-1]
        elif operation in ("BINGET", "LONG_BINGET"):
            push(self._memo[argument])
        elif operation == "GLOBAL":
            push(_global(argument.replace(" ", ".")))
        elif operation == "STACK_GLOBAL":
            module, name = self._take(len(self._stack) - 2)
            push(_global(f"{module}.{name}"))
        elif operation == "BINPERSID":
            push(self._storage(pop()))
        elif operation == "REDUCE":
            arguments = pop()
            push(_call(pop(), arguments))
        elif operation == "BUILD":
            pop()  # attributes of an OrderedDict: versions of layers, which arrays do not need
            self._top(dict)
        else:
            raise WeightsError(f"its pickle holds {operation}, which PyTorch does not write.")

    def _take(self, start: int) -> list[Any]:
        if start < (self._marks[-1] if self._marks else 0):
            raise WeightsError("its pickle takes more values than the stack holds.")
        taken = self._stack[start:]
        del self._stack[start:]
        return taken

    def _top(self, kind: type[Any]) -> Any:
        if not isinstance(self._stack[-1], kind):
            raise WeightsError("its pickle changes an object of the wrong type.")
        return self._stack[-1]

    def _storage(self, reference: Any) -> Storage:
        kind, dtype, key, _device, length, *view = reference
        known = type(dtype) is str and dtype in STORAGES.values()
        if kind != "storage" or not known or type(key) is not str or view not in ([], [None]):
            raise WeightsError("it holds a reference that is not a storage.")
        if type(length) is not int or length < 0:
            raise WeightsError("a storage has no length.")
        return self.storages.setdefault(key, Storage(key, dtype, length))


class _Bounded:
    """A file from which a pickle can read at most `MAX_PICKLE_BYTES`."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._left = file, MAX_PICKLE_BYTES
        self.tell = file.tell

    def read(self, count: int) -> bytes:
        self._spend(count)
        return self._file.read(count)

    def readline(self) -> bytes:
        line = self._file.readline(self._left + 1)
        self._spend(len(line))
        return line

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise WeightsError(f"its pickle is longer than {MAX_PICKLE_BYTES:,} bytes.")


def _global(name: str) -> Any:
    """Return the dtype or the allowed function of a name; raise for any other."""
    module, _, last = name.rpartition(".")
    if module == "torch" and last in STORAGES:
        return STORAGES[last]
    if name in (ORDERED_DICT, TENSOR, PARAMETER):
        return _Global(name)
    raise WeightsError(f"it asks for {name}, which is not part of a tensor; refused.")


def _call(called: Any, arguments: Any) -> Any:
    """Return the result of the allowed function for the arguments."""
    if called == _Global(ORDERED_DICT):
        return _pairs(*arguments) if arguments else {}
    if called == _Global(TENSOR):
        return _tensor(*arguments[:4])
    if called == _Global(PARAMETER) and isinstance(arguments[0], Tensor):
        return arguments[0]
    raise WeightsError("its pickle calls something that is not a function.")


def _pairs(items: Iterable[Any]) -> dict[str, Any]:
    found = {}
    for key, value in items:
        if type(key) is not str:  # hashing a deeply nested tuple may take forever
            raise WeightsError("it has a name that is not text.")
        found[key] = value
    return found


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> Tensor:
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, Storage) or any(type(n) is not int or n < 0 for n in numbers):
        raise WeightsError("a tensor is described by values that are not numbers.")
    if offset + prod(shape) > storage.length:
        raise WeightsError("a tensor lies outside its storage.")
    steps = [stride if size > 1 else 0 for size, stride in zip(shape, strides, strict=True)]
    order = sorted(range(len(steps)), key=steps.__getitem__, reverse=True)
    step = 1
    for axis in reversed(order):
        if shape[axis] > 1 and steps[axis] != step and 0 not in shape:
            raise WeightsError("a tensor is not contiguous; save it with `.contiguous()`.")
        step *= shape[axis]
    return Tensor(storage, offset, tuple(shape), tuple(order))
