"""Registries: dictionaries of named items, and the loading of plugins that fill them.

A backbone may also come from a backbone source, which declares it when its name is first used.
`load_plugins` imports the installed entry points and the files that a user names. A plugin that
fails leaves nothing in any registry: an installed one is reported and the others still load; one
that the user named raises an error.
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
    """An item that needs optional packages.

    `modules` are the modules to import; if one of them is a Keras backend, the item works on that
    backend only. `install` is the argument of `pip install`.
    """

    @property
    def modules(self) -> tuple[str, ...]: ...

    @property
    def install(self) -> str: ...


T = TypeVar("T", bound=Named)


class Registry(Generic[T]):
    """Named items, in the order in which they were added."""

    every: ClassVar[WeakSet[Registry[Any]]] = WeakSet()

    def __init__(self, kind: str, *, listed_by: str = "") -> None:
        """`listed_by`: the command that lists all items, for the error about an unknown name."""
        self.kind, self._listed_by = kind, listed_by
        self._items: dict[str, T] = {}
        self._added_by: dict[str, str] = {}  # item name to module name
        self.every.add(self)

    def add(self, item: T) -> T:
        """Register `item`; BenchError if its name is taken."""
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
        """Remove one item; for tests that register their own."""
        self._items.pop(name, None)

    def restore(self, before: Mapping[str, T]) -> None:
        """Restore the items of a `snapshot`, and keep those that modules of `bench` added since:
        these modules are imported only once."""
        since = {
            name: item
            for name, item in self._items.items()
            if name not in before and self._added_by[name].partition(".")[0] == "bench"
        }
        self._items = {**before, **since}

    def snapshot(self) -> Mapping[str, T]:
        """Return a copy of the current items, for `restore`."""
        return dict(self._items)


@dataclass(frozen=True)
class BackboneSource:
    """A prefix of backbone names, such as `kerashub:`, whose backbones are declared on first use.

    `name` is the prefix and ends in a colon. `describe(rest)` gets the rest of a backbone's name
    and returns, as text, all facts that `declare` needs; only the command's process calls it.
    `declare(rest, description)` returns the backbone of the whole name. It is also called in
    workers on other machines, so it must not read files.
    """

    name: str
    help: str
    describe: Callable[[str], str]
    declare: Callable[[str, str], Backbone]
    modules: tuple[str, ...] = ()
    install: str = ""


BACKBONE_SOURCES: Registry[BackboneSource] = Registry("backbone source")


class _Backbones(Registry[Backbone]):
    """The registered backbones, and those that a backbone source declares by name."""

    def __init__(self) -> None:
        super().__init__("backbone", listed_by="`list zoo`")
        self._described: dict[str, str] = {}  # backbone name to its source's description

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
        """Return the sources' descriptions of these backbones; registered ones have none."""
        return {name: self._described[name] for name in names if name in self._described}

    def describe(self, descriptions: Mapping[str, str]) -> None:
        """Add descriptions from another process, so that no source is queried in this one."""
        self._described.update(descriptions)

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or self._source(str(name)) is not None

    def _source(self, name: str) -> BackboneSource | None:
        if name in self._items:
            return None
        return next((one for one in BACKBONE_SOURCES if name.startswith(one.name)), None)


BACKBONES = _Backbones()


def resolve(reference: Reference) -> Callable[..., Any]:
    """Return the callable that `"package.module:attribute"` names, or a given callable itself."""
    if callable(reference):
        return reference
    module_name, _, attribute = reference.partition(":")
    if not attribute:
        raise BenchError(f"reference {reference!r} has no ':'; write 'package.module:name'.")
    target: Any = importlib.import_module(module_name)
    for part in attribute.split("."):
        target = getattr(target, part)
    if not callable(target):
        raise BenchError(f"reference {reference!r} does not name a callable.")
    return target  # type: ignore[no-any-return]


def load_plugins(paths: Iterable[Path] = (), packages: Iterable[str] = ()) -> list[PluginError]:
    """Import the installed entry points, the modules of `packages`, and the files of `paths`.

    A module that is named twice is loaded once. Return the errors of entry points and packages that
    failed; PluginError if a file of `paths` cannot be loaded.
    """
    from importlib.metadata import entry_points  # late: it takes a third of the time of --help

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
    """Return the names in a comma-separated text, `NAME,NAME`."""
    return [name.strip() for name in text.split(",") if name.strip()]


def lacking(kind: str, item: Optional) -> str:
    """Return what an optional item lacks and how to install it; "" if it can be used."""
    what = f"{kind} {item.name.removesuffix(':')} needs"
    missing = [module for module in item.modules if find_spec(module) is None]
    install = f"{', '.join(missing)}; install it with `pip install '{item.install}'`."
    if (backend := backend_of(item)) not in ("", found := keras_backend()):
        more = f", and {install}" if missing else "."
        return f"{what} KERAS_BACKEND={backend} instead of {found}{more}"
    return f"{what} {install}" if missing else ""


def backend_of(item: Optional) -> str:
    """Return the Keras backend that an optional item needs; "" if it works on all."""
    return next((module for module in item.modules if module in KERAS_BACKENDS), "")


def require(kind: str, item: Optional) -> None:
    """Raise UsageError if an optional item's packages or Keras backend are missing."""
    if text := lacking(kind, item):
        raise UsageError(text)


def import_modules(package: str) -> None:
    """Import all modules of a package, in order of name, so that they register their items."""
    for module in sorted(_modules_of(package)):
        importlib.import_module(module)


def _modules_of(package: str) -> list[str]:
    folders = importlib.import_module(package).__path__
    return [f"{package}.{module.name}" for module in pkgutil.iter_modules(folders)]


@contextmanager
def _all_or_nothing(errors: list[PluginError], origin: str, module: str) -> Iterator[None]:
    """If a plugin fails inside, append its error to `errors` and remove all that it registered.

    `module`: the plugin's module, or the package that contains it.
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
