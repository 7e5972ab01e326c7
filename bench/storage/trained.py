"""Trained weights on disk, from which `bench.models.rebuild` makes a trial's model again.

`results/<run>/weights/<key>.npz` holds the head and those arrays of the backbone that training
changed; the others are in the pretrained file, which the record names with its checksum. The
`--keep-models` option chooses which trials keep theirs.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError, os_error_text
from bench.system.files import write_atomic
from bench.types import Record, Trial

Array = NDArray[Any]


@dataclass(frozen=True)
class TrainedWeights:
    """The changed arrays of a trial's backbone, by their place in the network, and its head's."""

    backbone: Mapping[int, Array]
    head: tuple[Array, ...]


def changed(before: Sequence[Array], after: Sequence[Array]) -> dict[int, Array]:
    """Return the arrays that differ, by their place."""
    pairs = enumerate(zip(before, after, strict=True))
    return {i: new for i, (old, new) in pairs if not np.array_equal(old, new)}


def weights_path(folder: Path, key: str) -> Path:
    """Return the path of one trial's trained weights."""
    return folder / "weights" / f"{key}.npz"


def artefact_folder(folder: Path, trial: Trial) -> Path:
    """Return the folder of a trial's converted models, if the run keeps them."""
    return folder / "models" / f"{trial.backbone}-{trial.key}"


def write_trained(folder: Path, key: str, weights: TrainedWeights) -> None:
    """Store one trial's weights."""
    arrays = {f"backbone_{place}": array for place, array in weights.backbone.items()}
    arrays |= {f"head_{place}": array for place, array in enumerate(weights.head)}
    arrays["trial"] = np.array(key)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomic(weights_path(folder, key), buffer.getvalue())


def read_trained(folder: Path, key: str) -> TrainedWeights:
    """Read one trial's weights; where the run kept none, the error says how to get them."""
    path = weights_path(folder, key)
    if not path.is_file():
        raise BenchError(
            f"run {folder.name} did not keep the trained weights of trial {key}; repeat its "
            f"command (run.json holds it) with --fresh and --keep-models best."
        )
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if "trial" in archive.files and str(archive["trial"]) != key:
                raise ValueError(f"it holds the weights of trial {archive['trial']}")
            backbone = {_place(n): archive[n] for n in archive.files if n.startswith("backbone_")}
            heads = sorted((n for n in archive.files if n.startswith("head_")), key=_place)
            return TrainedWeights(backbone, tuple(archive[n] for n in heads))
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if os_error_text(error):
            raise
        raise BenchError(
            f"{path} is damaged ({error}); repeat the run's command with --fresh."
        ) from error


def best_first(records: Iterable[Record]) -> list[Record]:
    """Return finished trials, those with the most training images first, then by validation loss:
    test images must not select a model."""
    finished = (record for record in records if record.status == "ok")
    return sorted(finished, key=lambda r: (-r.trial.fraction, _validation_loss(r)))


def keep_best(folder: Path, records: Iterable[Record]) -> None:
    """Delete the weights of these trials, except for the best one of each backbone."""
    groups: dict[tuple[str, int], list[Record]] = {}
    for record in best_first(records):
        trial = record.trial
        groups.setdefault((trial.backbone, trial.input_size), []).append(record)
    for others in groups.values():
        for record in others[1:]:
            weights_path(folder, record.trial.key).unlink(missing_ok=True)


def _validation_loss(record: Record) -> float:
    if not record.phases or not record.phases[-1].epochs:
        return float("inf")
    kept = record.phases[-1].kept
    return float("inf") if kept is None else kept.loss


def _place(name: str) -> int:
    return int(name.rsplit("_", 1)[1])
