"""Activations of the frozen part: read from the store, or computed in one pass and kept there.

For each split and view, all the cuts that a protocol needs are computed in one forward pass, from
the deepest shallower cut that is already stored, or from pixels. Where the store has no room, the
rows are computed each time they are needed, and a note says so.
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
from bench.models.backends.base import Array, Forward, current
from bench.models.cuts import FEATURES, PIXELS
from bench.models.fingerprint import fingerprint
from bench.models.network import Network
from bench.storage.cache import Draft, Entry, NotKeptError, Store
from bench.system.ablation import disabled_optimisations
from bench.training.accounting import Ledger
from bench.training.augment import PLAIN, View
from bench.training.prepared import FORWARD_BATCH, ForwardPassCache
from bench.training.rows import Rows, Stored, Streamed, Subset, outputs_of
from bench.types import SPLITS, Dataset, Record, SplitName

FORMAT = 1  # part of every address: raise it when what is computed here changes
OnRows = Callable[[int, int], None]


@dataclass(frozen=True)
class Selection:
    """Images whose rows are wanted, as one view shows them."""

    split: SplitName
    view: View
    places: tuple[int, ...] = ()  # in the split; none: all of it

    def of(self, rows: Rows) -> Rows:
        """Return theirs of the rows of the whole split."""
        return Subset(rows, np.array(self.places)) if self.places else rows


class Frozen:
    """The frozen part of one network over one dataset's images.

    `sample` are the places of the training images that screening probes: their features are kept
    by themselves, and those of all images are completed from them.
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
        self.sample = Selection("train", PLAIN, () if whole else tuple(sample))
        self.ledger = Ledger()
        self.notes: list[str] = []
        self._fingerprint = fingerprint
        device = passes.backend.device()
        self._software = f"{device.framework}, keras {keras.__version__}, {device.kind}"
        # Without an optimisation the last digits differ: such rows are kept apart.
        self._software += "".join(f", without {name}" for name in disabled_optimisations())

    @classmethod
    def of_record(cls, network: Network, record: Record, dataset: Dataset, store: Store) -> Frozen:
        """Return that of a finished trial's network, with what its training kept."""
        trial, weights = record.trial, record.weights
        assert weights is not None  # it finished
        cached = trial.settings.cache
        return cls(
            ForwardPassCache(network, current()),
            fingerprint(network, weights.sha256) if cached else "",
            {split: pixels.get_entry(dataset, split, trial.input_size, store) for split in SPLITS},
            store if cached else None,
        )

    def rows(
        self, split: SplitName, view: View, cuts: Sequence[str], progress: OnRows
    ) -> dict[str, Rows]:
        """Return the rows at each of `cuts`, computed in as few passes as the store allows."""
        return self._rows(Selection(split, view), cuts, progress)

    def pooled(self, split: SplitName, progress: OnRows) -> Array:
        """Return one feature a channel of each image, unaugmented: what the head gets, or its mean
        over the positions where the head gets them all."""
        return self._pooled(self.rows(split, PLAIN, [FEATURES], progress)[FEATURES], progress)

    def pooled_sample(self, progress: OnRows) -> Array:
        """Return the pooled features of the sampled training images alone."""
        whole = Selection("train", PLAIN)
        if self.store and self.store.find("features", self._parts(whole, FEATURES)):
            rows = self.sample.of(self._rows(whole, [FEATURES], progress)[FEATURES])
        else:
            rows = self._rows(self.sample, [FEATURES], progress)[FEATURES]
        return self._pooled(rows, progress)

    def _rows(self, images: Selection, cuts: Sequence[str], progress: OnRows) -> dict[str, Rows]:
        wanted = sorted(set(cuts) - {PIXELS}, key=self.network.depth)
        stored: dict[str, Rows] = {}
        if self.store is not None and wanted:
            try:
                entries = self._stored(self.store, images, wanted, progress)
                stored = {cut: Stored(entry.array()) for cut, entry in entries.items()}
            except NotKeptError as error:
                self.notes.append(
                    f"{images.split} activations were computed without the cache: {error}"
                )
        pixels, view = self._pixels(images), images.view
        return {c: stored[c] if c in stored else self.over(pixels, c, view) for c in cuts}

    def _pooled(self, rows: Rows, progress: OnRows) -> Array:
        """Return the mean over the positions, if the rows have any."""
        channels = self.network.base.output.shape[-1]
        means = (
            batch.reshape(len(batch), -1, channels).mean(axis=1)
            for batch in self._batches(rows, progress)
        )
        return np.concatenate(list(means))

    def _batches(self, rows: Rows, progress: OnRows) -> Iterator[Array]:
        """Yield unaugmented rows batch by batch; what is not stored is computed, which is told."""
        if not isinstance(rows, Streamed) or rows.forward is None:
            for first in range(0, len(rows), FORWARD_BATCH):
                yield rows.take(np.arange(first, min(first + FORWARD_BATCH, len(rows))))
            return
        start, done = time.perf_counter(), 0
        for (output,) in outputs_of(rows.forward, rows.images):
            done += len(output)
            progress(done, len(rows))
            yield output
        self.ledger.spent |= {uuid.uuid4().hex: time.perf_counter() - start}

    def stream(self, split: SplitName, view: View, cut: str) -> Rows:
        """Return the rows of a view that is not kept, computed as they are taken."""
        return self.over(self._pixels(Selection(split, view)), cut, view)

    def over(self, pixels: Rows, cut: str, view: View = PLAIN) -> Rows:
        """Return the rows at a cut of any images, computed as they are taken."""
        if cut == PIXELS:
            return pixels if view == PLAIN else Streamed(pixels, view, None)
        return Streamed(pixels, view, self.passes.get(PIXELS, [cut]))

    def _stored(
        self, store: Store, images: Selection, cuts: Sequence[str], progress: OnRows
    ) -> dict[str, Entry]:
        parts = {cut: self._parts(images, cut) for cut in cuts}
        with ExitStack() as locks:
            for cut in cuts:  # always in the same order, so that no two processes deadlock
                locks.enter_context(store.lock("features", parts[cut]))
            found = {cut: store.find("features", parts[cut]) for cut in cuts}
            entries = {cut: entry for cut, entry in found.items() if entry is not None}
            missing = [cut for cut in cuts if cut not in entries]
            if missing:
                source = self._source(entries, missing)
                entries |= self._compute(
                    store, images, source, {c: parts[c] for c in missing}, progress
                )
        for entry in entries.values():  # each pass once, however many of its results are used
            passes = entry.extra["passes"].items()
            self.ledger.reused |= {n: s for n, s in passes if n not in self.ledger.spent}
        return entries

    def _source(self, entries: Mapping[str, Entry], missing: Sequence[str]) -> Entry | None:
        """Return the deepest stored entry before everything that is missing."""
        least = min(self.network.depth(cut) for cut in missing)
        before = [c for c in entries if self.network.depth(c) < least]
        return entries[max(before, key=self.network.depth)] if before else None

    def _compute(
        self,
        store: Store,
        images: Selection,
        source: Entry | None,
        missing: Mapping[str, Mapping[str, Any]],
        progress: OnRows,
    ) -> dict[str, Entry]:
        start_cut = PIXELS if source is None else source.extra["cut"]
        forward = self.passes.get(start_cut, list(missing))
        pixels = Streamed(self._pixels(images), images.view, None)
        rows = pixels if source is None else Stored(source.array())
        known = self._probed(store, images, missing)
        start = time.perf_counter()
        drafts = self._drafts(store, images, len(rows), missing)
        try:
            done = 0
            for outputs in self._outputs(forward, rows, known):
                for draft, output in zip(drafts.values(), outputs, strict=True):
                    draft.append(output)
                done += len(outputs[0])
                progress(done, len(rows))
            seconds = time.perf_counter() - start
            this = {uuid.uuid4().hex: seconds}
            self.ledger.spent |= this
            used = [entry.extra["passes"] for entry in (source, known) if entry is not None]
            passes = dict(ChainMap(this, *used))
            return {
                cut: draft.commit(missing[cut], seconds, {"cut": cut, "passes": passes})
                for cut, draft in drafts.items()
            }
        finally:
            for draft in drafts.values():
                draft.discard()

    def _pixels(self, images: Selection) -> Rows:
        """Return pixels, before the view."""
        return images.of(Stored(self.images[images.split].array()))

    def _probed(self, store: Store, images: Selection, missing: Collection[str]) -> Entry | None:
        """Return what is kept of the sample, where that saves a part of the pass."""
        whole = images == Selection("train", PLAIN)
        if whole and self.sample.places and set(missing) == {FEATURES}:
            return store.find("features", self._parts(self.sample, FEATURES))
        return None

    def _outputs(self, forward: Forward, rows: Rows, known: Entry | None) -> Iterator[list[Array]]:
        """Yield the outputs in the order of the rows; those of the sample as they are `known`."""
        if known is None:
            yield from outputs_of(forward, rows)
            return
        kept, sample = known.array(), np.array(self.sample.places)
        others = np.setdiff1d(np.arange(len(rows)), sample)
        done = first = 0
        for (output,) in outputs_of(forward, Subset(rows, others)):
            done += len(output)
            last = others[done] if done < len(others) else len(rows)
            piece = np.empty((last - first, *output.shape[1:]), output.dtype)
            piece[others[done - len(output) : done] - first] = output
            within = (sample >= first) & (sample < last)
            piece[sample[within] - first] = kept[within]
            first = last
            yield [piece]

    def _drafts(
        self, store: Store, images: Selection, count: int, missing: Collection[str]
    ) -> dict[str, Draft]:
        network, part = self.network, f" {count} images" if images.places else ""
        what = f"{network.backbone.name} {network.input_size}px {images.split}{part}"
        wanted = [
            (f"{what} {images.view.name} to {cut}", math.prod((count, *network.shape(cut))) * 4)
            for cut in missing
        ]
        return dict(zip(missing, store.begin_drafts("features", wanted), strict=True))

    def _parts(self, images: Selection, cut: str) -> dict[str, Any]:
        parts = {
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
        if images.places:
            parts["places"] = digest_lines(map(str, images.places))
        return parts
