"""Save the weights that training changed, and rebuild trained models from a run's records.

Keras is imported only when needed, so that errors in the records are raised before it loads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, UnknownNameError, UsageError, WeightsError
from bench.models import weights
from bench.models.backends.base import start_backend
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
    """The model of one trial; `network` and `head` have the trained weights."""

    record: Record
    classes: tuple[str, ...]
    network: Network
    head: Any

    def classifier(self) -> Any:
        """Return the whole model as deployed, from uint8 pixels to class probabilities."""
        return self.network.classifier(self.head)

    def class_probabilities(self) -> Any:
        """Return `classifier` with one output per class, also if the head ends in one sigmoid."""
        import keras

        whole = self.classifier()
        if whole.output_shape[-1] == len(self.classes):
            return whole
        second = whole.outputs[0]
        first = keras.layers.Rescaling(-1.0, offset=1.0, name="other_class")(second)
        both = keras.layers.Concatenate(name="probabilities")([first, second])
        return keras.Model(whole.inputs[0], both)

    def logits(self, *, fold: bool, maps: bool = False) -> Any:
        """Return the model from uint8 pixels to logits and, with `maps`, the last feature map.

        With `fold` it is optimised for the backend.
        """
        import keras

        from bench.models.cuts import PIXELS

        last = self.network.submodel(PIXELS, [self.network.last_feature_map], fold=fold)
        logits = self.head(self.network.pool(last.outputs[0]), training=False)
        return keras.Model(last.inputs, [logits, last.outputs[0]] if maps else logits)


def find_record(run: StoredRun, name: str) -> Record:
    """Return a backbone's trial with the best validation result, if possible of those with saved
    weights. The name may include an input size; NAME@soup is the weight soup of its seeds."""
    backbone = name.removesuffix(SOUP)
    named = [record for record in run.records if backbone in record.trial.names]
    if not named:
        known = {record.trial.name for record in run.records}
        raise UnknownNameError(f"backbone of run {run.name}", backbone, known)
    if backbone != name:
        return _find_soup(run, backbone, named)
    finished = sort_best_first(named)
    if not finished:
        raise BenchError(f"{name} failed in run {run.name}: {named[0].reason}")
    saved = [r for r in finished if weights_path(run.folder, r.trial.key).is_file()]
    return (saved or finished)[0]


def _find_soup(run: StoredRun, name: str, records: Sequence[Record]) -> Record:
    """Return the record of a backbone's weight soup; raise `UsageError` if there is none."""
    holder = next((record for record in records if record.soup is not None), None)
    if holder is None or holder.soup is None:
        raise UsageError(
            f"run {run.name} has no weight soup of {name}: it needs several seeds, trained from "
            f"pretrained weights, and --keep-models all."
        )
    if (soup := soup_record(holder)) is not None:
        return soup
    raise UsageError(
        f"the weight soup of {name} is seed {holder.soup.seeds[0]} alone, as the mean with any "
        f"other seed lowers the validation accuracy; use {name}."
    )


def find_members(run: StoredRun, names: str) -> tuple[Record, ...]:
    """Return the record of each member of the ensemble NAME+NAME, or of the one backbone NAME."""
    records = tuple(find_record(run, name) for name in split_names(run, names))
    if len({(r.trial.backbone, r.trial.input_size) for r in records}) < len(records):
        raise UsageError(f"{names!r} names a backbone twice; each member counts once.")
    return records


def split_names(run: StoredRun, names: str) -> list[str]:
    """Split NAME+NAME into the names of an ensemble's members; a backbone's name may contain a +.

    The names may be unknown in the run.
    """
    if any(names.removesuffix(SOUP) in record.trial.names for record in run.records):
        return [names]
    return [name.strip() for name in names.split("+")]


def build_ensemble(models: Sequence[TrainedModel]) -> Any:
    """Return one model that computes the mean of the models' class probabilities."""
    import keras

    members = [model.class_probabilities() for model in models]
    if len(members) == 1:
        return members[0]
    image = keras.Input(members[0].input_shape[1:], dtype="uint8", name="image")
    mean = keras.layers.Average(name="mean")([member(image) for member in members])
    return keras.Model(image, mean)


def rebuild(run: StoredRun, record: Record, precision: Precision | None = None) -> TrainedModel:
    """Build the network, load the pretrained weights, and assign the trained weights.

    The model computes in the precision that it was trained in, unless `precision` is given; its
    weights are float32 in every precision.
    """
    trained = [read_trained(run.folder, r.trial.key) for r in weight_sources(run.records, record)]
    if not trained:
        raise BenchError(
            f"a seed of {record.trial.name} in run {run.name} was trained again after the weights "
            f"were averaged; repeat the `run` command to average them again."
        )
    declared_backbone(run, record)  # raises for an unknown backbone before Keras is loaded
    import keras

    from bench.models.network import build_head, snapshot

    keras.config.set_dtype_policy(precision or record.trial.settings.precision)
    network = build_pretrained(run, record)
    head = build_head(run.meta.protocol.head, network.features_shape, len(run.dataset.classes))
    final = average_weights(snapshot(network.base.weights), trained) if trained[1:] else trained[0]
    assign_weights(network.base, head, final, record)
    return TrainedModel(record, run.dataset.classes, network, head)


def build_pretrained(run: StoredRun, record: Record) -> Network:
    """Build the network as it was before training, with Keras' current precision."""
    backbone = declared_backbone(run, record)
    from bench.models.network import Network

    network = Network(backbone, record.trial.input_size, run.meta.protocol.head.pooling)
    _load_pretrained(network, record, run.folder)
    return network


def load_trained(
    run: StoredRun, record: Record, precision: Precision | None = None
) -> TrainedModel:
    """Start a Keras backend, then rebuild a trained model; no framework may be loaded before.

    The backend is the one that it was trained on, unless the user names another or it is not
    installed.
    """
    with hide_packages(*UNUSED_BY_WORKERS):
        start_backend(keras_backend_of(record))
        return rebuild(run, record, precision)


def keras_backend_of(record: Record) -> str:
    """Return the Keras backend that a trial was trained on; raise for an unknown one."""
    name = record.environment.get("keras_backend", "tensorflow")
    if name not in KERAS_BACKENDS:
        raise BenchError(
            f"the record of {record.trial.backbone} names the unknown Keras backend {name!r}; "
            f"known are {', '.join(KERAS_BACKENDS)}."
        )
    return str(name)


def code_warning(record: Record) -> str:
    """Return a warning if the backbone's code has changed since training, else "".

    Records of version 0.1 have no code digest; for them the result is "".
    """
    trial = record.trial
    if not trial.code or trial.backbone not in BACKBONES:
        return ""
    if code_digest(BACKBONES[trial.backbone]) == trial.code:
        return ""
    return (
        f"the code of {trial.backbone} has changed since training: its plugin was edited, or a "
        f"package that it uses has another version. Predictions may differ."
    )


def declared_backbone(run: StoredRun, record: Record) -> Backbone:
    """Return the declaration of a record's backbone."""
    name = record.trial.backbone
    if name not in BACKBONES:
        raise BenchError(
            f"run {run.name} has {name} from a plugin that is not loaded; name the plugin with "
            f"--plugin, or `plugins` of `Run.predict`."
        )
    return BACKBONES[name]


def _load_pretrained(network: Network, record: Record, folder: Path) -> None:
    """Load the weights that the trial started from, and check their digest against the record.

    Random weights are drawn again from their fixed seed. On a cluster node the files are in the
    run's folder.
    """
    used = record.weights
    if used is None:
        raise BenchError(f"the record of {record.trial.backbone} does not name its weights.")
    sent = sorted((folder / weights.SENT_FOLDER).glob(f"{record.trial.name}.*"))
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
                f"{record.trial.backbone} started from random weights, which only the Keras "
                f"backend of its training reproduces: KERAS_BACKEND={trained_on}."
            )
        initial = f"{used.location} (SHA-256 {used.sha256[:16]}…)" if used.location else used.source
        raise WeightsError(
            f"{record.trial.backbone} was trained from {initial}, but the weights here differ: "
            f"{found.location or found.source}. Provide that file, or repeat the run."
        )


def assign_weights(base: Any, head: Any, trained: TrainedWeights, record: Record) -> None:
    """Assign trained weights to a network with its initial weights, and to its head."""
    try:
        for place, array in trained.backbone.items():
            base.weights[place].assign(array)
        for variable, array in zip(_head_weights(head), trained.head, strict=True):
            variable.assign(array)
    except (IndexError, ValueError) as error:
        raise BenchError(
            f"the saved weights of {record.trial.backbone} do not fit the network as it is "
            f"declared now: {error}"
        ) from error


def save_trained(folder: Path, key: str, base: Any, head: Any, before: Sequence[Array]) -> None:
    """Save the head's weights, and those of the backbone that differ from `before`."""
    from bench.models.network import snapshot

    after = snapshot(base.weights)
    trained = TrainedWeights(changed_arrays(before, after), tuple(snapshot(_head_weights(head))))
    write_trained(folder, key, trained)


def _head_weights(head: Any) -> list[Any]:
    """Return the trained variables of a head, without the random state of dropout."""
    return [variable for layer in head.layers for variable in layer.weights]
