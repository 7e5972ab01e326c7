"""The digest of the code that decides what a backbone computes; it needs no framework.

A backbone whose plugin was edited is another backbone, even under the same name: the digest covers
the source files that `build` and `preprocess` (and the reader of packaged weights) are in, the
local modules that those import, and the versions of the installed packages that they use. Paths do
not count: a plugin may be moved.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, lru_cache, partial
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

from bench.models.cuts import FINDING
from bench.types import Backbone, PackagedWeights, Reference

SUFFIXES = (*EXTENSION_SUFFIXES, *SOURCE_SUFFIXES, *BYTECODE_SUFFIXES)
_INSTALLED = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}


def code_digest(backbone: Backbone) -> str:
    """Return the digest of all code that decides what the backbone's network computes."""
    code = _Code()
    references: list[Reference] = [backbone.build, backbone.preprocess]
    if isinstance(backbone.weights, PackagedWeights):
        references.append(backbone.weights.load)
    declared = [code.reference(reference) for reference in references]
    facts = (
        declared,
        backbone.stages or FINDING,
        sorted((path.name, digest) for path, digest in code.files.items()),
        sorted(code.packages.items()),
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


class _Code:
    """The files and packages that were met while references were followed.

    They do not depend on what else a process has loaded: the plan, the worker, and a process that
    has built other networks agree. So an import is looked for where Python would now find it, and
    where the importing file was found, as a plugin may add its folder to `sys.path` for a moment
    only. `sys.modules` is asked for what defined a given object, which every process has run.
    """

    def __init__(self) -> None:
        self.files: dict[Path, str] = {}  # of local source: SHA-256 of the content
        self.packages: dict[str, str] = {}  # installed ones: their versions
        self._met: dict[int, object] = {}  # kept alive, so that no number is given twice

    def reference(self, reference: Reference) -> Any:
        """Describe what a reference names, following its code."""
        if not isinstance(reference, str):
            return self._describe(reference)
        name = reference.partition(":")[0]
        if not self._module(name):
            self._defined(_loaded(name))  # what a plugin has put there
        return reference

    def _describe(self, value: Any) -> Any:
        """Describe a callable, with the arguments that are bound to it, as plain data."""
        if value is None or isinstance(value, str | int | float | bool):
            return value
        if isinstance(value, list | tuple):
            return [self._describe(item) for item in value]
        if isinstance(value, Mapping):
            return sorted((str(key), self._describe(item)) for key, item in value.items())
        if id(value) in self._met:
            return "as above"
        self._met[id(value)] = value
        if isinstance(value, partial):
            return [self._describe(part) for part in (value.func, value.args, value.keywords)]
        if isinstance(value, MethodType):
            return [self._describe(part) for part in (value.__func__, value.__self__)]
        named = value if hasattr(value, "__qualname__") else type(value)
        bound: Any = None
        if isinstance(value, FunctionType):
            self._defined(value.__globals__)
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
            bound = [value.__defaults__, value.__kwdefaults__, cells]
        else:
            self._defined(_loaded(getattr(value, "__module__", None) or named.__module__))
            bound = None if named is value else getattr(value, "__dict__", None)
        return [named.__qualname__, self._describe(bound)]

    def _defined(self, namespace: Mapping[str, Any]) -> None:
        """Follow the module that a namespace is of."""
        name, file = namespace.get("__name__", ""), Path(namespace.get("__file__") or "")
        if not file.is_file():
            self._module(name)
        elif not _is_known(name):
            self._file(name, file.resolve(), [_root(name, file.resolve())])

    def _module(self, name: str, near: Sequence[Path] = ()) -> bool:
        """Follow all files that importing a module may run; tell whether there are any.

        `near`: the folders in which the importing file's own package, or itself, was found.
        """
        if _is_known(name):
            return True
        found = list(_files(name, near))
        for module, file, folders in found:
            self._file(module, file, folders)
        return bool(found)

    def _file(self, module: str, file: Path, near: Sequence[Path]) -> None:
        top = module.partition(".")[0]
        if _is_installed(module, file):
            self.packages[top] = _version_of(top)
        elif file not in self.files:
            status = file.stat()
            digest, imported = _read(file, status.st_mtime_ns, status.st_size)
            self.files[file] = digest
            package = module if _is_package(file) else module.rpartition(".")[0]
            for found in imported:
                if absolute := _absolute(found, package):
                    self._module(absolute, near)


@lru_cache
def _read(file: Path, modified: int, size: int) -> tuple[str, tuple[str, ...]]:
    """Return the digest of a source file, and the modules that it imports anywhere in it."""
    content = file.read_bytes()
    imported = () if file.suffix != ".py" else tuple(dict.fromkeys(_imports(content)))
    return hashlib.sha256(content).hexdigest(), imported


def _imports(content: bytes) -> Iterator[str]:
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # nothing that this Python could run
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            if node.module:
                yield start
            # What is imported from a package may be a module of it.
            dot = "." if node.module else ""
            yield from (f"{start}{dot}{alias.name}" for alias in node.names)


def _absolute(name: str, package: str) -> str | None:
    try:
        return importlib.util.resolve_name(name, package)
    except ImportError:  # a relative import in a file that is in no package
        return None


def _files(name: str, near: Sequence[Path]) -> Iterator[tuple[str, Path, Sequence[Path]]]:
    """Yield the files that importing a module may run: of the packages that it is in, and its own;
    each with its module's name and where to look for what it imports."""
    top, *below = name.split(".")
    for folders, (file, inside) in ((near, _find(top, near)), ((), _importable(top))):
        module = top
        if file is not None:
            yield module, file, folders
        for part in below:
            file, inside = _find(part, inside)
            module = f"{module}.{part}"
            if file is not None:
                yield module, file, folders


def _find(part: str, folders: Iterable[Path]) -> tuple[Path | None, list[Path]]:
    """Return the file of a module or package in the first folder that has one, and the folders of
    what is below it; a package without a file of its own may be in many."""
    inside = []
    for folder in folders:
        for stem in (f"{part}/__init__", part):  # in Python's order, as the suffixes are
            for suffix in SUFFIXES:
                if (file := folder / f"{stem}{suffix}").is_file():
                    return file.resolve(), [folder / part] if _is_package(file) else []
        if (folder / part).is_dir():
            inside.append(folder / part)
    return None, inside


def _importable(top: str) -> tuple[Path | None, list[Path]]:
    """Return the same for a top-level module, found as Python would, but whatever is loaded."""
    for finder in sys.meta_path:
        with suppress(ImportError):
            if (spec := finder.find_spec(top, None)) is not None:
                file = Path(spec.origin or "")
                folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
                return file.resolve() if file.is_file() else None, folders
    return None, []


def _loaded(name: str) -> Mapping[str, Any]:
    """Return the namespace of a module that is loaded, or else only its name."""
    return getattr(sys.modules.get(name), "__dict__", {"__name__": name})


def _is_known(module: str) -> bool:
    """Tell whether a module is Python's or the harness's own, whose code is in no digest."""
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names or top in ("bench", "")


def _is_package(file: Path) -> bool:
    return file.name.startswith("__init__.")


def _root(module: str, file: Path) -> Path:
    """Return the folder from which a module's file is imported by its name."""
    return file.parents[module.count(".") + _is_package(file)]


def _is_installed(module: str, file: Path) -> bool:
    """Tell whether a file belongs to an installed package, whose version says what it computes.

    Packages are in more folders than this Python's own: of the user, of the system, and those that
    `pip install --target` filled. There the package's `dist-info` lies beside it.
    """
    if not _INSTALLED.isdisjoint(file.parents):
        return True
    is_beside = any(_root(module, file).glob("*.dist-info"))
    return is_beside and bool(_version_of(module.partition(".")[0]))


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        named = _distributions(tuple(sys.path)).get(package, ())
        return ", ".join(f"{name} {version(name)}" for name in named)


@cache  # it reads what every distribution says of itself
def _distributions(path: tuple[str, ...]) -> Mapping[str, Sequence[str]]:
    return packages_distributions()
