"""The mistakes of trained models explained, into the arrays of their records: heatmaps, the nearest
training images, and a map of the test images.

Heatmaps are in `bench/inference/heatmaps.py`. Features are what the head gets, or its mean over the
places where the head gets them all; what was frozen comes from the cache that training filled.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, MutableMapping, Sequence

import numpy as np

from bench.analysis import explanations as names
from bench.analysis.metrics.classification import Predictions, predictions
from bench.analysis.mistakes import Mistake, mistakes, shown
from bench.analysis.scores import trial_labels
from bench.data import pixels
from bench.errors import BenchError
from bench.inference.heatmaps import compute_heatmaps
from bench.inference.measuring.maps import principal, umap
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

NEAREST = 3  # training images of each mistake
MAX_MAPPED = 1000  # test images on the map
AT_ONCE = 256  # images whose feature maps are in memory


def to_explain(run: StoredRun, job: Job) -> list[tuple[Record, list[Mistake]]]:
    """Return the trials of the job whose models explain mistakes, with those that reports show;
    without trials that explained the same ones before."""
    called = trial_labels(run.records)
    by_label: dict[str, list[tuple[Record, Predictions]]] = {}
    before: dict[str, set[int] | None] = {}  # the images that a trial explained, by its key
    for record in run.records:
        if record.pretrained and (read := _answers(run, record)) is not None:
            answers, before[record.trial.key] = read
            by_label.setdefault(called[record.trial.key], []).append((record, answers))
    wrong = {label: mistakes([each for _, each in of]) for label, of in by_label.items()}
    pictured, keys = set(shown(wrong)), {trial.key for trial in job.trials}
    found = []
    for label, of_label in by_label.items():
        explains = model_to_explain([record for record, _ in of_label], run.folder)
        if explains is None or keys.isdisjoint(record.trial.key for record, _ in of_label):
            continue
        asked = [mistake for mistake in wrong[label] if mistake.image in pictured]
        if before[explains.trial.key] != {mistake.image for mistake in asked}:
            found.append((explains, asked))
    return found


def _answers(run: StoredRun, record: Record) -> tuple[Predictions, set[int] | None] | None:
    """Return a trial's answers, and the images that it explained; the other arrays, which may be
    large, are not read."""
    try:
        evidence = run.evidence_of(record, (*TEST_ARRAYS, names.IMAGES))
        found = predictions(evidence)
        images = evidence.arrays.get(names.IMAGES)
    except BenchError:  # damaged arrays, which the reports name: they must not end the timing
        return None
    return None if found is None else (found, None if images is None else set(images.tolist()))


def explain(
    asked: Sequence[Mistake],
    rebuilt: MutableMapping[str, TrainedModel],
    run: StoredRun,
    records: Sequence[Record],
    job: Job,
    store: Store,
    progress: OnRows,
) -> Iterator[Record]:
    """Add what explains these mistakes of a trial's model: the one `rebuilt` already under the
    trial's key, which is taken out, or else one rebuilt here from the kept weights."""
    begun = time.perf_counter()
    (record,) = records
    model = rebuilt.pop(record.trial.key, None) or rebuild(run, record)
    source = _Source(record, job, store, model, progress)
    images = np.array([mistake.image for mistake in asked], int)
    answers = np.array([mistake.predicted for mistake in asked], int)
    ready = time.perf_counter()
    heat = compute_heatmaps(source.model, source.maps(images), answers)
    drawn = time.perf_counter() - ready
    trained = stratified_sample(
        pixels.labels(job.dataset, "train"), record.trial.fraction, record.trial.seed
    )
    known, queries = source.features("train", trained), source.features("test", images)
    nearest, similar = probes.nearest_neighbours(known, queries, NEAREST)
    count = len(job.dataset.splits["test"])
    mapped = np.linspace(0, count - 1, min(count, MAX_MAPPED)).astype(int)
    features = probes.normalise(source.features("test", mapped))
    place, shares = principal(features)
    found: dict[str, Array] = {
        names.IMAGES: images,
        names.ANSWERS: answers,
        names.HEATMAPS: heat.astype(np.float32),
        names.NEAREST: trained[nearest],
        names.SIMILARITY: similar.astype(np.float32),
        names.MAP_IMAGES: mapped,
        names.MAP: place.astype(np.float32),
        names.MAP_SHARES: shares,
    }
    searched = time.perf_counter()
    if (others := umap(features)) is not None:
        found[names.UMAP] = others.astype(np.float32)
    record = with_seconds(with_arrays(run, record, found), "heatmaps", drawn)
    record = with_seconds(record, "neighbours", searched - begun - drawn)
    if others is not None:
        record = with_seconds(record, "umap", time.perf_counter() - searched)
    yield record


class _Source:
    """The feature maps and features of a trained model over a data set."""

    def __init__(
        self, record: Record, job: Job, store: Store, model: TrainedModel, progress: OnRows
    ) -> None:
        self.model, self.progress, network = model, progress, model.network
        self.frozen = FrozenFeatures.of_record(network, record, job.dataset, store)
        self.cut = phase_cuts(network, job.protocol.phases)[-1]  # before it nothing was trained
        self.frozen.passes.get(self._source_of_maps, [network.last_map])  # compiles it

    @property
    def _source_of_maps(self) -> str:
        return PIXELS if self.cut == FEATURES else self.cut

    def maps(self, images: Array) -> Array:
        """Return the last feature maps of test images."""
        cut = self._source_of_maps
        if not len(images):
            network = self.model.network
            return np.empty((0, *network.shape(network.last_map)), np.float32)
        return predict(self._forward(cut), RowSubset(self._rows("test", cut), images))

    def features(self, split: SplitName, images: Array) -> Array:
        """Return one feature a channel of each of these images of a split."""
        network = self.model.network
        rows = RowSubset(self._rows(split, self.cut), images)
        channels = network.shape(network.last_map)[-1]
        found = []
        for start in range(0, len(rows), AT_ONCE):
            part = RowSubset(rows, np.arange(start, min(start + AT_ONCE, len(rows))))
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
        return self.frozen.passes.get(cut, [self.model.network.last_map])
