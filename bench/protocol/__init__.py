"""The training protocol: data, read from TOML, the same for every backbone in a run.

A protocol is a head, then phases in order. The TOML files in this folder ship with the program;
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
from bench.protocol.toml_table import Mistakes, Table
from bench.system.files import to_json

Pooling = Literal["average", "max", "flatten"]
Output = Literal["auto", "sigmoid", "softmax"]
Optimizer = Literal["adam", "rmsprop", "sgd"]
BatchNorm = Literal["frozen", "trained"]

FOLDER = Path(__file__).parent


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
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"protocol {path} is not valid TOML: {error}.") from error
    return parse_protocol(raw, path.stem)


def protocol_names() -> tuple[str, ...]:
    """The protocols that ship, `default` first."""
    names = sorted(p.stem for p in FOLDER.glob("*.toml"))
    return tuple(sorted(names, key=lambda n: n != "default"))


def parse_protocol(raw: Mapping[str, Any], name: str) -> TrainingProtocol:
    """Check `raw` key by key; all mistakes are raised together, each naming its key."""
    mistakes = Mistakes()
    table = Table(raw, f"protocol {name}", mistakes)
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
        table.wrong(f": phases need different names, got {names}.")
    mistakes.refuse(f"protocol {name}")
    return protocol


def _head(table: Table) -> Head:
    head = Head(
        pooling=table.choice("pooling", "average", ("average", "max", "flatten")),
        hidden=table.integers("hidden", 1, 65536),
        dropout=table.number("dropout", 0.0, 0.0, 0.95),
        output=table.choice("output", "auto", ("auto", "sigmoid", "softmax")),
    )
    table.finish()
    return head


def _phase(table: Table, index: int) -> Phase:
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


def _unfreeze(table: Table) -> Unfreeze:
    value = table.take("unfreeze", "none")
    if value in ("none", "all"):
        return Unfreeze(value)
    if isinstance(value, dict) and len(value) == 1:
        inner = Table(value, table.where + ".unfreeze", table.mistakes)
        if "stages" in value:
            return Unfreeze("stages", inner.integer("stages", None, 1, 1000))
        if "from_layer" in value:
            return Unfreeze("from_layer", inner.integer("from_layer", None, 0, 100_000))
    table.wrong(
        f".unfreeze must be 'none', 'all', {{stages = N}} or {{from_layer = N}}, got {value!r}."
    )
    return Unfreeze()


def _augment(table: Table) -> Augment:
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
        table.wrong(
            ".views is for rotation, shift, shear and zoom; a flip alone has two views, which are "
            "always cached."
        )
    return augment


def _early_stopping(table: Table) -> EarlyStopping:
    inner = table.table("early_stopping")
    stopping = EarlyStopping(
        monitor=inner.choice("monitor", "val_loss", ("val_loss", "val_accuracy")),
        patience=inner.integer("patience", 3, 1, 100_000),
    )
    inner.finish()
    return stopping
