"""TOML tables read key by key: every mistake of a file is told, each with its key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bench.errors import ProtocolError, UnknownNameError

T = TypeVar("T")


@dataclass
class Mistakes:
    """What is wrong with a file. Unknown keys come first: a missing key is often a misspelt one."""

    unknown: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def refuse(self, what: str) -> None:
        """Raise all of them, if there are any."""
        found = [*self.unknown, *self.others]
        if len(found) == 1:
            raise ProtocolError(found[0])
        if found:
            raise ProtocolError("\n  ".join([f"{what} has {len(found)} mistakes:", *found]))


class Table:
    """One TOML table being read: it remembers which keys were asked for and where it stands."""

    def __init__(self, raw: Mapping[str, Any], where: str, mistakes: Mistakes) -> None:
        self._raw = raw
        self._known: set[str] = set()
        self.where = where
        self.mistakes = mistakes

    def has(self, key: str) -> bool:
        return key in self._raw

    def take(self, key: str, default: T) -> Any:
        self._known.add(key)
        return self._raw.get(key, default)

    def finish(self) -> None:
        """Note each key that nothing asked for."""
        for key in self._raw:
            if key not in self._known:
                error = UnknownNameError("key", key, self._known)
                self.mistakes.unknown.append(f"{self.where}: {error}")

    def wrong(self, text: str) -> None:
        """Note a mistake; reading goes on with a placeholder value."""
        self.mistakes.others.append(f"{self.where}{text}")

    def text(self, key: str, default: str) -> str:
        value = self.take(key, default)
        return value if isinstance(value, str) else self._wrong(key, "a text", value, default)

    def boolean(self, key: str, default: bool) -> bool:
        value = self.take(key, default)
        if isinstance(value, bool):
            return value
        return self._wrong(key, "true or false", value, default)

    def integer(self, key: str, default: int | None, least: int, most: int) -> int:
        """Read a whole number; without a default the key is required."""
        if default is None and not self.has(key):
            return self._missing(key, least)
        value = self.take(key, default)
        if _is_whole(value, least, most):
            return int(value)
        return self._wrong(key, f"a whole number from {least} to {most}", value, least)

    def optional_integer(self, key: str, least: int, most: int) -> int | None:
        self._known.add(key)
        return self.integer(key, None, least, most) if self.has(key) else None

    def integers(self, key: str, least: int, most: int) -> tuple[int, ...]:
        values = self.take(key, [])
        if isinstance(values, list) and all(_is_whole(v, least, most) for v in values):
            return tuple(values)
        return self._wrong(key, f"a list of whole numbers from {least} to {most}", values, ())

    def number(self, key: str, default: float | None, least: float, most: float) -> float:
        """Read a number; without a default the key is required."""
        if default is None and not self.has(key):
            return self._missing(key, least)
        value = self.take(key, default)
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        if fits and least <= value <= most:
            return float(value)
        return self._wrong(key, f"a number from {least:g} to {most:g}", value, least)

    def choice(self, key: str, default: str, allowed: tuple[str, ...]) -> Any:
        value = self.take(key, default)
        if value in allowed:
            return value
        return self._wrong(key, "one of " + ", ".join(map(repr, allowed)), value, default)

    def table(self, key: str) -> Table:
        value = self.take(key, {})
        if not isinstance(value, dict):
            value = self._wrong(key, "a table", value, {})
        return Table(value, f"{self.where}.{key}", self.mistakes)

    def tables(self, key: str) -> list[Table]:
        values = self.take(key, [])
        if not isinstance(values, list) or not all(isinstance(v, dict) for v in values):
            values = self._wrong(key, f"one or more [[{key}]] tables", values, [])
        elif not values:
            self._wrong(key, f"one or more [[{key}]] tables", values, [])
        return [
            Table(value, f"{self.where}.{key}[{i + 1}]", self.mistakes)
            for i, value in enumerate(values)
        ]

    def _wrong(self, key: str, wanted: str, value: object, instead: T) -> T:
        self.wrong(f".{key} must be {wanted}, got {value!r}.")
        return instead

    def _missing(self, key: str, instead: T) -> T:
        self._known.add(key)
        self.wrong(f".{key} is missing; every such table needs it.")
        return instead


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
