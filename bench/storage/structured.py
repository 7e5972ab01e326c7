"""Dataclasses from JSON, with every value held against the type that its field declares."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")
JSON_TYPES: Mapping[Any, tuple[type, ...]] = {
    str: (str,),
    bool: (bool,),
    int: (int,),
    float: (float, int),
}


def structure(kind: type[T], raw: Any) -> T:
    """Rebuild a (nested) dataclass from what JSON gave; unknown keys are ignored. A value of
    another type is a TypeError that names its field."""
    rebuild: Callable[[Any], T] = _rebuilder(typing.cast(Any, kind))
    return rebuild(raw)


@cache
def _rebuilder(kind: Any) -> Callable[[Any], Any]:
    """Return the function that rebuilds a `kind`; made once per type, as records may be many."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass_rebuilder(kind)
    if origin is tuple:
        return _tuple_rebuilder(inner[0])
    if origin in (dict, Mapping):
        value = _rebuilder(inner[1])
        return lambda raw: {name: value(one) for name, one in _expect(raw, dict).items()}
    if origin in (typing.Union, types.UnionType):
        other = _rebuilder(next(a for a in inner if a is not type(None)))
        return lambda raw: None if raw is None else other(raw)
    if origin is typing.Literal:
        return lambda raw: raw if raw in inner else _refuse(raw, " or ".join(map(repr, inner)))
    if kind is float:
        return _number
    if kind in JSON_TYPES:
        return lambda raw: _expect(raw, *JSON_TYPES[kind])
    return lambda raw: raw


def _dataclass_rebuilder(kind: type) -> Callable[[Any], Any]:
    hints = typing.get_type_hints(kind)
    fields = [(f.name, _rebuilder(hints[f.name])) for f in dataclasses.fields(kind)]

    def rebuild(raw: Any) -> Any:
        _expect(raw, dict)
        values = {}
        for name, one in fields:
            if name in raw:
                try:
                    values[name] = one(raw[name])
                except TypeError as error:
                    raise TypeError(f"{name}: {error}") from None
        return kind(**values)

    return rebuild


def _tuple_rebuilder(item: Any) -> Callable[[Any], Any]:
    one = _rebuilder(item)
    if item not in JSON_TYPES:
        return lambda raw: tuple(map(one, _expect(raw, list, tuple)))
    allowed = {item}  # whole numbers among floats are looked at one by one

    def rebuild(raw: Any) -> Any:
        # There may be a million labels: they are looked at one by one only where one is wrong.
        if set(map(type, _expect(raw, list, tuple))) <= allowed:
            return tuple(raw)
        return tuple(map(one, raw))

    return rebuild


def _number(raw: Any) -> Any:
    number = _expect(raw, *JSON_TYPES[float])
    try:
        float(number)
    except OverflowError:
        _refuse(raw, "a number that a float holds")
    return number


def _expect(raw: Any, *allowed: type) -> Any:
    # By type, not by instance: JSON's true is no number.
    return raw if type(raw) in allowed else _refuse(raw, allowed[0].__name__)


def _refuse(raw: Any, wanted: str) -> typing.NoReturn:
    raise TypeError(f"expected {wanted}, got {repr(raw)[:40]}")
