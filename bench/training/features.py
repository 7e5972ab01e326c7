"""Activations of the frozen part: read from the store, or computed in one pass and kept there.

For each split and view, all the cuts that a protocol needs are computed in one forward pass, from
the deepest shallower cut that is already stored, or from pixels. Where the store has no room, the
rows are computed each time they are needed, and a note says so.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import keras
import numpy as np

from bench.data import pixels
from bench.models.backends.base import Array, current
from bench.models.cuts import FEATURES, PIXELS
from bench.models.fingerprint import fingerprint
from bench.models.network import Network
from bench.storage.cache import Draft, Entry, NotKeptError, Store
from bench.system.ablation import switched_off
from bench.training.accounting import Ledger
from bench.training.augment import PLAIN, View
from bench.training.prepared import FORWARD_BATCH, ForwardPassCache
from bench.training.rows import Rows, Stored, Streamed, outputs_of
from bench.types import SPLITS, Dataset, Record, SplitName

FORMAT = 1  # part of every address: raise it when what is computed here changes
OnRows = Callable[[int, int], None]


class Frozen:
    """The frozen part of one network over one dataset's images."""

    def __init__(
        self,
        passes: ForwardPassCache,
        fingerprint: str,
        images: Mapping[SplitName, Entry],
        store: Store | None,
    ) -> None:
        self.passes, self.network, self.store = passes, passes.network, store
        self.images = images
        self.ledger = Ledger()
        self.notes: list[str] = []
        self._fingerprint = fingerprint
        device = passes.backend.device()
        self._software = f"{device.framework}, keras {keras.__version__}, {device.kind}"
        # Without an optimisation the last digits differ: such rows are kept apart.
        self._software += "".join(f", without {name}" for name in switched_off())

    @classmethod
    def of_record(cls, network: Network, record: Record, dataset: Dataset, store: Store) -> Frozen:
        """Return that of a finished trial's network, with what its training kept."""
        trial, weights = record.trial, record.weights
        assert weights is not None  # it finished
        cached = trial.settings.cache
        return cls(
            ForwardPassCache(network, current()),
            fingerprint(network, weights.sha256) if cached else "",
            {split: pixels.images(dataset, split, trial.input_size, store) for split in SPLITS},
            store if cached else None,
        )

    def rows(
        self, split: SplitName, view: View, cuts: Sequence[str], progress: OnRows
    ) -> dict[str, Rows]:
        """Return the rows at each of `cuts`, computed in as few passes as the store allows."""
        wanted = sorted(set(cuts) - {PIXELS}, key=self.network.depth)
        stored: dict[str, Rows] = {}
        if self.store is not None and wanted:
            try:
                entries = self._stored(self.store, split, view, wanted, progress)
                stored = {cut: Stored(entry.array()) for cut, entry in entries.items()}
            except NotKeptError as error:
                self.notes.append(f"{split} activations were computed without the cache: {error}")
        return {c: stored[c] if c in stored else self.stream(split, view, c) for c in cuts}

    def pooled(
        self, split: SplitName, progress: OnRows, part: Callable[[Rows], Rows] | None = None
    ) -> Array:
        """Return one feature a channel of each image, unaugmented: what the head gets, or its mean
        over the positions where the head gets them all.

        Of a `part` of the images nothing is kept, but what is kept of all of them is used.
        """
        address = self._parts(split, PLAIN, FEATURES)
        if part and not (self.store and self.store.find("features", address)):
            return self._pooled_once(part(Stored(self.images[split].array())), progress)
        rows = self.rows(split, PLAIN, [FEATURES], progress)[FEATURES]
        rows = part(rows) if part else rows
        batches = range(0, len(rows), FORWARD_BATCH)
        places = (np.arange(i, min(i + FORWARD_BATCH, len(rows))) for i in batches)
        return np.concatenate([self._mean(rows.take(place)) for place in places])

    def _pooled_once(self, images: Rows, progress: OnRows) -> Array:
        forward = self.passes.get(PIXELS, [FEATURES])
        start, pieces, done = time.perf_counter(), list[Array](), 0
        for (output,) in outputs_of(forward, images):
            pieces.append(self._mean(output))
            done += len(output)
            progress(done, len(images))
        self.ledger.spent |= {uuid.uuid4().hex: time.perf_counter() - start}
        return np.concatenate(pieces)

    def _mean(self, rows: Array) -> Array:
        """Return the mean over the positions, if the rows have any."""
        found: Array = rows.reshape(len(rows), -1, self.network.base.output.shape[-1]).mean(axis=1)
        return found

    def stream(self, split: SplitName, view: View, cut: str) -> Rows:
        """Return the rows of a view that is not kept, computed as they are taken."""
        return self.over(Stored(self.images[split].array()), cut, view)

    def over(self, pixels: Rows, cut: str, view: View = PLAIN) -> Rows:
        """Return the rows at a cut of any images, computed as they are taken."""
        if cut == PIXELS:
            return pixels if view == PLAIN else Streamed(pixels, view, None)
        return Streamed(pixels, view, self.passes.get(PIXELS, [cut]))

    def _stored(
        self, store: Store, split: SplitName, view: View, cuts: Sequence[str], progress: OnRows
    ) -> dict[str, Entry]:
        parts = {cut: self._parts(split, view, cut) for cut in cuts}
        with ExitStack() as locks:
            for cut in cuts:  # always in the same order, so that no two processes deadlock
                locks.enter_context(store.lock("features", parts[cut]))
            found = {cut: store.find("features", parts[cut]) for cut in cuts}
            entries = {cut: entry for cut, entry in found.items() if entry is not None}
            missing = [cut for cut in cuts if cut not in entries]
            if missing:
                source = self._source(entries, missing)
                entries |= self._compute(
                    store, split, view, source, {c: parts[c] for c in missing}, progress
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
        split: SplitName,
        view: View,
        source: Entry | None,
        missing: Mapping[str, Mapping[str, Any]],
        progress: OnRows,
    ) -> dict[str, Entry]:
        start_cut = PIXELS if source is None else source.extra["cut"]
        forward = self.passes.get(start_cut, list(missing))
        rows = Stored((self.images[split] if source is None else source).array())
        start = time.perf_counter()
        drafts = self._drafts(store, split, view, len(rows), missing)
        try:
            done = 0
            for outputs in outputs_of(forward, rows if source else Streamed(rows, view, None)):
                for draft, output in zip(drafts.values(), outputs, strict=True):
                    draft.append(output)
                done += len(outputs[0])
                progress(done, len(rows))
            seconds = time.perf_counter() - start
            this = {uuid.uuid4().hex: seconds}
            self.ledger.spent |= this
            earlier = {} if source is None else source.extra["passes"]
            return {
                cut: draft.commit(missing[cut], seconds, {"cut": cut, "passes": earlier | this})
                for cut, draft in drafts.items()
            }
        finally:
            for draft in drafts.values():
                draft.discard()

    def _drafts(
        self, store: Store, split: SplitName, view: View, count: int, missing: Collection[str]
    ) -> dict[str, Draft]:
        what = f"{self.network.backbone.name} {self.network.input_size}px {split} {view.name}"
        wanted = [
            (f"{what} to {cut}", math.prod((count, *self.network.shape(cut))) * 4)
            for cut in missing
        ]
        return dict(zip(missing, store.drafts("features", wanted), strict=True))

    def _parts(self, split: SplitName, view: View, cut: str) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "images": self.images[split].key,
            "network": self._fingerprint,
            "input_size": self.network.input_size,
            "precision": self.network.precision,
            "cut": self.network.depth(cut),
            "shape": list(self.network.shape(cut)),
            "view": view.key(),
            "software": self._software,
        }
