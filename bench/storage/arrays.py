"""The arrays of one trial on disk: raw results in `arrays/KEY.npz`, weights in `weights/KEY.npz`.

A results file holds its trial's key and the checksums of the files that it replaced; the record
holds the checksum of the file itself. Measuring rewrites the file first and then the record: if the
process is killed in between, the record has the checksum of the replaced file, which the new file
lists. Files of version 0.1 hold neither key nor checksums, and their records no checksum.

`bench.models.rebuild` rebuilds the model from the weights file, which holds the head and the
backbone's arrays that training changed; the others are in the pretrained file, which the record
names with its checksum. `--keep-models` chooses the trials whose weights are kept.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from bench.errors import BenchError, os_error_text
from bench.system.files import safe_name, write_atomic
from bench.types import Record, Trial

Array = NDArray[Any]
TRIAL, REPLACES = "__trial__", "__replaces__"
DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
ROUNDING = 0.01
TIMING_PREFIXES = ("latency_", "warmup_")
INDEX_ARRAYS = ("explained_images", "map_images")


def arrays_path(folder: Path, key: str) -> Path:
    """Return the path of the arrays of the trial `key` in a run's folder."""
    return folder / "arrays" / f"{key}.npz"


def write_arrays(folder: Path, key: str, arrays: Mapping[str, Array], *, replaces: str = "") -> str:
    """Write the arrays of one trial and return the file's SHA-256, for the trial's record.

    `replaces`: the checksum in the trial's current record, if it already has arrays.
    """
    earlier = (
        dict.fromkeys([*_read_replaced(arrays_path(folder, key)), replaces]) if replaces else ()
    )
    about = {TRIAL: np.array(key), REPLACES: np.array(list(earlier), dtype=np.str_)}
    content = _npz_bytes({**arrays, **about})
    write_atomic(arrays_path(folder, key), content)
    return hashlib.sha256(content).hexdigest()


def read_arrays(
    folder: Path, record: Record, classes: int, only: Collection[str] = ()
) -> dict[str, Array]:
    """Return the arrays of a trial by name; empty if there is no file.

    `only`: names of the arrays to read, empty for all. `BenchError` if the file is damaged or does
    not belong to the record.
    """
    path = arrays_path(folder, record.trial.key)
    try:
        with path.open("rb") as file:
            archive = _open_archive(file, record)
            names = (n for n in archive.files if n not in (TRIAL, REPLACES))
            arrays = {n: archive[n] for n in names if not only or n in only}
        _check_shapes(arrays, classes)
    except FileNotFoundError:
        return {}
    except DAMAGE as error:
        if os_error_text(error):
            raise  # reading failed; the file may be intact
        raise BenchError(
            f"{path} is damaged ({error}). The same `run` command trains that trial again and "
            f"keeps the others."
        ) from error
    return arrays


def find_arrays_fault(folder: Path, record: Record, classes: int) -> str:
    """Return what is wrong with the arrays file of a finished trial; "" if it is intact."""
    path = arrays_path(folder, record.trial.key)
    if not path.is_file():
        return f"{path} is missing"
    try:
        if not record.arrays_sha256:
            return "" if read_arrays(folder, record, classes) else f"{path} is empty"
        with path.open("rb") as file:
            _open_archive(file, record)
    except BenchError:
        return f"{path} is damaged"
    except DAMAGE as error:
        if os_error_text(error):
            raise
        return f"{path} is damaged ({error})"
    return ""


def _read_replaced(path: Path) -> list[str]:
    """Return the checksums of the files that the file at `path` replaced."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return [str(one) for one in archive[REPLACES]] if REPLACES in archive.files else []
    except (*DAMAGE, AttributeError):
        return []


def _open_archive(file: io.BufferedReader, record: Record) -> NpzFile:
    """Open a results file; raise ValueError if it does not belong to the record."""
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    archive = np.load(file, allow_pickle=False)
    if not isinstance(archive, NpzFile):
        raise ValueError("it is not an .npz archive")
    holder = str(archive[TRIAL]) if TRIAL in archive.files else ""
    earlier = archive[REPLACES].ravel() if REPLACES in archive.files else ()
    if holder not in ("", record.trial.key):
        raise ValueError(f"it holds the arrays of trial {holder}")
    if record.arrays_sha256 and record.arrays_sha256 not in (digest, *earlier):
        raise ValueError("it is not the file that the trial's record was made with")
    return archive


def _check_shapes(arrays: Mapping[str, Array], classes: int) -> None:
    """Raise ValueError if the arrays' shapes or values do not fit each other or the classes."""
    for name, array in arrays.items():
        if name.endswith("_labels"):
            if array.ndim != 1 or array.dtype.kind not in "iu":
                raise ValueError(f"{name} is not a list of whole numbers")
            if len(array) and not 0 <= array.min() <= array.max() < classes:
                raise ValueError(f"{name} are not of the run's {classes} classes")
        elif name in INDEX_ARRAYS:
            count = len(arrays.get("test_labels", ()))
            if array.dtype.kind not in "iu" or not ((array >= 0) & (array < count)).all():
                raise ValueError(f"{name} are not indices of the {count} test images")
        elif name.startswith(TIMING_PREFIXES):
            if array.ndim != 1 or array.dtype.kind != "f":
                raise ValueError(f"{name} is not a list of seconds")
        elif name.endswith("_probabilities") or name.startswith("probabilities_"):
            if array.ndim < 2 or array.dtype.kind not in "fiu" or array.shape[-1] != classes:
                raise ValueError(f"{name} are not of the run's {classes} classes")
            if name.endswith("_probabilities") and not _are_probabilities(array):
                raise ValueError(f"{name} are not probabilities")
            images = arrays.get(_images_array(name))
            if images is not None and array.shape[-2] != len(images):
                raise ValueError(f"{name} are for {array.shape[-2]} images, not for {len(images)}")


def _are_probabilities(array: Array) -> bool:
    """Return whether all finite values are in 0..1; diverged training gives others."""
    if not np.isfinite([array.min(initial=0), array.max(initial=1)]).all():
        array = array[np.isfinite(array)]
    return bool(array.min(initial=0) >= -ROUNDING and array.max(initial=1) <= 1 + ROUNDING)


def _images_array(probabilities: str) -> str:
    """Return the name of the array that has one entry for each image of `probabilities`."""
    if probabilities.startswith("robust"):
        return "robust_images"
    return "validation_labels" if "validation_" in probabilities else "test_labels"


@dataclass(frozen=True)
class TrainedWeights:
    """A trial's trained weights: arrays of the backbone that changed, by index, and the head's."""

    backbone: Mapping[int, Array]
    head: tuple[Array, ...]


def changed_arrays(before: Sequence[Array], after: Sequence[Array]) -> dict[int, Array]:
    """Return the arrays of `after` that differ from those of `before`, by index."""
    pairs = enumerate(zip(before, after, strict=True))
    return {i: new for i, (old, new) in pairs if not np.array_equal(old, new)}


def average_weights(before: Sequence[Array], trained: Sequence[TrainedWeights]) -> TrainedWeights:
    """Return the mean of several trials' weights, all trained from the arrays `before`.

    BatchNorm statistics are equal in all trials if BatchNorm is frozen. If it trains, they are
    averaged like weights, and the result is not computed from data.
    """
    indices = sorted({index for one in trained for index in one.backbone})
    return TrainedWeights(
        {i: _mean([one.backbone.get(i, before[i]) for one in trained]) for i in indices},
        tuple(_mean(each) for each in zip(*(one.head for one in trained), strict=True)),
    )


def _mean(arrays: Sequence[Array]) -> Array:
    found: Array = np.mean(arrays, axis=0, dtype=np.float64).astype(arrays[0].dtype)
    return found


def weights_path(folder: Path, key: str) -> Path:
    """Return the path of the trained weights of the trial `key` in a run's folder."""
    return folder / "weights" / f"{key}.npz"


def artefact_folder(folder: Path, trial: Trial) -> Path:
    """Return the folder in which a run that keeps models stores a trial's converted ones."""
    return folder / "models" / f"{safe_name(trial.backbone)}-{trial.key}"


def write_trained(folder: Path, key: str, weights: TrainedWeights) -> None:
    """Write the trained weights of the trial `key`."""
    arrays = {f"backbone_{index}": array for index, array in weights.backbone.items()}
    arrays |= {f"head_{index}": array for index, array in enumerate(weights.head)}
    arrays["trial"] = np.array(key)
    write_atomic(weights_path(folder, key), _npz_bytes(arrays))


def _npz_bytes(arrays: Mapping[str, Array]) -> bytes:
    """Return the arrays as an uncompressed archive.

    Compression would save 6% of probabilities and weights, and take most of the reading and writing
    time.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def read_trained(folder: Path, key: str) -> TrainedWeights:
    """Read the trained weights of the trial `key`; `BenchError` if they were not kept."""
    path = weights_path(folder, key)
    if not path.is_file():
        raise BenchError(
            f"run {folder.name} did not keep the trained weights of trial {key}; repeat its "
            f"command (in run.json) with --fresh and --keep-models best."
        )
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if "trial" in archive.files and str(archive["trial"]) != key:
                raise ValueError(f"it holds the weights of trial {archive['trial']}")
            backbone = {
                _array_index(n): archive[n] for n in archive.files if n.startswith("backbone_")
            }
            heads = sorted((n for n in archive.files if n.startswith("head_")), key=_array_index)
            return TrainedWeights(backbone, tuple(archive[n] for n in heads))
    except DAMAGE as error:
        if os_error_text(error):
            raise
        raise BenchError(
            f"{path} is damaged ({error}); repeat the run's command with --fresh."
        ) from error


def sort_best_first(records: Iterable[Record]) -> list[Record]:
    """Return the finished trials, sorted by training set fraction (largest first), then by
    validation loss (lowest first): test images must not select a model."""
    finished = (record for record in records if record.status == "ok")
    return sorted(finished, key=lambda r: (-r.trial.fraction, _validation_loss(r)))


def keep_better_weights(folder: Path, one: Record, other: Record) -> Record:
    """Delete the worse trial's weights of two trials of a backbone; return the better record."""
    better, *worse = sort_best_first((one, other)) or (one,)
    for record in worse:
        if record.trial.key != better.trial.key:
            weights_path(folder, record.trial.key).unlink(missing_ok=True)
    return better


def _validation_loss(record: Record) -> float:
    if not record.phases or not record.phases[-1].epochs:
        return float("inf")
    kept = record.phases[-1].kept
    return float("inf") if kept is None else kept.loss


def _array_index(name: str) -> int:
    return int(name.rsplit("_", 1)[1])
