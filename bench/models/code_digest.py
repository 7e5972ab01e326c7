"""Digests of what a backbone computes: of its code, and of its network with weights.

The code's digest needs no framework. A backbone whose plugin was edited is another backbone, even
under the same name: the digest covers the source files that `build` and `preprocess` (and the
reader of packaged weights) are in, the local modules that those import, and the versions of the
installed packages that they use. Paths do not count: a plugin may be moved.

The network's fingerprint is the address of its cached activations. It covers the loaded weights,
the layers with their configuration and connections, what the preprocessing makes of a fixed image,
and the code digest (a custom layer's `call` is in no configuration). The network's own output is
left out: its last bits depend on the number of threads and, on a GPU, on the algorithms chosen, so
that a digest of it would miss the cache for no reason, and computing it takes up to a second.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache, partial
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.models.cuts import FINDING
from bench.types import Backbone, PackagedWeights, Reference

if TYPE_CHECKING:
    from bench.models.network import Network

PROBE_SEED = 0
_TEXT = r'"(?:[^"\\]|\\.)*"'  # in JSON
_distributions = cache(packages_distributions)  # reads what every distribution says of itself
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


def fingerprint(network: Network, weights_sha256: str) -> str:
    """Return the SHA-256 of what the network with these weights computes from pixels."""
    from keras import ops

    sha = hashlib.sha256()
    for fact in (weights_sha256, code_digest(network.backbone), repr(_structure(network.base))):
        sha.update(fact.encode() + b"\0")
    size = network.input_size
    probe = np.random.default_rng(PROBE_SEED).integers(0, 256, (1, size, size, 3), np.uint8)
    seen = ops.convert_to_numpy(network.preprocess(probe)).astype("float32")
    sha.update(f"{seen.shape}".encode() + np.ascontiguousarray(seen).tobytes())
    return sha.hexdigest()


def _structure(model: Any) -> Any:
    """Return the model's configuration with names numbered in their order: automatic ones depend on
    what else was built in the process."""
    from keras import tree

    try:
        config = json.dumps(json.loads(model.to_json())["config"], sort_keys=True)
    except (NotImplementedError, TypeError, ValueError):
        # A layer that cannot say how it was made; its code is part of the digest all the same.
        return [
            (type(op).__name__, [tuple(tensor.shape) for tensor in tree.flatten(op.output)])
            for op in model.operations
        ]
    names = dict.fromkeys(re.findall(rf'"name": ({_TEXT})', config))
    numbers = {name: str(number) for number, name in enumerate(names)}
    return re.sub(_TEXT, lambda found: numbers.get(found[0], found[0]), config)


class _Code:
    """The files and packages that were met while references were followed."""

    def __init__(self) -> None:
        self.files: dict[Path, str] = {}  # of local source: SHA-256 of the content
        self.packages: dict[str, str] = {}  # installed ones: their versions
        self._met: dict[int, object] = {}  # kept alive, so that no number is given twice

    def reference(self, reference: Reference) -> Any:
        """Describe what a reference names, following its code."""
        if isinstance(reference, str):
            self._module(reference.partition(":")[0], None)
            return reference
        return self._describe(reference)

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
        self._module(getattr(value, "__module__", None) or named.__module__, None)
        bound: Any = None
        if isinstance(value, FunctionType):
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
            bound = [value.__defaults__, value.__kwdefaults__, cells]
        elif named is not value:
            bound = getattr(value, "__dict__", None)
        return [named.__qualname__, self._describe(bound)]

    def _module(self, name: str, importer: Path | None) -> None:
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top == "bench":
            return
        file = _file_of(name, importer)
        if file is None:
            return
        if _is_installed(name, file):
            self.packages[top] = _version_of(top)
        elif file not in self.files:
            status = file.stat()
            digest, imported = _read(file, status.st_mtime_ns, status.st_size)
            self.files[file] = digest
            package = name if file.name == "__init__.py" else name.rpartition(".")[0]
            for found in imported:
                if absolute := _absolute(found, package):
                    self._module(absolute, file)


@lru_cache
def _read(file: Path, modified: int, size: int) -> tuple[str, tuple[str, ...]]:
    """Return the digest of a source file, and the modules that it imports anywhere in it."""
    content = file.read_bytes()
    imported = () if file.suffix != ".py" else tuple(dict.fromkeys(_imports(content)))
    return hashlib.sha256(content).hexdigest(), imported


def _imports(content: bytes) -> Iterator[str]:
    for node in ast.walk(ast.parse(content)):
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


def _file_of(name: str, importer: Path | None) -> Path | None:
    """Return the file of a module, found without importing it or a package above it."""
    loaded = getattr(sys.modules.get(name), "__file__", None)
    if loaded is not None:
        return Path(loaded).resolve()
    top, *below = name.split(".")
    folders = [] if importer is None else [importer.parent]
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is not None:
        if not below and spec.origin is not None and Path(spec.origin).is_file():
            return Path(spec.origin).resolve()
        folders += [Path(folder).parent for folder in spec.submodule_search_locations or ()]
    for folder in folders:
        path = folder.joinpath(top, *below)
        for file in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
            if file.is_file():
                return file.resolve()
    return None


def _is_installed(module: str, file: Path) -> bool:
    """Tell whether a file belongs to an installed package, whose version says what it computes.

    Packages are in more folders than this Python's own: of the user, of the system, and those that
    `pip install --target` filled. There the package's `dist-info` lies beside it.
    """
    if not _INSTALLED.isdisjoint(file.parents):
        return True
    folder = file.parents[module.count(".") + (file.name == "__init__.py")]
    return any(folder.glob("*.dist-info")) and bool(_version_of(module.partition(".")[0]))


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        named = _distributions().get(package, ())
        return ", ".join(f"{name} {version(name)}" for name in named)
