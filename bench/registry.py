"""Registries: dictionaries with good errors, and the loading of plugins that fill them.

A registry knows nothing of what it holds but its name. `load_plugins` imports the installed entry
points and the files a user points to; one that breaks is reported and the rest still load.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from bench.errors import BenchError, PluginError, UnknownNameError
from bench.types import Backbone, Reference

ENTRY_POINT_GROUP = "backbone_bench.backbones"


class Named(Protocol):
    """Anything with a name."""

    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)


class Registry(Generic[T]):
    """Named things, in the order they were added."""

    def __init__(self, kind: str, *, listed_by: str = "") -> None:
        """`listed_by`: the command that shows all, for the error about an unknown name."""
        self.kind, self._listed_by = kind, listed_by
        self._items: dict[str, T] = {}

    def add(self, item: T) -> T:
        """Register `item`; a second one of the same name is an error, not a replacement."""
        if item.name in self._items:
            raise BenchError(
                f"{self.kind} {item.name!r} is registered twice; give one another name."
            )
        self._items[item.name] = item
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


BACKBONES: Registry[Backbone] = Registry("backbone", listed_by="`list`")


def resolve(reference: Reference) -> Callable[..., Any]:
    """The callable that `"package.module:attribute"` names; a callable is returned as it is."""
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
    or folder; return what broke. What is named twice is loaded once."""
    broken: list[PluginError] = []
    modules = {point.value: f" (entry point {point.name})" for point in _entry_points()}
    modules |= {module: "" for package in packages for module in _modules_of(package)}
    for module, origin in modules.items():
        _attempt(broken, module + origin, partial(importlib.import_module, module))
    for path in paths:
        for file in _plugin_files(path, broken):
            _attempt(broken, str(file), partial(_import_file, file))
    return broken


def _entry_points() -> list[EntryPoint]:
    return sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name)


def _modules_of(package: str) -> list[str]:
    folders = importlib.import_module(package).__path__
    return [f"{package}.{module.name}" for module in pkgutil.iter_modules(folders)]


def _plugin_files(path: Path, broken: list[PluginError]) -> list[Path]:
    if path.is_dir():
        files = [f for f in sorted(path.glob("*.py")) if not f.name.startswith("_")]
        if not files:
            broken.append(PluginError(f"plugin folder {path} holds no .py file."))
        return files
    if not path.is_file():
        broken.append(PluginError(f"plugin {path} does not exist; give a .py file or a folder."))
        return []
    return [path]


def _attempt(broken: list[PluginError], origin: str, load: Callable[[], object]) -> None:
    before = dict(BACKBONES._items)
    try:
        load()
    except (Exception, SystemExit) as error:
        # Half a plugin is worse than none: what it registered before it broke is taken back.
        BACKBONES._items.clear()
        BACKBONES._items.update(before)
        broken.append(PluginError(f"plugin {origin} could not be loaded: {_cause(error)}"))


def _cause(error: BaseException) -> str:
    where = ""
    if isinstance(error, SyntaxError) and error.lineno:
        where = f" (line {error.lineno})"
    elif error.__traceback__ is not None:
        trace = error.__traceback__
        while trace.tb_next is not None:
            trace = trace.tb_next
        where = f" (line {trace.tb_lineno} of {Path(trace.tb_frame.f_code.co_filename).name})"
    return f"{type(error).__name__}: {error}{where}"


def _import_file(file: Path) -> None:
    resolved = file.resolve()
    name = "backbone_bench_plugin_" + hashlib.sha256(str(resolved).encode()).hexdigest()[:16]
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, resolved)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
