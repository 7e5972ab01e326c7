"""The training protocol, read from a TOML file: the same for every backbone of a run.

A protocol is a head, then phases in order. The TOML files in this folder ship with the program;
any other may be given by its path. msgspec checks each value against the type of its field, and all
mistakes of a file are reported at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from msgspec import Meta, ValidationError, convert, inspect

from bench.errors import ProtocolError, UnknownNameError
from bench.system.files import read_toml, to_json

Pooling = Literal["average", "max", "flatten"]
Output = Literal["auto", "sigmoid", "softmax"]
Optimizer = Literal["adam", "rmsprop", "sgd"]
BatchNorm = Literal["frozen", "trained"]

FOLDER = Path(__file__).parent
COUNTS: Mapping[str, Any] = {
    "stages": Annotated[int, Meta(ge=1, le=1000)],
    "from_layer": Annotated[int, Meta(ge=0, le=100_000)],
}


@dataclass(frozen=True)
class Head:
    """The layers on top of the backbone: pooling, dense layers, dropout, output."""

    pooling: Pooling = "average"
    # Units of each dense ReLU layer before the output.
    hidden: tuple[Annotated[int, Meta(ge=1, le=65536)], ...] = ()
    dropout: Annotated[float, Meta(ge=0, le=0.95)] = 0.0  # before the output
    output: Output = "auto"  # auto: one sigmoid unit for two classes, softmax for more


@dataclass(frozen=True)
class Unfreeze:
    """The part of the backbone that a phase trains."""

    kind: Literal["none", "stages", "from_layer", "all"] = "none"
    count: int = 0  # number of last stages, or index of the first trained layer

    def __str__(self) -> str:
        if self.kind == "stages":
            return "last stage" if self.count == 1 else f"last {self.count} stages"
        if self.kind == "from_layer":
            return f"from layer {self.count}"
        return {"none": "nothing", "all": "everything"}[self.kind]


@dataclass(frozen=True)
class Augment:
    """Random augmentation of the training images.

    `views`: how many augmented versions are drawn and cached for each image; 0 draws new ones in
    every epoch, each of which needs a forward pass through the frozen part.
    """

    flip: bool = False  # left-right, with probability 1/2
    rotation: Annotated[float, Meta(ge=0, le=180)] = 0.0  # degrees, either way
    shift: Annotated[float, Meta(ge=0, le=1)] = 0.0  # fraction of width and height, either way
    shear: Annotated[float, Meta(ge=0, le=80)] = 0.0  # degrees, either way
    zoom: Annotated[float, Meta(ge=0, le=0.95)] = 0.0  # 0.2: between 0.8 and 1.2 times
    views: Annotated[int, Meta(ge=0, le=1000)] = 0

    def __post_init__(self) -> None:
        if self.views and not self.continuous:
            raise ValueError(
                ".views is for rotation, shift, shear and zoom; a flip alone has two views, which "
                "are always cached."
            )

    @property
    def continuous(self) -> bool:
        """Return whether there is more than a flip, so that an image has infinitely many views."""
        return any((self.rotation, self.shift, self.shear, self.zoom))


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when `monitor` has not improved for `patience` epochs; keep the best weights."""

    monitor: Literal["val_loss", "val_accuracy"] = "val_loss"
    patience: Annotated[int, Meta(ge=1, le=100_000)] = 3


@dataclass(frozen=True)
class Phase:
    """One part of training with one set of trainable weights."""

    name: str
    epochs: Annotated[int, Meta(ge=1, le=100_000)]
    learning_rate: Annotated[float, Meta(ge=1e-12, le=100)]
    optimizer: Optimizer = "adam"
    unfreeze: Unfreeze = Unfreeze()
    batchnorm: BatchNorm = "frozen"
    augment: Augment = Augment()
    early_stopping: EarlyStopping | None = None


@dataclass(frozen=True)
class TrainingProtocol:
    """How every backbone of a run is trained."""

    name: str
    summary: str
    head: Head
    phases: tuple[Phase, ...]
    # For all backbones; None: each backbone's own size.
    input_size: Annotated[int, Meta(ge=32, le=2048)] | None = None
    batch_size: Annotated[int, Meta(ge=1, le=65536)] = 32

    @property
    def digest(self) -> str:
        """Return the hash of all fields that affect training: all but the name and summary."""
        facts = asdict(self)
        del facts["name"], facts["summary"]
        return hashlib.sha256(to_json(facts).encode()).hexdigest()[:16]

    @property
    def epochs(self) -> int:
        return sum(phase.epochs for phase in self.phases)


def load_protocol(name_or_path: str) -> TrainingProtocol:
    """Return the built-in protocol of a name, or the protocol in a TOML file."""
    path = Path(name_or_path)
    if path.suffix != ".toml":
        if name_or_path not in protocol_names():
            raise UnknownNameError("protocol", name_or_path, protocol_names())
        path = FOLDER / f"{name_or_path}.toml"
    return parse_protocol(read_toml(path, "protocol", ProtocolError), path.stem)


def protocol_names() -> tuple[str, ...]:
    """Return the names of the built-in protocols, `default` first."""
    names = (path.stem for path in FOLDER.glob("*.toml"))
    return tuple(sorted(names, key=lambda name: (name != "default", name)))


def parse_protocol(raw: Mapping[str, Any], name: str) -> TrainingProtocol:
    """Return the protocol in parsed TOML; ProtocolError lists all mistakes with their keys."""
    what, reader = f"protocol {name}", _Reader()
    phases = raw.get("phases", [])
    if _is_table_list(phases):
        phases = [{"name": f"phase {i}"} | phase for i, phase in enumerate(phases, 1)]
    raw = {"summary": "", "head": {}, **raw, "phases": phases}
    protocol = reader.table(TrainingProtocol, raw, what, name=name)
    names = [phase["name"] for phase in phases] if _is_table_list(phases) else []
    if any(names.count(one) > 1 for one in names):
        reader.add_mistake(f"{what}: phases need different names, got {names}.")
    reader.finish(what)
    assert isinstance(protocol, TrainingProtocol)  # otherwise `finish` has raised
    return protocol


class _Reader:
    """Reads TOML tables as dataclasses, and collects all mistakes with their keys."""

    def __init__(self) -> None:
        self._mistakes: list[tuple[bool, str]] = []  # False: an unknown key

    def finish(self, what: str) -> None:
        """Raise the collected mistakes, unknown keys first: a missing key is often misspelt."""
        found = [text for _, text in sorted(self._mistakes, key=lambda mistake: mistake[0])]
        if len(found) == 1:
            raise ProtocolError(found[0])
        if found:
            raise ProtocolError("\n  ".join([f"{what} has {len(found)} mistakes:", *found]))

    def add_mistake(self, text: str) -> None:
        """Collect a mistake, other than an unknown key."""
        self._mistakes.append((True, text))

    def table(self, kind: Any, raw: Any, where: str, **given: Any) -> Any:
        """Return the table `raw` as a dataclass `kind`; None if it has mistakes.

        `where`: the table's key, for messages. `given`: fields that are not read from the table.
        """
        if not isinstance(raw, dict):
            return self._refuse(where, "a table", raw)
        before, values = len(self._mistakes), given
        hints = get_type_hints(kind, include_extras=True)
        read = {f.name: f for f in fields(kind) if f.name not in given}
        for name, field in read.items():
            if name in raw:
                values[name] = self._value(hints[name], raw[name], f"{where}.{name}")
            elif field.default is MISSING:
                self.add_mistake(f"{where}.{name} is missing; it is required.")
        for key in raw:
            if key not in read:
                text = f"{where}: {UnknownNameError('key', key, read)}"
                self._mistakes.append((False, text))
        try:
            return None if len(self._mistakes) > before else kind(**values)
        except ValueError as error:
            self.add_mistake(f"{where}{error}")
            return None

    def _value(self, hint: Any, raw: Any, where: str) -> Any:
        if hint is Unfreeze:
            return self._unfreeze(raw, where)
        kinds = (hint, *get_args(hint))
        table = next((one for one in kinds if is_dataclass(one)), None)
        if table is None:
            try:
                return convert(raw, hint)
            except ValidationError:
                return self._refuse(where, _describe_type(inspect.type_info(hint)), raw)
        if get_origin(hint) is not tuple:
            return self.table(table, raw, where)
        if not _is_table_list(raw):
            return self._refuse(where, f"one or more [[{where.rpartition('.')[2]}]] tables", raw)
        return tuple(self.table(table, one, f"{where}[{i}]") for i, one in enumerate(raw, 1))

    def _unfreeze(self, raw: Any, where: str) -> Any:
        if raw in ("none", "all"):
            return Unfreeze(raw)
        if isinstance(raw, dict) and len(raw) == 1 and raw.keys() <= COUNTS.keys():
            ((kind, count),) = raw.items()
            return Unfreeze(kind, self._value(COUNTS[kind], count, f"{where}.{kind}"))
        return self._refuse(where, "'none', 'all', {stages = N} or {from_layer = N}", raw)

    def _refuse(self, where: str, wanted: str, got: object) -> Any:
        self.add_mistake(f"{where} must be {wanted}, got {got!r}.")
        return None


def _is_table_list(raw: object) -> bool:
    return isinstance(raw, list) and bool(raw) and all(isinstance(one, dict) for one in raw)


def _describe_type(kind: inspect.Type) -> str:
    """Return the description of an allowed value, for a message."""
    match kind:
        case inspect.IntType():
            return f"a whole number from {kind.ge} to {kind.le}"
        case inspect.FloatType():
            return f"a number from {kind.ge:g} to {kind.le:g}"
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType():
            return "one of " + ", ".join(map(repr, kind.values))
        case inspect.VarTupleType(item_type=inspect.IntType(ge=least, le=most)):
            return f"a list of whole numbers from {least} to {most}"
        case inspect.UnionType():
            return _describe_type(kind.types[0])
        case _:
            return "a text"
