"""The digest of the code that a backbone's network depends on, computed without a framework.

A backbone whose plugin was edited is a different backbone, even under the same name. The digest
covers the source files that define `build`, `preprocess` and the loader of packaged weights, the
local modules that these files import, and the versions of the installed packages that they use.
Paths are not part of it: a plugin may be moved.
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

from bench.models.cuts import STAGE_RULE_VERSION
from bench.types import Backbone, PackagedWeights, Reference

SUFFIXES = (*EXTENSION_SUFFIXES, *SOURCE_SUFFIXES, *BYTECODE_SUFFIXES)
_INSTALLED = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}


def code_digest(backbone: Backbone) -> str:
    """Return the digest of all code that the backbone's network depends on."""
    code = _CodeCollector()
    references: list[Reference] = [backbone.build, backbone.preprocess]
    if isinstance(backbone.weights, PackagedWeights):
        references.append(backbone.weights.load)
    declared = [code.add_reference(reference) for reference in references]
    content = (
        declared,
        backbone.stages or STAGE_RULE_VERSION,
        sorted((path.name, digest) for path, digest in code.files.items()),
        sorted(code.packages.items()),
    )
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]


class _CodeCollector:
    """The local source files and installed packages that references depend on.

    The result does not depend on the modules already loaded: the planning process, a worker and a
    process that has built other networks all get the same. An import is therefore resolved on the
    current `sys.path` and in the folder of the importing file, because a plugin may add its folder
    to `sys.path` temporarily. `sys.modules` is used only for the module that defines an object,
    which every process has loaded.
    """

    def __init__(self) -> None:
        self.files: dict[Path, str] = {}  # local source file -> SHA-256 of its content
        self.packages: dict[str, str] = {}  # installed package -> version
        self._visited: dict[int, object] = {}  # by id; the reference keeps the id from being reused

    def add_reference(self, reference: Reference) -> Any:
        """Return a description of the referenced object, and collect its code."""
        if not isinstance(reference, str):
            return self._describe(reference)
        name = reference.partition(":")[0]
        if not self._collect_module(name):
            self._collect_namespace(_loaded_namespace(name))  # a module that a plugin created
        return reference

    def _describe(self, value: Any) -> Any:
        """Return a callable and its bound arguments as plain data, and collect their code."""
        if value is None or isinstance(value, str | int | float | bool):
            return value
        if isinstance(value, list | tuple):
            return [self._describe(item) for item in value]
        if isinstance(value, Mapping):
            return sorted((str(key), self._describe(item)) for key, item in value.items())
        if id(value) in self._visited:
            return "as above"
        self._visited[id(value)] = value
        if isinstance(value, partial):
            return [self._describe(part) for part in (value.func, value.args, value.keywords)]
        if isinstance(value, MethodType):
            return [self._describe(part) for part in (value.__func__, value.__self__)]
        named = value if hasattr(value, "__qualname__") else type(value)
        bound: Any = None
        if isinstance(value, FunctionType):
            self._collect_namespace(value.__globals__)
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
            bound = [value.__defaults__, value.__kwdefaults__, cells]
        else:
            self._collect_namespace(
                _loaded_namespace(getattr(value, "__module__", None) or named.__module__)
            )
            bound = None if named is value else getattr(value, "__dict__", None)
        return [named.__qualname__, self._describe(bound)]

    def _collect_namespace(self, namespace: Mapping[str, Any]) -> None:
        """Collect the module whose globals are `namespace`."""
        name, file = namespace.get("__name__", ""), Path(namespace.get("__file__") or "")
        if not file.is_file():
            self._collect_module(name)
        elif not _is_known(name):
            self._collect_file(name, file.resolve(), [_import_root(name, file.resolve())])

    def _collect_module(self, name: str, near: Sequence[Path] = ()) -> bool:
        """Collect all files that importing a module may run; return whether there are any.

        `near` are the folders that contain the importing file or its top-level package.
        """
        if _is_known(name):
            return True
        files = list(_module_files(name, near))
        for module, file, folders in files:
            self._collect_file(module, file, folders)
        return bool(files)

    def _collect_file(self, module: str, file: Path, near: Sequence[Path]) -> None:
        top = module.partition(".")[0]
        if _is_installed(module, file):
            self.packages[top] = _package_version(top)
        elif file not in self.files:
            status = file.stat()
            digest, imported = _read_source(file, status.st_mtime_ns, status.st_size)
            self.files[file] = digest
            package = module if _is_package(file) else module.rpartition(".")[0]
            for name in imported:
                if absolute := _resolve_import(name, package):
                    self._collect_module(absolute, near)


@lru_cache
def _read_source(file: Path, modified: int, size: int) -> tuple[str, tuple[str, ...]]:
    """Return the digest of a source file, and all modules that it imports, also inside functions.

    `modified` and `size` are part of the cache key, so that an edited file is read again.
    """
    content = file.read_bytes()
    imported = () if file.suffix != ".py" else tuple(dict.fromkeys(_imported_names(content)))
    return hashlib.sha256(content).hexdigest(), imported


def _imported_names(content: bytes) -> Iterator[str]:
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # not valid in this Python version
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            if node.module:
                yield start
            # A name imported from a package may be one of its modules.
            dot = "." if node.module else ""
            yield from (f"{start}{dot}{alias.name}" for alias in node.names)


def _resolve_import(name: str, package: str) -> str | None:
    try:
        return importlib.util.resolve_name(name, package)
    except ImportError:  # a relative import in a file outside of a package
        return None


def _module_files(name: str, near: Sequence[Path]) -> Iterator[tuple[str, Path, Sequence[Path]]]:
    """Yield (module name, file, folders to resolve its imports in) for a module and its parents."""
    top, *below = name.split(".")
    for folders, (file, inside) in (
        (near, _find_in_folders(top, near)),
        ((), _find_top_level(top)),
    ):
        module = top
        if file is not None:
            yield module, file, folders
        for part in below:
            file, inside = _find_in_folders(part, inside)
            module = f"{module}.{part}"
            if file is not None:
                yield module, file, folders


def _find_in_folders(part: str, folders: Iterable[Path]) -> tuple[Path | None, list[Path]]:
    """Return the file of a module or package, and the folders that contain its submodules.

    A namespace package has no file, and possibly several folders.
    """
    inside = []
    for folder in folders:
        for stem in (f"{part}/__init__", part):  # in the order in which Python searches
            for suffix in SUFFIXES:
                if (file := folder / f"{stem}{suffix}").is_file():
                    return file.resolve(), [folder / part] if _is_package(file) else []
        if (folder / part).is_dir():
            inside.append(folder / part)
    return None, inside


def _find_top_level(top: str) -> tuple[Path | None, list[Path]]:
    """Return the same as `_find_in_folders` for a top-level module, ignoring `sys.modules`."""
    for finder in sys.meta_path:
        with suppress(ImportError):
            if (spec := finder.find_spec(top, None)) is not None:
                file = Path(spec.origin or "")
                folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
                return file.resolve() if file.is_file() else None, folders
    return None, []


def _loaded_namespace(name: str) -> Mapping[str, Any]:
    """Return the namespace of a loaded module; for any other module only its `__name__`."""
    return getattr(sys.modules.get(name), "__dict__", {"__name__": name})


def _is_known(module: str) -> bool:
    """Return whether a module is in the standard library or in `bench`: no digest covers these."""
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names or top in ("bench", "")


def _is_package(file: Path) -> bool:
    return file.name.startswith("__init__.")


def _import_root(module: str, file: Path) -> Path:
    """Return the folder that must be on `sys.path` to import a module from its file."""
    return file.parents[module.count(".") + _is_package(file)]


def _is_installed(module: str, file: Path) -> bool:
    """Return whether a file belongs to an installed package, which its version identifies.

    Besides this Python's own folders, packages are in those of the user and of the system, and in
    targets of `pip install --target`; there a `dist-info` folder is next to the package.
    """
    if not _INSTALLED.isdisjoint(file.parents):
        return True
    has_dist_info = any(_import_root(module, file).glob("*.dist-info"))
    return has_dist_info and bool(_package_version(module.partition(".")[0]))


def _package_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        names = _distributions(tuple(sys.path)).get(package, ())
        return ", ".join(f"{name} {version(name)}" for name in names)


@cache  # slow: it reads the metadata of every distribution
def _distributions(path: tuple[str, ...]) -> Mapping[str, Sequence[str]]:
    return packages_distributions()
