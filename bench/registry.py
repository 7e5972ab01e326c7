"""Registries: dictionaries with good errors, and the loading of plugins that fill them.

A registry knows only the name of an item. A backbone may also be found by a source of backbones,
when its name is first used. `load_plugins` imports the installed entry points and the
files that a user names. A plugin that fails leaves nothing in any registry: an installed one is
reported and the rest still load, one that the user named is an error.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar
from weakref import WeakSet

from bench.errors import BenchError, PluginError, UnknownNameError, UsageError
from bench.system.frameworks import KERAS_BACKENDS, keras_backend
from bench.system.plugin_files import (
    describe_failure,
    import_file,
    module_name,
    plugin_files,
    raise_on_exit,
)
from bench.types import Backbone, Reference

ENTRY_POINT_GROUP = "backbone_bench.backbones"


class Named(Protocol):
    """Anything with a name."""

    @property
    def name(self) -> str: ...


class Optional(Named, Protocol):
    """Something that works only where its `modules` are, and only on the Keras backend that is one
    of them, if one is; `install` is what to `pip install`."""

    @property
    def modules(self) -> tuple[str, ...]: ...

    @property
    def install(self) -> str: ...


T = TypeVar("T", bound=Named)


class Registry(Generic[T]):
    """Named things, in the order they were added."""

    every: ClassVar[WeakSet[Registry[Any]]] = WeakSet()

    def __init__(self, kind: str, *, listed_by: str = "") -> None:
        """`listed_by`: the command that shows all, for the error about an unknown name."""
        self.kind, self._listed_by = kind, listed_by
        self._items: dict[str, T] = {}
        self._added_by: dict[str, str] = {}  # modules
        self.every.add(self)

    def add(self, item: T) -> T:
        """Register `item`; a second one of the same name is an error, not a replacement."""
        if item.name in self._items:
            raise BenchError(
                f"{self.kind} {item.name!r} is registered twice; give one another name."
            )
        self._items[item.name] = item
        self._added_by[item.name] = sys._getframe(1).f_globals.get("__name__", "")
        return item

    def __getitem__(self, name: str) -> T:
        try:
            return self._items[name]
        except KeyError:
            raise UnknownNameError(self.kind, name, self._items, remedy=self._listed_by) from None

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[T]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._items)

    def remove(self, name: str) -> None:
        """Forget one item; for tests that register their own."""
        self._items.pop(name, None)

    def restore(self, before: Mapping[str, T]) -> None:
        """Go back to earlier items, but keep what modules of this package have added since: they
        are imported only once."""
        since = {
            name: item
            for name, item in self._items.items()
            if name not in before and self._added_by[name].partition(".")[0] == "bench"
        }
        self._items = {**before, **since}

    def snapshot(self) -> Mapping[str, T]:
        """Return the items as they are now, for `restore`."""
        return dict(self._items)


@dataclass(frozen=True)
class BackboneSource:
    """Where backbones that nobody declared come from: `kerashub:PRESET` is found when it is named.

    `name` ends in a colon. `describe` is called with what follows it, by the command alone, and
    returns as text all that `declare` needs to know: `declare` is called with both, in the workers
    of any machine too, reads no file and returns the backbone of that whole name.
    """

    name: str
    help: str
    describe: Callable[[str], str]
    declare: Callable[[str, str], Backbone]
    modules: tuple[str, ...] = ()
    install: str = ""


BACKBONE_SOURCES: Registry[BackboneSource] = Registry("backbone source")


class _Backbones(Registry[Backbone]):
    """The backbones that were added, and those that a source finds by their names."""

    def __init__(self) -> None:
        super().__init__("backbone", listed_by="`list zoo`")
        self._described: dict[str, str] = {}  # what sources said of those that they found

    def __getitem__(self, name: str) -> Backbone:
        source = self._source(name)
        if source is None:
            return super().__getitem__(name)
        require(BACKBONE_SOURCES.kind, source)
        rest = name.removeprefix(source.name)
        if name not in self._described:
            self._described[name] = source.describe(rest)
        return source.declare(rest, self._described[name])

    def descriptions(self, names: Iterable[str]) -> dict[str, str]:
        """Return what sources said of those of these backbones that they found."""
        return {name: self._described[name] for name in names if name in self._described}

    def describe(self, descriptions: Mapping[str, str]) -> None:
        """Take what another process was told, so that no source is asked for it here."""
        self._described.update(descriptions)

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or self._source(str(name)) is not None

    def _source(self, name: str) -> BackboneSource | None:
        if name in self._items:
            return None
        return next((one for one in BACKBONE_SOURCES if name.startswith(one.name)), None)


BACKBONES = _Backbones()


def resolve(reference: Reference) -> Callable[..., Any]:
    """Return the callable that `"package.module:attribute"` names; a callable is returned as is."""
    if callable(reference):
        return reference
    module_name, _, attribute = reference.partition(":")
    if not attribute:
        raise BenchError(f"reference {reference!r} has no ':'; write 'package.module:name'.")
    target: Any = importlib.import_module(module_name)
    for part in attribute.split("."):
        target = getattr(target, part)
    if not callable(target):
        raise BenchError(f"reference {reference!r} does not name something that can be called.")
    return target  # type: ignore[no-any-return]


def load_plugins(paths: Iterable[Path] = (), packages: Iterable[str] = ()) -> list[PluginError]:
    """Import every installed entry point, every module of the given packages, and every given file
    or folder. What is named twice is loaded once.

    Return the installed ones that failed. A given file that cannot be loaded is raised instead.
    """
    from importlib.metadata import entry_points  # a third of the time that --help takes

    broken, wrong = list[PluginError](), list[PluginError]()
    points = sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name)
    modules = {point.value: f" (entry point {point.name})" for point in points}
    modules |= {module: "" for package in packages for module in _modules_of(package)}
    for module, origin in modules.items():
        with _all_or_nothing(broken, module + origin, module.partition(".")[0]):
            importlib.import_module(module)
    for path in paths:
        try:
            files = plugin_files(path)
        except PluginError as error:
            wrong.append(error)
            continue
        for file in files:
            with _all_or_nothing(wrong, str(file), module_name(file)):
                import_file(file)
    if wrong:
        raise PluginError("\n".join(map(str, wrong)))
    return broken


def names_in(text: str) -> list[str]:
    """Return the names of `NAME,NAME`."""
    return [name.strip() for name in text.split(",") if name.strip()]


def lacking(kind: str, item: Optional) -> str:
    """Return what an optional item lacks and how to provide it; "" where nothing."""
    what = f"{kind} {item.name.removesuffix(':')} needs"
    missing = [module for module in item.modules if find_spec(module) is None]
    install = f"{', '.join(missing)}; install it with `pip install '{item.install}'`."
    if (backend := backend_of(item)) not in ("", found := keras_backend()):
        more = f", and {install}" if missing else "."
        return f"{what} KERAS_BACKEND={backend} instead of {found}{more}"
    return f"{what} {install}" if missing else ""


def backend_of(item: Optional) -> str:
    """Return the Keras backend that an optional item needs; "" where any will do."""
    return next((module for module in item.modules if module in KERAS_BACKENDS), "")


def require(kind: str, item: Optional) -> None:
    """Refuse an optional item whose packages are not installed."""
    if text := lacking(kind, item):
        raise UsageError(text)


def import_modules(package: str) -> None:
    """Import every file in a package's folder, by name, so that what they register is known."""
    for module in sorted(_modules_of(package)):
        importlib.import_module(module)


def _modules_of(package: str) -> list[str]:
    folders = importlib.import_module(package).__path__
    return [f"{package}.{module.name}" for module in pkgutil.iter_modules(folders)]


@contextmanager
def _all_or_nothing(errors: list[PluginError], origin: str, module: str) -> Iterator[None]:
    """Note what makes a plugin fail, and remove what it registered, in any registry.

    `module`: the plugin's own, or the package that it is part of.
    """
    before = {registry: registry.snapshot() for registry in Registry.every}
    try:
        with raise_on_exit():
            yield
    except (Exception, SystemExit) as error:
        for registry in Registry.every:
            registry.restore(before.get(registry, {}))
        why = describe_failure(error, module)
        errors.append(PluginError(f"plugin {origin} could not be loaded: {why}"))
