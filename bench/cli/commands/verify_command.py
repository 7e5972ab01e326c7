"""`verify`: a run's smallest trial is trained again; are the probabilities the same?"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from rich.console import Console

from bench import data as datasets
from bench.cli.commands.report_command import find_run
from bench.cli.main import parser
from bench.data.audit.result import load
from bench.errors import BenchError, DatasetError, Exit, NoDatasetError, TrialError, UsageError
from bench.execution import known_plugins
from bench.execution.executors import make_executor
from bench.execution.verification import (
    Difference,
    check_dataset,
    differences,
    smallest,
    stored_protocol,
    train_again,
)
from bench.models import weights
from bench.models.rebuild import declared
from bench.registry import BACKBONES, load_plugins
from bench.storage.cache import Store
from bench.storage.manifest import Change, changes
from bench.storage.records import Evidence, Run, load_run
from bench.system.frameworks import keras_backend_of
from bench.training.events import Event, Note, RecordMade, StageProgress
from bench.types import Dataset, Record, SplitName, Trial

# A name of the collection that is installed, its configuration and version, and no other options.
PLAIN_TFDS = re.compile(r"tfds:\w+(/[^:=/]+)?(:[\d.*]+)?")


def main(arguments: argparse.Namespace) -> int:
    """Train again and compare; 0 where the probabilities are the same, 1 where not."""
    console = Console(highlight=False)
    for error in load_plugins(arguments.plugin, arguments.packages):
        console.print(f"warning: {error}", style="yellow", markup=False, soft_wrap=True)
    run = load_run(find_run(arguments.results, arguments.run))
    record = smallest(run)
    stored_protocol(run, record)
    keras_backend = keras_backend_of(record)
    asked = _asked(run, record)
    trial = record.trial
    plugins = [*arguments.plugin, *_recorded_plugins(run, trial.backbone, asked.plugin)]
    backbone = declared(run, record)
    about = f"trial       {_name(trial)}, the quickest of run {run.name}"
    console.print(about, markup=False, soft_wrap=True)
    os.environ["KERAS_BACKEND"] = keras_backend
    settings = trial.settings
    with tempfile.TemporaryDirectory(prefix="backbone-bench-verify-") as name:
        folder = Path(name)
        store = Store(folder / "cache")
        dataset = _dataset(run, record, asked, store)
        located = weights.locate(
            backbone,
            settings.weights,
            trial.input_size,
            say=lambda text: console.print(text, style="yellow", markup=False, soft_wrap=True),
            progress=lambda done, total: None,
        )
        training = _Training(console)
        with closing(arguments.executor or make_executor(settings)) as executor:
            train_again(
                run,
                record,
                dataset,
                located,
                folder,
                store,
                executor,
                training,
                plugins=tuple(str(path.resolve()) for path in plugins),
                packages=arguments.packages,
            )
        again = training.finished()
        found = differences(
            Evidence(record, run.dataset.classes, run.folder),
            Evidence(again, run.dataset.classes, folder),
        )
    _show(console, found, changes(record, again))
    same = all(difference.same for difference in found.values())
    return Exit.DONE if same else Exit.ERROR


class _Training:
    """Shows the stage that the training is in, and keeps the record."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage = ""
        self._record: Record | None = None

    def __call__(self, event: Event) -> None:
        match event:
            case StageProgress(stage=stage):
                if stage != self._stage:
                    self._console.print(f"again       {stage}", style="dim", markup=False)
                self._stage = stage
            case Note(text):
                self._console.print(text, style="yellow", markup=False, soft_wrap=True)
            case RecordMade(record):
                self._record = record

    def finished(self) -> Record:
        """The new record; an error where the trial failed this time."""
        assert self._record is not None  # else the executor would have raised
        if self._record.status == "failed":
            raise TrialError(f"this time the trial failed: {self._record.reason}")
        return self._record


def _asked(run: Run, record: Record) -> argparse.Namespace:
    """The recorded command, read as it was when it was given. It may be anybody's: what it names is
    only taken for where the images are, and `_recorded_plugins` looks before it imports."""
    command: Sequence[str] = record.command or run.meta.get("command", ())
    words = list(command[1:])
    error = BenchError(f"run {run.name} was asked for in words that this version does not know.")
    if words[:1] != ["run"] or not all(isinstance(word, str) for word in words):
        raise error
    try:
        asked = parser(abbreviations=True).parse_args(words)
    except SystemExit:
        raise error from None
    if asked.dataset.startswith("tfds:") and not PLAIN_TFDS.fullmatch(asked.dataset):
        raise BenchError(
            f"run {run.name} names the data set {asked.dataset!r}: collections other than that of "
            f"TensorFlow Datasets are code, which is not loaded for a run that may be anybody's."
        )
    return asked


def _recorded_plugins(run: Run, backbone: str, plugins: Sequence[Path]) -> Sequence[Path]:
    """Import the plugins that the run names if they are needed, and if this user has run them."""
    if backbone in BACKBONES:
        return ()
    foreign = known_plugins.unknown(plugins)
    if foreign:
        raise UsageError(
            f"{backbone} of run {run.name} comes from the plugin {str(foreign[0])!r}, which is not "
            f"imported: as it is now, no run of yours has used it.\n"
            f"Read it, and name it with --plugin if it is to run."
        )
    load_plugins(plugins)
    return plugins


def _dataset(run: Run, record: Record, asked: argparse.Namespace, store: Store) -> Dataset:
    """The images, found again where the command says and checked to be the same."""
    try:
        listing = datasets.list_dataset(
            asked.dataset,
            store=store,
            split_seed=asked.split_seed,
            limit=asked.limit,
            groups=asked.groups,
        )
    except NoDatasetError as error:  # the run named it, not this command
        raise DatasetError(str(error)) from error
    sizes = [record.trial.input_size]
    dataset = datasets.prepare(listing, sizes, store=store)
    audited = load(run.folder)
    if audited is not None and audited.dropped:
        # What the run left out then, not what an audit would leave out now: that depends on the
        # size at which it looks, which other backbones of the run decided.
        dataset = datasets.leave_out(dataset, audited.dropped, sizes, store=store, note="")
    check_dataset(dataset, record)
    return dataset


def _show(
    console: Console, found: Mapping[SplitName, Difference], changed: Sequence[Change]
) -> None:
    for split, difference in found.items():
        console.print(
            f"{split:<12}{difference.images:,} images: largest difference of a probability "
            f"{difference.largest:.2g}, {difference.changed:,} predicted classes changed",
            markup=False,
            soft_wrap=True,
        )
    for change in changed:
        text = f"since       {change.fact}: {change.before} -> {change.after}"
        console.print(text, style="yellow", markup=False, soft_wrap=True)
    if not changed:
        console.print("since       nothing else has changed: weights, versions, machine, code")
    same = all(difference.same for difference in found.values())
    exact = all(difference.largest == 0 for difference in found.values())
    verdict = "the same probabilities" + (", bit for bit" if exact else ", to a rounding")
    console.print(
        verdict if same else "not the same probabilities", style="green" if same else "red"
    )


def _name(trial: Trial) -> str:
    share = f", {100 * trial.fraction:g}% of the training images" if trial.fraction < 1 else ""
    return f"{trial.backbone}, {trial.input_size} px, seed {trial.seed}{share}"
