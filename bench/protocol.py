"""The training protocol: data, read from TOML, the same for every backbone in a run.

A protocol is a head, then phases in order. The files under `protocols/` are the ones that ship;
any path to a TOML file is as good. What is here reads and checks; `train.py` follows it.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from bench.errors import ProtocolError, UnknownNameError
from bench.files import to_json

Pooling = Literal["average", "max", "flatten"]
Output = Literal["auto", "sigmoid", "softmax"]
Optimizer = Literal["adam", "rmsprop", "sgd"]
BatchNorm = Literal["frozen", "trained"]

FOLDER = Path(__file__).parent / "protocols"


@dataclass(frozen=True)
class Head:
    """What is put on top of the backbone."""

    pooling: Pooling = "average"
    hidden: tuple[int, ...] = ()  # units of the dense ReLU layers before the output
    dropout: float = 0.0  # before the output
    output: Output = "auto"  # auto: one sigmoid unit for two classes, softmax for more


@dataclass(frozen=True)
class Unfreeze:
    """Which part of the backbone a phase trains."""

    kind: Literal["none", "stages", "from_layer", "all"] = "none"
    count: int = 0  # how many last stages, or the first trained layer's index

    def __str__(self) -> str:
        if self.kind == "stages":
            return "last stage" if self.count == 1 else f"last {self.count} stages"
        if self.kind == "from_layer":
            return f"from layer {self.count}"
        return {"none": "nothing", "all": "everything"}[self.kind]


@dataclass(frozen=True)
class Augment:
    """Random changes of the training images. `views`: how many are drawn and cached for each
    image; 0 draws anew every epoch, at the cost of a pass through the frozen part."""

    flip: bool = False  # left-right, one time in two
    rotation: float = 0.0  # degrees, either way
    shift: float = 0.0  # share of the width and height, either way
    shear: float = 0.0  # degrees, either way
    zoom: float = 0.0  # 0.2: between 0.8 and 1.2 times
    views: int = 0

    @property
    def continuous(self) -> bool:
        return any((self.rotation, self.shift, self.shear, self.zoom))


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when the monitored figure has not improved for `patience` epochs; keep the best."""

    monitor: Literal["val_loss", "val_accuracy"] = "val_loss"
    patience: int = 3


@dataclass(frozen=True)
class Phase:
    """One stretch of training with one set of trainable weights."""

    name: str
    epochs: int
    learning_rate: float
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
    input_size: int | None = None  # for all backbones; None: each backbone's own
    batch_size: int = 32

    @property
    def digest(self) -> str:
        """Content hash of all that affects training; the name and summary do not."""
        facts = asdict(self)
        del facts["name"], facts["summary"]
        return hashlib.sha256(to_json(facts).encode()).hexdigest()[:16]

    @property
    def epochs(self) -> int:
        return sum(phase.epochs for phase in self.phases)


def load_protocol(name_or_path: str) -> TrainingProtocol:
    """The protocol of that name, or the one in that TOML file."""
    path = Path(name_or_path)
    if path.suffix != ".toml":
        if name_or_path not in protocol_names():
            raise UnknownNameError("protocol", name_or_path, protocol_names())
        path = FOLDER / f"{name_or_path}.toml"
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProtocolError(f"protocol {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(f"protocol {path} is not valid TOML: {error}.") from error
    return parse_protocol(raw, path.stem)


def protocol_names() -> tuple[str, ...]:
    """The protocols that ship, `default` first."""
    names = sorted(p.stem for p in FOLDER.glob("*.toml"))
    return tuple(sorted(names, key=lambda n: n != "default"))


def parse_protocol(raw: Mapping[str, Any], name: str) -> TrainingProtocol:
    """Check `raw` key by key; the first fault is raised, naming its key."""
    table = _Table(raw, f"protocol {name}")
    head = _head(table.table("head"))
    phases = tuple(_phase(t, i) for i, t in enumerate(table.tables("phases")))
    protocol = TrainingProtocol(
        name=name,
        summary=table.text("summary", ""),
        head=head,
        phases=phases,
        input_size=table.optional_integer("input_size", 32, 2048),
        batch_size=table.integer("batch_size", 32, 1, 65536),
    )
    table.finish()
    names = [phase.name for phase in phases]
    if len(set(names)) != len(names):
        raise ProtocolError(f"protocol {name}: phases need different names, got {names}.")
    return protocol


def _head(table: _Table) -> Head:
    head = Head(
        pooling=table.choice("pooling", "average", ("average", "max", "flatten")),
        hidden=table.integers("hidden", 1, 65536),
        dropout=table.number("dropout", 0.0, 0.0, 0.95),
        output=table.choice("output", "auto", ("auto", "sigmoid", "softmax")),
    )
    table.finish()
    return head


def _phase(table: _Table, index: int) -> Phase:
    phase = Phase(
        name=table.text("name", f"phase {index + 1}"),
        epochs=table.integer("epochs", None, 1, 100_000),
        learning_rate=table.number("learning_rate", None, 1e-12, 100.0),
        optimizer=table.choice("optimizer", "adam", ("adam", "rmsprop", "sgd")),
        unfreeze=_unfreeze(table),
        batchnorm=table.choice("batchnorm", "frozen", ("frozen", "trained")),
        augment=_augment(table.table("augment")),
        early_stopping=_early_stopping(table) if table.has("early_stopping") else None,
    )
    table.finish()
    return phase


def _unfreeze(table: _Table) -> Unfreeze:
    value = table.take("unfreeze", "none")
    if value in ("none", "all"):
        return Unfreeze(value)
    if isinstance(value, dict) and len(value) == 1:
        inner = _Table(value, table.where + ".unfreeze")
        if "stages" in value:
            return Unfreeze("stages", inner.integer("stages", None, 1, 1000))
        if "from_layer" in value:
            return Unfreeze("from_layer", inner.integer("from_layer", None, 0, 100_000))
    raise ProtocolError(
        f"{table.where}.unfreeze must be 'none', 'all', {{stages = N}} or {{from_layer = N}}, "
        f"got {value!r}."
    )


def _augment(table: _Table) -> Augment:
    augment = Augment(
        flip=table.boolean("flip", False),
        rotation=table.number("rotation", 0.0, 0.0, 180.0),
        shift=table.number("shift", 0.0, 0.0, 1.0),
        shear=table.number("shear", 0.0, 0.0, 80.0),
        zoom=table.number("zoom", 0.0, 0.0, 0.95),
        views=table.integer("views", 0, 0, 1000),
    )
    table.finish()
    if augment.views and not augment.continuous:
        raise ProtocolError(
            f"{table.where}.views is for rotation, shift, shear and zoom; a flip alone has two "
            f"views, which are always cached."
        )
    return augment


def _early_stopping(table: _Table) -> EarlyStopping:
    inner = table.table("early_stopping")
    stopping = EarlyStopping(
        monitor=inner.choice("monitor", "val_loss", ("val_loss", "val_accuracy")),
        patience=inner.integer("patience", 3, 1, 100_000),
    )
    inner.finish()
    return stopping


class _Table:
    """One TOML table being read: it remembers which keys were asked for and where it stands."""

    def __init__(self, raw: Mapping[str, Any], where: str) -> None:
        self._raw = raw
        self._known: set[str] = set()
        self.where = where

    def has(self, key: str) -> bool:
        return key in self._raw

    def take(self, key: str, default: Any) -> Any:
        self._known.add(key)
        if key not in self._raw:
            if default is None:
                raise ProtocolError(f"{self.where}.{key} is missing; every such table needs it.")
            return default
        return self._raw[key]

    def finish(self) -> None:
        """Complain of any key that nothing asked for."""
        for key in self._raw:
            if key not in self._known:
                error = UnknownNameError("key", key, self._known)
                raise ProtocolError(f"{self.where}: {error}")

    def text(self, key: str, default: str) -> str:
        value = self.take(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, "a text", value)
        return value

    def boolean(self, key: str, default: bool) -> bool:
        value = self.take(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false", value)
        return value

    def integer(self, key: str, default: int | None, least: int, most: int) -> int:
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self._wrong(key, f"a whole number from {least} to {most}", value)
        return value

    def optional_integer(self, key: str, least: int, most: int) -> int | None:
        self._known.add(key)
        return self.integer(key, None, least, most) if self.has(key) else None

    def integers(self, key: str, least: int, most: int) -> tuple[int, ...]:
        values = self.take(key, [])
        wanted = f"a list of whole numbers from {least} to {most}"
        if not isinstance(values, list):
            raise self._wrong(key, wanted, values)
        for value in values:
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise self._wrong(key, wanted, values)
        return tuple(values)

    def number(self, key: str, default: float | None, least: float, most: float) -> float:
        value = self.take(key, default)
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        if not fits or not least <= value <= most:
            raise self._wrong(key, f"a number from {least:g} to {most:g}", value)
        return float(value)

    def choice(self, key: str, default: str, allowed: tuple[str, ...]) -> Any:
        value = self.take(key, default)
        if value not in allowed:
            raise self._wrong(key, "one of " + ", ".join(map(repr, allowed)), value)
        return value

    def table(self, key: str) -> _Table:
        value = self.take(key, {})
        if not isinstance(value, dict):
            raise self._wrong(key, "a table", value)
        return _Table(value, f"{self.where}.{key}")

    def tables(self, key: str) -> list[_Table]:
        values = self.take(key, [])
        if not isinstance(values, list) or not values:
            raise self._wrong(key, "one or more [[phases]] tables", values)
        for value in values:
            if not isinstance(value, dict):
                raise self._wrong(key, "one or more [[phases]] tables", values)
        return [_Table(value, f"{self.where}.{key}[{i + 1}]") for i, value in enumerate(values)]

    def _wrong(self, key: str, wanted: str, value: object) -> ProtocolError:
        return ProtocolError(f"{self.where}.{key} must be {wanted}, got {value!r}.")
