"""Explain the mistakes of trained models: heatmaps, nearest training images, and a map of the test
images, written to the arrays of their records.

Features are the input of the head, or its mean over the positions if the head takes the whole map.
The output of the frozen part comes from the cache that training filled.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, MutableMapping, Sequence

import numpy as np

from bench.analysis import explanations as names
from bench.analysis.metrics.classification import Predictions, predictions
from bench.analysis.mistakes import Mistake, find_mistakes, shown_images
from bench.analysis.scores import trial_labels
from bench.data import pixels
from bench.errors import BenchError
from bench.inference.heatmaps import compute_heatmaps
from bench.inference.measuring.maps import principal_components, umap
from bench.inference.measuring.pending import model_to_explain
from bench.inference.measuring.recorded import with_arrays, with_seconds
from bench.models.backends.base import Array, Forward
from bench.models.cuts import FEATURES, PIXELS
from bench.models.rebuild import TrainedModel, rebuild
from bench.storage.cache import Store
from bench.storage.records import TEST_ARRAYS, StoredRun
from bench.training import probes
from bench.training.augment import PLAIN
from bench.training.features import FrozenFeatures, OnRows
from bench.training.job import Job
from bench.training.prepared import phase_cuts
from bench.training.rows import Rows, RowSubset, predict, stratified_sample
from bench.types import Record, SplitName

NEAREST = 3  # training images per mistake
MAX_MAPPED = 1000  # test images on the map
FEATURE_BATCH = 256  # images whose feature maps are in memory at a time


def pending_explanations(run: StoredRun, job: Job) -> list[tuple[Record, list[Mistake]]]:
    """Return the job's trials whose models are to explain mistakes, with those mistakes.

    They are the mistakes that the reports show. A trial that explained the same ones before is left
    out.
    """
    label_of = trial_labels(run.records)
    by_label: dict[str, list[tuple[Record, Predictions]]] = {}
    explained: dict[str, set[int] | None] = {}  # images by key of the trial that explained them
    for record in run.records:
        if record.pretrained and (read := _read_predictions(run, record)) is not None:
            predicted, explained[record.trial.key] = read
            by_label.setdefault(label_of[record.trial.key], []).append((record, predicted))
    wrong = {label: find_mistakes([each for _, each in of]) for label, of in by_label.items()}
    pictured, keys = set(shown_images(wrong)), {trial.key for trial in job.trials}
    found = []
    for label, of_label in by_label.items():
        record_to_use = model_to_explain([record for record, _ in of_label], run.folder)
        if record_to_use is None or keys.isdisjoint(record.trial.key for record, _ in of_label):
            continue
        to_explain = [mistake for mistake in wrong[label] if mistake.image in pictured]
        if explained[record_to_use.trial.key] != {mistake.image for mistake in to_explain}:
            found.append((record_to_use, to_explain))
    return found


def _read_predictions(run: StoredRun, record: Record) -> tuple[Predictions, set[int] | None] | None:
    """Return a trial's test predictions, and the images that it explained; `None` if they cannot be
    read. Other arrays, which may be large, are not read."""
    try:
        evidence = run.evidence_of(record, (*TEST_ARRAYS, names.IMAGES))
        found = predictions(evidence)
        images = evidence.arrays.get(names.IMAGES)
    except BenchError:  # damaged arrays; the reports name them, and the timing must continue
        return None
    return None if found is None else (found, None if images is None else set(images.tolist()))


def explain(
    to_explain: Sequence[Mistake],
    rebuilt: MutableMapping[str, TrainedModel],
    run: StoredRun,
    records: Sequence[Record],
    job: Job,
    store: Store,
    progress: OnRows,
) -> Iterator[Record]:
    """Explain the given mistakes of a trial's model in the arrays of its record.

    The model is taken out of `rebuilt` by the trial's key, or else rebuilt from the kept weights.
    """
    begun = time.perf_counter()
    (record,) = records
    model = rebuilt.pop(record.trial.key, None) or rebuild(run, record)
    source = _FeatureSource(record, job, store, model, progress)
    images = np.array([mistake.image for mistake in to_explain], int)
    classes = np.array([mistake.predicted for mistake in to_explain], int)
    ready = time.perf_counter()
    heat = compute_heatmaps(source.model, source.maps(images), classes)
    drawn = time.perf_counter() - ready
    trained = stratified_sample(
        pixels.labels(job.dataset, "train"), record.trial.fraction, record.trial.seed
    )
    known, queries = source.features("train", trained), source.features("test", images)
    nearest, similar = probes.nearest_neighbours(known, queries, NEAREST)
    count = len(job.dataset.splits["test"])
    mapped = np.linspace(0, count - 1, min(count, MAX_MAPPED)).astype(int)
    features = probes.normalise(source.features("test", mapped))
    place, shares = principal_components(features)
    found: dict[str, Array] = {
        names.IMAGES: images,
        names.ANSWERS: classes,
        names.HEATMAPS: heat.astype(np.float32),
        names.NEAREST: trained[nearest],
        names.SIMILARITY: similar.astype(np.float32),
        names.MAP_IMAGES: mapped,
        names.MAP: place.astype(np.float32),
        names.MAP_SHARES: shares,
    }
    searched = time.perf_counter()
    if (positions := umap(features)) is not None:
        found[names.UMAP] = positions.astype(np.float32)
    record = with_seconds(with_arrays(run, record, found), "heatmaps", drawn)
    record = with_seconds(record, "neighbours", searched - begun - drawn)
    if positions is not None:
        record = with_seconds(record, "umap", time.perf_counter() - searched)
    yield record


class _FeatureSource:
    """Computes feature maps and features of a data set with a trained model."""

    def __init__(
        self, record: Record, job: Job, store: Store, model: TrainedModel, progress: OnRows
    ) -> None:
        self.model, self.progress, network = model, progress, model.network
        self.frozen = FrozenFeatures.of_record(network, record, job.dataset, store)
        self.cut = phase_cuts(network, job.protocol.phases)[-1]  # end of the frozen part
        self.frozen.passes.get(self._source_of_maps, [network.last_feature_map])  # compiles it

    @property
    def _source_of_maps(self) -> str:
        return PIXELS if self.cut == FEATURES else self.cut

    def maps(self, images: Array) -> Array:
        """Return the last feature maps of test images."""
        cut = self._source_of_maps
        if not len(images):
            network = self.model.network
            return np.empty((0, *network.shape(network.last_feature_map)), np.float32)
        return predict(self._forward(cut), RowSubset(self._rows("test", cut), images))

    def features(self, split: SplitName, images: Array) -> Array:
        """Return one feature per channel for the given images of a split."""
        network = self.model.network
        rows = RowSubset(self._rows(split, self.cut), images)
        channels = network.shape(network.last_feature_map)[-1]
        found = []
        for start in range(0, len(rows), FEATURE_BATCH):
            part = RowSubset(rows, np.arange(start, min(start + FEATURE_BATCH, len(rows))))
            if self.cut == FEATURES:
                values = part.take(np.arange(len(part)))
            else:
                values = predict(self._forward(self.cut), part)
            values = values.reshape(len(values), -1, channels)
            found.append(values.max(axis=1) if network.pooling == "max" else values.mean(axis=1))
        return np.concatenate(found) if found else np.empty((0, channels), np.float32)

    def _rows(self, split: SplitName, cut: str) -> Rows:
        return self.frozen.rows(split, PLAIN, [cut], self.progress)[cut]

    def _forward(self, cut: str) -> Forward:
        return self.frozen.passes.get(cut, [self.model.network.last_feature_map])
