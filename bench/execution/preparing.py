"""Prepare a request: load plugins and the protocol, list the images, locate the weights.

No image is decoded here, and no framework is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from bench.data import preparation
from bench.data.audit import gate
from bench.data.audit.result import KeptAudit
from bench.data.listing import Listing
from bench.data.sources import list_dataset
from bench.execution.estimate import measure_matrix_rate
from bench.execution.plan import Plan, choose_backbones, make_plan, with_input_sizes
from bench.execution.progress import RunListener, RunPreview
from bench.execution.request import RunRequest
from bench.execution.run_meta import RemainingWork
from bench.inference.runtimes import unavailable_runtimes
from bench.models.weights import LocatedWeights, locate_all
from bench.protocol import TrainingProtocol, load_protocol
from bench.registry import load_plugins
from bench.storage.cache import FileDigests, Store
from bench.storage.run_folder import check_name
from bench.system.frameworks import keras_backend
from bench.system.plugin_files import remember_plugins
from bench.training.events import DatasetListed, Note, TaskEnded, TaskProgress, Warned
from bench.types import Backbone, Dataset, Settings


@dataclass(frozen=True)
class Preparation:
    """A request with everything known before images are decoded."""

    request: RunRequest
    backbones: Sequence[Backbone]
    protocol: TrainingProtocol
    settings: Settings
    store: Store
    listing: Listing
    located: dict[tuple[str, int], LocatedWeights | None]
    matrix_rate: float
    notes: list[str]
    broken_plugins: Sequence[str]
    failed_downloads: Sequence[str]
    say: Callable[[str], None] = field(repr=False)
    only: frozenset[str] | None = None  # names of the backbones to plan; None: all

    @property
    def sizes(self) -> list[int]:
        """Return the input sizes that images are decoded to."""
        sizes = self.request.input_size
        return sorted({size for _, size in with_input_sizes(self.backbones, self.protocol, sizes)})

    def plan(self, dataset: Dataset) -> Plan:
        """Plan the trials on these images."""
        request = self.request
        plan = make_plan(
            self.backbones,
            dataset,
            self.protocol,
            self.settings,
            request.seeds,
            input_sizes=request.input_size,
            keras_backend=keras_backend(),
            matrix_rate=self.matrix_rate,
            located=self.located,
            fractions=request.fractions,
            measuring=request.measuring,
        )
        if self.only is not None:
            plan = replace(plan, planned=tuple(p for p in plan.planned if p.name in self.only))
        images = int(len(dataset.splits["train"]) * min(request.fractions))
        if self.settings.batch_size > images:
            self.say(
                f"A batch of {self.settings.batch_size} is larger than the training set of "
                f"{images} images, so an epoch is a single step; give a smaller --batch-size."
            )
        return plan

    def restore(self, dataset: Dataset) -> None:
        """Decode images again that were deleted from the cache in the meantime."""
        preparation.restore_pixels(self.listing, dataset, self.sizes, store=self.store)

    def preview(self, dataset: Dataset, audit: KeptAudit | None) -> RunPreview:
        """Plan the trials on these images, and compare the plan with the run's folder."""
        request, plan = self.request, self.plan(dataset)
        folder = request.results / (request.run or plan.name)
        if request.fresh:
            return RunPreview(plan, plan.trials, (), folder, audit)
        remaining = RemainingWork.read(plan, folder)
        return RunPreview(plan, remaining.untrained, tuple(remaining.unmeasured()), folder, audit)


def prepare(
    request: RunRequest,
    listener: RunListener,
    *,
    fetching: bool = True,
    started: Callable[[Settings], Sequence[str]] = lambda settings: (),
) -> Preparation:
    """Load plugins and the protocol, list the images and locate the weights.

    `started` is called as soon as the settings are known and returns notes for the run. Without
    `fetching`, nothing is downloaded and nothing is written.
    """
    broken = [str(error) for error in load_plugins(request.plugins, request.packages)]
    for line in broken:
        listener(Warned(line))
    if request.run is not None:
        check_name(request.run)
    if fetching:
        remember_plugins(request.plugins)
    store = Store(request.cache, int(request.cache_gb * 1e9), read_only=not fetching)
    backbones = choose_backbones(request.backbones)
    protocol = load_protocol(request.protocol)
    settings = request.settings(protocol.batch_size)
    notes: list[str] = []
    failed_downloads: list[str] = []

    def say(text: str) -> None:
        notes.append(text)
        listener(Note(text))

    for text in (*started(settings), *unavailable_runtimes(request.runtimes)):
        say(text)
    listing = list_dataset(
        request.dataset,
        store=store,
        split_seed=request.split_seed,
        limit=request.limit,
        groups=request.groups,
        say=say,
    )
    listener(DatasetListed(listing.description))
    located = locate_all(
        with_input_sizes(backbones, protocol, request.input_size),
        settings.weights,
        say=say,
        progress=lambda done, total: listener(TaskProgress("weights", done, total)),
        fetching=fetching,
        failed=failed_downloads.append,
        digests=FileDigests(store.root / "file-digests.json", read_only=store.read_only),
    )
    listener(TaskEnded("weights"))
    if not request.audit:
        say(gate.NOT_AUDITED)
    return Preparation(
        request,
        backbones,
        protocol,
        settings,
        store,
        listing,
        located,
        measure_matrix_rate(),  # before a worker builds its network and uses the cores
        notes,
        broken,
        failed_downloads,
        say,
    )
