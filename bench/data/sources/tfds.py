"""Image-classification data sets of TensorFlow Datasets: prepared once, then read by record.

Preparing may need TensorFlow; reading does not, and the process that trains only reads decoded
pixels from the cache. TensorFlow Datasets is imported in functions, because that is slow.
"""

from __future__ import annotations

import importlib.util
import logging
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.data.groups import match_groups
from bench.data.listing import ListedImage, Listing, digest_lines
from bench.data.sources import SOURCES, ListingOptions, Source
from bench.data.sources.folder import SPLIT_FOLDERS
from bench.data.sources.tfrecord import Parse, Records, TFRecords, make_image_reader
from bench.data.splits import complete_splits
from bench.errors import DatasetError, NoDatasetError
from bench.system.files import safe_name
from bench.types import SplitName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# A data set of the installed package, with configuration and version but no other options.
INSTALLED_NAME = re.compile(r"\w+(/[^:=/]+)?(:[\d.*]+)?")


class NotPreparedError(DatasetError):
    """The data set could be prepared, but the cache is read-only."""


def find_builder(name: str, data_dir: Path | None = None) -> Any:
    """Return the builder of `NAME[/CONFIG][:VERSION]`; NoDatasetError for an unknown name."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DatasetError(
            f"tfds:{name} needs TensorFlow Datasets ({error}); install it with "
            "`pip install 'backbone-bench[tfds]'`."
        ) from error
    logging.getLogger("absl").setLevel(logging.ERROR)  # it warns about unprepared data sets
    bare = name.partition(":")[0].partition("/")[0]
    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        near = get_close_matches(bare, tfds.list_builders(with_community_datasets=False), n=3)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise NoDatasetError(
            f"TensorFlow Datasets {tfds.__version__} has no data set {name!r}.{hint}"
        ) from error
    except (ValueError, AssertionError) as error:  # an unknown version or configuration
        raise DatasetError(f"tfds:{name} cannot be used: {_root_cause(error)}") from error


def can_download(builder: Any) -> bool:
    """Return whether the files are downloaded or their host responds within 5 s (cached)."""
    urls = sorted(builder.url_infos or {})
    depth = len(builder.info.full_name.split("/"))
    downloads = Path(builder.data_dir).parents[depth - 1] / "downloads"
    return not urls or any(downloads.glob("*")) or is_reachable(urls[0])


def list_tfds(name: str, options: ListingOptions, data_dir: Path | None = None) -> Listing:
    """Return the listing of a data set, which is prepared first if needed.

    In a groups file the images are named `split/position`.
    """
    store, seed = options.store, options.split_seed
    builder = find_builder(name, data_dir)
    _check_features(builder.info.features, name)
    if not builder.is_prepared():
        if store.read_only:
            raise NotPreparedError(
                f"tfds:{name} is not prepared in {builder.data_dir} yet, and a dry run prepares "
                "nothing, so its images are unknown. Run without --dry-run to prepare it."
            )
        with store.lock("tfds", {"name": builder.info.full_name}):
            if not builder.is_prepared():
                _prepare(builder, name, options)
    records = {split: _open_records(builder, split) for split in builder.info.splits}
    labels = _read_labels(builder, records, options)
    notes: list[str] = []
    given = _match_splits(labels, notes, name)
    classes = tuple(builder.info.features["label"].names)
    listed = {
        split: [
            ListedImage(f"{source}/{position:07d}", int(label))
            for position, label in enumerate(labels[source])
        ]
        for split, source in given.items()
    }
    matched = match_groups(
        options.groups, (image.id for images in listed.values() for image in images)
    )
    splits = complete_splits(listed, classes=classes, seed=seed, groups=matched)
    carved = "" if len(given) == 3 else f", the others carved from train with split seed {seed}"
    return Listing(
        name=safe_name(f"tfds-{name.partition(':')[0]}"),
        description=f"TensorFlow Datasets {builder.info.full_name}: "
        f"splits {', '.join(given.values())} as given{carved}",
        classes=classes,
        splits=splits,
        read=make_image_reader(records, _make_parser(builder.info.features)),
        identity=_identity(builder),
        notes=tuple(notes),
        groups=matched,
    )


def _prepare(builder: Any, name: str, options: ListingOptions) -> None:
    if not can_download(builder):
        raise DatasetError(
            f"tfds:{name} is not prepared in {builder.data_dir} and its host does not respond (no "
            "network?). Prepare it on another machine and copy the folder, or use another data set."
        )
    # Only ArrayRecord is designed for random access; it is not available on every platform.
    random_access = importlib.util.find_spec("array_record") is not None
    options.report(f"Preparing tfds:{name} in {builder.data_dir}, once; this may take minutes")
    try:
        builder.download_and_prepare(file_format="array_record" if random_access else "tfrecord")
    except ImportError as error:
        raise DatasetError(
            f"tfds:{name} can be read, but preparing it needs packages that are not installed: "
            f"{_root_cause(error)}. Most sets need TensorFlow: `pip install tensorflow`."
        ) from error
    except Exception as error:  # download scripts may raise any error
        raise DatasetError(
            f"tfds:{name} could not be prepared: {type(error).__name__}: {_root_cause(error)}"
        ) from error


def _check_features(features: Any, name: str) -> None:
    import numpy as np
    import tensorflow_datasets as tfds

    there = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
    image, label = there.get("image"), there.get("label")
    usable = isinstance(image, tfds.features.Image) and np.dtype(image.np_dtype).kind == "u"
    if not usable or not isinstance(label, tfds.features.ClassLabel):
        raise DatasetError(
            f"tfds:{name} is not an image-classification data set: it needs the features 'image' "
            f"and 'label' and has {', '.join(sorted(there)) or 'others'}."
        )


def _open_records(builder: Any, split: str) -> Records:
    import tensorflow_datasets as tfds

    if builder.info.file_format == tfds.core.FileFormat.ARRAY_RECORD:
        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        source: Records = builder.as_data_source(split, deserialize_method=raw)
        return source
    if builder.info.file_format == tfds.core.FileFormat.TFRECORD:
        return TFRecords([Path(path) for path in builder.info.splits[split].filepaths])
    raise DatasetError(
        f"{builder.data_dir} is stored as {builder.info.file_format}; only array_record and "
        "tfrecord can be read. Remove the folder; the next run prepares it again."
    )


def _make_parser(features: Any) -> Parse:
    """Return a function that parses an example and leaves its image encoded."""
    import tensorflow_datasets as tfds

    encoded = {"image": tfds.decode.SkipDecoding()}
    return lambda record: features.deserialize_example_np(record, decoders=encoded)


def _read_labels(
    builder: Any, records: Mapping[str, Records], options: ListingOptions
) -> dict[str, NDArray[np.int64]]:
    """Return the labels of every split, cached because reading them means reading all records."""
    import numpy as np

    names = sorted(records)

    def read() -> NDArray[np.int64]:
        total = sum(len(each) for each in records.values())
        options.report(f"Reading the labels of {builder.info.full_name}: {total:,} images")
        parse = _make_parser(builder.info.features)
        labels = [
            parse(records[name][position])["label"]
            for name in names
            for position in range(len(records[name]))
        ]
        return np.asarray(labels, np.int64)

    title = f"{builder.info.full_name} labels"
    flat = options.store.get_or_compute("labels", {"identity": _identity(builder)}, title, read)
    ends = np.cumsum([len(records[name]) for name in names])
    return dict(zip(names, np.split(flat, ends[:-1]), strict=True))


def _match_splits(
    labels: Mapping[str, NDArray[np.int64]], notes: list[str], name: str
) -> dict[SplitName, str]:
    """Return the data set's own splits that serve as train, validation and test."""
    found: dict[SplitName, str] = {}
    for source, each in labels.items():
        split = SPLIT_FOLDERS.get(source.lower())
        if len(each) and each.min() < 0:
            notes.append(f"split {source!r} has no labels and was ignored")
        elif len(labels) == 1:
            found["train"] = source
        elif split is None or split in found:
            notes.append(f"split {source!r} was ignored")
        else:
            found[split] = source
    if "train" not in found:
        raise DatasetError(f"tfds:{name} has no labelled split 'train', only {', '.join(labels)}.")
    return found


def _identity(builder: Any) -> str:
    lines = [builder.info.full_name]
    for split in sorted(builder.info.splits):
        for path in map(Path, builder.info.splits[split].filepaths):
            status = path.stat()
            lines.append(f"{path.name}\t{status.st_size}\t{status.st_mtime_ns}")
    return digest_lines(lines)


def _root_cause(error: BaseException) -> str:
    """Return the first line of the root cause; outer exceptions wrap it in long messages."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@cache
def is_reachable(url: str, seconds: float = 5.0) -> bool:
    """Return whether the host of `url` responds successfully to a request within `seconds`."""
    import http.client
    import urllib.request

    served = threading.Event()

    def request_head() -> None:
        # The host may refuse, be unknown or too slow, or the URL may not be an HTTP address.
        with suppress(OSError, ValueError, http.client.HTTPException):
            request = urllib.request.Request(url, method="HEAD")
            with urllib.request.urlopen(request, timeout=seconds):
                served.set()

    # In a separate thread, because a DNS lookup has no time limit.
    thread = threading.Thread(target=request_head, daemon=True)
    thread.start()
    thread.join(seconds)
    return served.is_set()


SOURCES.add(
    Source(
        name="tfds:",
        usage="tfds:NAME",
        help="an image-classification data set of TensorFlow Datasets",
        list_images=list_tfds,
        modules=("tensorflow_datasets",),
        install="backbone-bench[tfds]",
        loads_code=lambda name: not INSTALLED_NAME.fullmatch(name),
    )
)
