"""Activations of the frozen part: read from the cache, or computed in one pass and cached.

For each split and view, all cuts that a protocol needs are computed in one forward pass, from the
deepest cached cut before them, or from pixels. If the cache has no room, the rows are computed each
time they are needed, with a note in the record.
"""

from __future__ import annotations

import math
import time
import uuid
from collections import ChainMap
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from bench.data import pixels
from bench.data.listing import digest_lines
from bench.models.backends.base import Array, Forward, current_backend
from bench.models.cuts import FEATURES, PIXELS
from bench.models.fingerprint import fingerprint
from bench.models.network import Network
from bench.storage.cache import Draft, Entry, NotKeptError, Store
from bench.system.ablation import disabled_optimisations
from bench.training.accounting import PassTimes
from bench.training.augment import PLAIN, View
from bench.training.prepared import FORWARD_BATCH, ForwardPassCache
from bench.training.rows import Rows, RowSubset, StoredRows, StreamedRows, iterate_outputs
from bench.types import SPLITS, Dataset, Record, SplitName

FORMAT = 2  # part of every cache key: raise it when the activations computed here change
OnRows = Callable[[int, int], None]


@dataclass(frozen=True)
class ImageSelection:
    """Some or all images of a split, in one view."""

    split: SplitName
    view: View
    indices: tuple[int, ...] = ()  # in the split; empty: all images

    def select(self, rows: Rows) -> Rows:
        """Return the rows of these images, given the rows of the whole split."""
        return RowSubset(rows, np.array(self.indices)) if self.indices else rows


class FrozenFeatures:
    """The activations of a network's frozen part for the images of a data set.

    `sample` are the indices of the training images that screening probes: their features are cached
    separately, and reused when the features of all training images are computed.
    """

    def __init__(
        self,
        passes: ForwardPassCache,
        fingerprint: str,
        images: Mapping[SplitName, Entry],
        store: Store | None,
        sample: Sequence[int] = (),
    ) -> None:
        self.passes, self.network, self.store = passes, passes.network, store
        self.images = images
        whole = bool(sample) and len(sample) == len(images["train"].array())
        self.sample = ImageSelection("train", PLAIN, () if whole else tuple(sample))
        self.pass_times = PassTimes()
        self.notes: list[str] = []
        self._fingerprint = fingerprint
        device = passes.backend.device()
        self._software = f"{device.framework}, keras {keras.__version__}, {device.kind}"
        # An optimisation changes the last digits, so rows without it have their own cache keys.
        self._software += "".join(f", without {name}" for name in disabled_optimisations())

    @classmethod
    def of_record(
        cls, network: Network, record: Record, dataset: Dataset, store: Store
    ) -> FrozenFeatures:
        """Return the frozen features of a finished trial, which share the cache of its training."""
        trial, weights = record.trial, record.weights
        assert weights is not None  # it finished
        cached = trial.settings.cache
        return cls(
            ForwardPassCache(network, current_backend()),
            fingerprint(network, weights.sha256) if cached else "",
            {split: pixels.get_entry(dataset, split, trial.input_size, store) for split in SPLITS},
            store if cached else None,
        )

    def rows(
        self, split: SplitName, view: View, cuts: Sequence[str], progress: OnRows
    ) -> dict[str, Rows]:
        """Return the rows at each of `cuts`, computed in as few passes as the cache allows."""
        return self._rows(ImageSelection(split, view), cuts, progress)

    def pooled(self, split: SplitName, progress: OnRows) -> Array:
        """Return the pooled features of unaugmented images (images x channels).

        They are the input of the head, or its mean over positions if the head does not pool.
        """
        return self._pooled(self.rows(split, PLAIN, [FEATURES], progress)[FEATURES], progress)

    def pooled_sample(self, progress: OnRows) -> Array:
        """Return the pooled features of the sampled training images alone."""
        whole = ImageSelection("train", PLAIN)
        if self.store and self.store.find("features", self._key(whole, FEATURES)):
            rows = self.sample.select(self._rows(whole, [FEATURES], progress)[FEATURES])
        else:
            rows = self._rows(self.sample, [FEATURES], progress)[FEATURES]
        return self._pooled(rows, progress)

    def _rows(
        self, images: ImageSelection, cuts: Sequence[str], progress: OnRows
    ) -> dict[str, Rows]:
        wanted = sorted(set(cuts) - {PIXELS}, key=self.network.depth)
        stored: dict[str, Rows] = {}
        if self.store is not None and wanted:
            try:
                entries = self._load_or_compute(self.store, images, wanted, progress)
                stored = {cut: StoredRows(entry.array()) for cut, entry in entries.items()}
            except NotKeptError as error:
                self.notes.append(
                    f"{images.split} activations were computed without the cache: {error}"
                )
        pixels, view = self._pixels(images), images.view
        return {c: stored[c] if c in stored else self.stream_rows(pixels, c, view) for c in cuts}

    def _pooled(self, rows: Rows, progress: OnRows) -> Array:
        """Return the mean of the rows over positions (images x channels)."""
        channels = self.network.base.output.shape[-1]
        means = (
            batch.reshape(len(batch), -1, channels).mean(axis=1)
            for batch in self._batches(rows, progress)
        )
        return np.concatenate(list(means))

    def _batches(self, rows: Rows, progress: OnRows) -> Iterator[Array]:
        """Yield unaugmented rows batch by batch; report and time those that are computed."""
        if not isinstance(rows, StreamedRows) or rows.forward is None:
            for first in range(0, len(rows), FORWARD_BATCH):
                yield rows.take(np.arange(first, min(first + FORWARD_BATCH, len(rows))))
            return
        start, done = time.perf_counter(), 0
        for (output,) in iterate_outputs(rows.forward, rows.images):
            done += len(output)
            progress(done, len(rows))
            yield output
        self.pass_times.spent |= {uuid.uuid4().hex: time.perf_counter() - start}

    def stream_split(self, split: SplitName, view: View, cut: str) -> Rows:
        """Return the rows of a split's view, computed each time they are taken."""
        return self.stream_rows(self._pixels(ImageSelection(split, view)), cut, view)

    def stream_rows(self, pixels: Rows, cut: str, view: View = PLAIN) -> Rows:
        """Return the rows of any images at a cut, computed each time they are taken."""
        if cut == PIXELS:
            return pixels if view == PLAIN else StreamedRows(pixels, view, None)
        return StreamedRows(pixels, view, self.passes.get(PIXELS, [cut]))

    def _load_or_compute(
        self, store: Store, images: ImageSelection, cuts: Sequence[str], progress: OnRows
    ) -> dict[str, Entry]:
        """Return the cache entries of `cuts`; compute the missing ones in one pass."""
        keys = {cut: self._key(images, cut) for cut in cuts}
        with ExitStack() as locks:
            for cut in cuts:  # always in the same order, so that no two processes deadlock
                locks.enter_context(store.lock("features", keys[cut]))
            found = {cut: store.find("features", keys[cut]) for cut in cuts}
            entries = {cut: entry for cut, entry in found.items() if entry is not None}
            missing = [cut for cut in cuts if cut not in entries]
            if missing:
                source = self._find_source(entries, missing)
                entries |= self._compute(
                    store, images, source, {c: keys[c] for c in missing}, progress
                )
        for entry in entries.values():  # a pass counts once, even if it computed several entries
            passes = entry.extra["passes"].items()
            self.pass_times.reused |= {n: s for n, s in passes if n not in self.pass_times.spent}
        return entries

    def _find_source(self, entries: Mapping[str, Entry], missing: Sequence[str]) -> Entry | None:
        """Return the deepest cached entry before all missing cuts; `None` if there is none."""
        first = min(self.network.depth(cut) for cut in missing)
        before = [c for c in entries if self.network.depth(c) < first]
        return entries[max(before, key=self.network.depth)] if before else None

    def _compute(
        self,
        store: Store,
        images: ImageSelection,
        source: Entry | None,
        missing: Mapping[str, Mapping[str, Any]],
        progress: OnRows,
    ) -> dict[str, Entry]:
        """Compute and cache the activations at the missing cuts (cut -> cache key), from those of
        `source` or from pixels."""
        start_cut = PIXELS if source is None else source.extra["cut"]
        forward = self.passes.get(start_cut, list(missing))
        pixels = StreamedRows(self._pixels(images), images.view, None)
        rows = pixels if source is None else StoredRows(source.array())
        sample = self._find_sample(store, images, missing)
        start = time.perf_counter()
        drafts = self._open_drafts(store, images, len(rows), missing)
        try:
            done = 0
            for outputs in self._compute_outputs(forward, rows, sample):
                for draft, output in zip(drafts.values(), outputs, strict=True):
                    draft.append(output)
                done += len(outputs[0])
                progress(done, len(rows))
            seconds = time.perf_counter() - start
            this_pass = {uuid.uuid4().hex: seconds}
            self.pass_times.spent |= this_pass
            used = [entry.extra["passes"] for entry in (source, sample) if entry is not None]
            passes = dict(ChainMap(this_pass, *used))
            return {
                cut: draft.commit(missing[cut], seconds, {"cut": cut, "passes": passes})
                for cut, draft in drafts.items()
            }
        finally:
            for draft in drafts.values():
                draft.discard()

    def _pixels(self, images: ImageSelection) -> Rows:
        """Return the pixels of the images, before the view is applied."""
        return images.select(StoredRows(self.images[images.split].array()))

    def _find_sample(
        self, store: Store, images: ImageSelection, missing: Collection[str]
    ) -> Entry | None:
        """Return the cached features of the sample if `_compute_outputs` can reuse them."""
        whole = images == ImageSelection("train", PLAIN)
        if whole and self.sample.indices and set(missing) == {FEATURES}:
            return store.find("features", self._key(self.sample, FEATURES))
        return None

    def _compute_outputs(
        self, forward: Forward, rows: Rows, sample: Entry | None
    ) -> Iterator[list[Array]]:
        """Yield the outputs batch by batch, in the order of the rows; take those of the sampled
        images from `sample`, if given."""
        if sample is None:
            yield from iterate_outputs(forward, rows)
            return
        known, sampled = sample.array(), np.array(self.sample.indices)
        others = np.setdiff1d(np.arange(len(rows)), sampled)
        done = first = 0
        for (output,) in iterate_outputs(forward, RowSubset(rows, others)):
            done += len(output)
            last = others[done] if done < len(others) else len(rows)
            piece = np.empty((last - first, *output.shape[1:]), output.dtype)
            piece[others[done - len(output) : done] - first] = output
            within = (sampled >= first) & (sampled < last)
            piece[sampled[within] - first] = known[within]
            first = last
            yield [piece]

    def _open_drafts(
        self, store: Store, images: ImageSelection, count: int, missing: Collection[str]
    ) -> dict[str, Draft]:
        """Open a cache draft for each missing cut, described and with its size in bytes."""
        network, part = self.network, f" {count} images" if images.indices else ""
        name = f"{network.backbone.name} {network.input_size}px {images.split}{part}"
        wanted = [
            (f"{name} {images.view.name} to {cut}", math.prod((count, *network.shape(cut))) * 4)
            for cut in missing
        ]
        return dict(zip(missing, store.begin_drafts("features", wanted), strict=True))

    def _key(self, images: ImageSelection, cut: str) -> dict[str, Any]:
        """Return the cache key of the activations of these images at a cut."""
        key = {
            "format": FORMAT,
            "images": self.images[images.split].key,
            "network": self._fingerprint,
            "input_size": self.network.input_size,
            "precision": self.network.precision,
            "cut": self.network.depth(cut),
            "shape": list(self.network.shape(cut)),
            "view": images.view.key(),
            "software": self._software,
        }
        if images.indices:
            key["places"] = digest_lines(map(str, images.indices))
        return key
