"""Keep what training changed of a network, and rebuild a trained model from a run's records.

Keras is imported late: errors that the records alone show come first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, UnknownNameError, UsageError, WeightsError
from bench.models import weights
from bench.models.backends.base import start
from bench.models.code_digest import code_digest
from bench.registry import BACKBONES
from bench.storage.arrays import (
    Array,
    TrainedWeights,
    average_weights,
    changed_arrays,
    read_trained,
    sort_best_first,
    weights_path,
    write_trained,
)
from bench.storage.records import StoredRun, soup_record, weight_sources
from bench.system.frameworks import (
    KERAS_BACKENDS,
    UNUSED_BY_WORKERS,
    hide_packages,
    keras_backend,
)
from bench.types import SOUP, Backbone, Precision, Record

if TYPE_CHECKING:
    from bench.models.network import Network


@dataclass(frozen=True)
class TrainedModel:
    """One trial's model: `network` and `head` hold the trained weights."""

    record: Record
    classes: tuple[str, ...]
    network: Network
    head: Any

    def classifier(self) -> Any:
        """Return the whole model as it is deployed: uint8 pixels in, class probabilities out."""
        return self.network.classifier(self.head)

    def class_probabilities(self) -> Any:
        """Return the same with one output per class, also where the head ends in one sigmoid."""
        import keras

        whole = self.classifier()
        if whole.output_shape[-1] == len(self.classes):
            return whole
        second = whole.outputs[0]
        first = keras.layers.Rescaling(-1.0, offset=1.0, name="other_class")(second)
        both = keras.layers.Concatenate(name="probabilities")([first, second])
        return keras.Model(whole.inputs[0], both)

    def logits(self, *, fold: bool, maps: bool = False) -> Any:
        """Return the model from uint8 pixels to logits and, if asked for, the last feature map;
        `fold`: in the operations that are the fastest here."""
        import keras

        from bench.models.cuts import PIXELS

        last = self.network.between(PIXELS, [self.network.last_map], fold=fold)
        logits = self.head(self.network.pool(last.outputs[0]), training=False)
        return keras.Model(last.inputs, [logits, last.outputs[0]] if maps else logits)


def record_of(run: StoredRun, name: str) -> Record:
    """Return the best trial by validation of a backbone, at one input size where the name says
    which, of those whose weights were kept; of NAME@soup, the soup of its seeds."""
    backbone = name.removesuffix(SOUP)
    named = [record for record in run.records if backbone in record.trial.names]
    if not named:
        known = {record.trial.name for record in run.records}
        raise UnknownNameError(f"backbone of run {run.name}", backbone, known)
    if backbone != name:
        return _soup(run, backbone, named)
    finished = sort_best_first(named)
    if not finished:
        raise BenchError(f"{name} failed in run {run.name}: {named[0].reason}")
    kept = [r for r in finished if weights_path(run.folder, r.trial.key).is_file()]
    return (kept or finished)[0]


def _soup(run: StoredRun, name: str, records: Sequence[Record]) -> Record:
    """Return the soup of a backbone that one of its records holds."""
    holder = next((record for record in records if record.soup is not None), None)
    if holder is None or holder.soup is None:
        raise UsageError(
            f"run {run.name} has no weight soup of {name}: that takes several seeds, trained from "
            f"pretrained weights, and --keep-models all."
        )
    if (soup := soup_record(holder)) is not None:
        return soup
    raise UsageError(
        f"the weight soup of {name} is seed {holder.soup.seeds[0]} alone, as the mean with any "
        f"other lowers the validation accuracy; take {name}."
    )


def members_of(run: StoredRun, names: str) -> tuple[Record, ...]:
    """Return `record_of` each backbone of an ensemble, NAME+NAME; of a single one, its own."""
    found = tuple(record_of(run, name) for name in split_names(run, names))
    if len({(one.trial.backbone, one.trial.input_size) for one in found}) < len(found):
        raise UsageError(f"{names!r} names a backbone twice; each member counts once.")
    return found


def split_names(run: StoredRun, names: str) -> list[str]:
    """Return the names of an ensemble's members, known or not; a backbone's name may hold a +."""
    if any(names.removesuffix(SOUP) in record.trial.names for record in run.records):
        return [names]
    return [name.strip() for name in names.split("+")]


def mean_model(models: Sequence[TrainedModel]) -> Any:
    """Return the mean of the models' class probabilities as one model; of one, its own."""
    import keras

    wholes = [model.class_probabilities() for model in models]
    if len(wholes) == 1:
        return wholes[0]
    image = keras.Input(wholes[0].input_shape[1:], dtype="uint8", name="image")
    mean = keras.layers.Average(name="mean")([whole(image) for whole in wholes])
    return keras.Model(image, mean)


def rebuild(run: StoredRun, record: Record, precision: Precision | None = None) -> TrainedModel:
    """Build the network, load the pretrained weights, and apply what training changed.

    It computes in the precision that it was trained in, unless another is given; its weights are
    float32 in all.
    """
    trained = [read_trained(run.folder, r.trial.key) for r in weight_sources(run.records, record)]
    if not trained:
        raise BenchError(
            f"a seed of {record.trial.name} in run {run.name} was trained again after the weights "
            f"were averaged; the same `run` command averages them again."
        )
    declared(run, record)  # an error, before Keras is loaded, where it is not known
    import keras

    from bench.models.network import build_head, snapshot

    keras.config.set_dtype_policy(precision or record.trial.settings.precision)
    network = pretrained(run, record)
    head = build_head(run.meta.protocol.head, network.features_shape, len(run.dataset.classes))
    whole = average_weights(snapshot(network.base.weights), trained) if trained[1:] else trained[0]
    put_weights(network.base, head, whole, record)
    return TrainedModel(record, run.dataset.classes, network, head)


def pretrained(run: StoredRun, record: Record) -> Network:
    """Build the network as it was before training, in the precision that Keras has now."""
    backbone = declared(run, record)
    from bench.models.network import Network

    network = Network(backbone, record.trial.input_size, run.meta.protocol.head.pooling)
    _load_pretrained(network, record, run.folder)
    return network


def load_trained(
    run: StoredRun, record: Record, precision: Precision | None = None
) -> TrainedModel:
    """Rebuild a trained model in a process that has loaded no framework yet: on the backend that it
    was trained on, unless the user names another or that is not installed."""
    with hide_packages(*UNUSED_BY_WORKERS):
        start(keras_backend_of(record))
        return rebuild(run, record, precision)


def keras_backend_of(record: Record) -> str:
    """Return the backend that a trial was trained on; refuse one that Keras does not have."""
    name = record.environment.get("keras_backend", "tensorflow")
    if name not in KERAS_BACKENDS:
        raise BenchError(
            f"the record of {record.trial.backbone} names the Keras backend {name!r}; known are "
            f"{', '.join(KERAS_BACKENDS)}."
        )
    return str(name)


def changed_code(record: Record) -> str:
    """Return a warning where the backbone's code is not what the trial was trained with; "" where
    it is, or where the record is of version 0.1 and does not say."""
    trial = record.trial
    if not trial.code or trial.backbone not in BACKBONES:
        return ""
    if code_digest(BACKBONES[trial.backbone]) == trial.code:
        return ""
    return (
        f"{trial.backbone} was trained with other code than it has now: its plugin was edited, or "
        f"a package that it uses has another version. The model may answer differently."
    )


def declared(run: StoredRun, record: Record) -> Backbone:
    """Return the declaration of a record's backbone."""
    name = record.trial.backbone
    if name not in BACKBONES:
        raise BenchError(
            f"run {run.name} has {name} from a plugin that is not loaded; name it with "
            f"--plugin, or `plugins` of `Run.predict`."
        )
    return BACKBONES[name]


def _load_pretrained(network: Network, record: Record, folder: Path) -> None:
    """Load what the trial started from; random weights are drawn again from their fixed seed. A
    node of a cluster has the files in the run's folder, and searches nowhere else."""
    used = record.weights
    if used is None:
        raise BenchError(f"the record of {record.trial.backbone} does not say what weights it had.")
    sent = sorted((folder / weights.SENT).glob(f"{record.trial.name}.*"))
    located = None
    if used.pretrained and sent:
        located = weights.LocatedWeights(used.source, str(sent[0]), used.location)
    elif used.pretrained:
        trial = record.trial
        located = weights.locate(network.backbone, trial.settings.weights, trial.input_size)
    found = weights.load(network.base, network.backbone, located)
    if found.sha256 != used.sha256:
        trained_on = keras_backend_of(record)
        if not used.pretrained and trained_on != keras_backend():
            raise WeightsError(
                f"{record.trial.backbone} began with random weights, which only the Keras backend "
                f"it was trained on draws again: KERAS_BACKEND={trained_on}."
            )
        what = f"{used.location} (SHA-256 {used.sha256[:16]}…)" if used.location else used.source
        raise WeightsError(
            f"{record.trial.backbone} was trained from {what}, but the weights here differ: "
            f"{found.location or found.source}. Provide that file, or repeat the run."
        )


def put_weights(base: Any, head: Any, trained: TrainedWeights, record: Record) -> None:
    """Write trained weights into a network that holds those it began with, and its head."""
    try:
        for place, array in trained.backbone.items():
            base.weights[place].assign(array)
        for variable, array in zip(_head_weights(head), trained.head, strict=True):
            variable.assign(array)
    except (IndexError, ValueError) as error:
        raise BenchError(
            f"the kept weights of {record.trial.backbone} do not fit the network as it is "
            f"declared now: {error}"
        ) from error


def keep_trained(folder: Path, key: str, base: Any, head: Any, before: Sequence[Array]) -> None:
    """Store what training made of a network whose backbone held the arrays `before`."""
    from bench.models.network import snapshot

    after = snapshot(base.weights)
    kept = TrainedWeights(changed_arrays(before, after), tuple(snapshot(_head_weights(head))))
    write_trained(folder, key, kept)


def _head_weights(head: Any) -> list[Any]:
    """Return the variables of a head that training sets, without dropout's random state."""
    return [variable for layer in head.layers for variable in layer.weights]
