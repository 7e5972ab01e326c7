"""A folder of images: `train/ validation/ [test/]` with a folder per class, or a folder per class.

Lists files without opening them. `data/splits.py` assigns the images to splits.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.data.groups import match_groups
from bench.data.listing import ListedImage, Listing, digest_lines
from bench.data.sources import SOURCES, Source
from bench.data.splits import NO_GROUPS, complete_splits
from bench.errors import DatasetError
from bench.system.files import safe_name
from bench.types import SPLITS, SplitName

SPLIT_FOLDERS: Mapping[str, SplitName] = {
    **dict.fromkeys(("train", "training", "training_set"), "train"),
    **dict.fromkeys(("validation", "valid", "val"), "validation"),
    **dict.fromkeys(("test", "testing", "test_set"), "test"),
}
IMAGE_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".avif", ".jp2", ".ico", ".pcx", ".qoi"),
    )
)
LITTER = frozenset(("__macosx", "thumbs.db", "desktop.ini"))
MAX_FILE_BYTES = 256 * 2**20  # limits memory: several whole files are read at the same time
MAX_PATH = 200  # characters of a path in an error


def read_file(path: Path) -> bytes:
    """Return the content of an image file.

    `OSError` also for a pipe or device, which may never end, and for a file that is too large.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError("not a regular file")
    if status.st_size > MAX_FILE_BYTES:
        raise OSError(f"larger than {MAX_FILE_BYTES:,} bytes")
    return path.read_bytes()


def list_folder(
    root: Path,
    *,
    split_seed: int,
    groups: Mapping[str, str] = NO_GROUPS,
    name: str | None = None,
    identity: str | None = None,
    read: Callable[[Path], bytes] = read_file,
) -> Listing:
    """Return the listing of the images under `root`.

    `groups` are by image name in the user's file. `name`: of the data set; None: the folder's name.
    `identity` changes with the images; None: it is computed from sizes and dates. `read` returns
    the content of an image file.
    """
    top = unwrap(root)
    name = name or safe_name(root.resolve().name) or "dataset"
    folders, notes = _split_folders(top)
    ignored: Counter[str] = Counter()
    if top not in folders.values():
        filter_images((f for f in _list_visible(top) if f.is_file()), ignored)
    found = {split: _by_class(folder, ignored) for split, folder in folders.items()}
    classes = _require_same_classes({folders[split]: each for split, each in found.items()}, root)

    paths: dict[str, Path] = {}
    listed: dict[SplitName, list[ListedImage]] = {}
    for split, each in found.items():
        listed[split] = []
        for label, title in enumerate(classes):
            for path in each[title]:
                id = to_printable(path.relative_to(top).as_posix())
                paths[id] = path
                listed[split].append(ListedImage(id, label))

    if ignored:
        notes.append(ignored_note(ignored))
    matched = match_groups(groups, paths)
    splits = complete_splits(listed, classes=classes, seed=split_seed, groups=matched)
    return Listing(
        name=name,
        description=f"{name}: {_describe_split(folders, split_seed)}",
        classes=classes,
        splits=splits,
        read=lambda id: read(paths[id]),
        identity=identity or _identity(paths),
        notes=tuple(notes),
        groups=matched,
    )


def unwrap(folder: Path) -> Path:
    """Return `folder` or, if it only wraps one other folder, as in many archives, the inner one."""
    while True:
        inner = _subfolders(folder)
        if len(inner) != 1 or not _subfolders(inner[0]) or inner[0].name.lower() in SPLIT_FOLDERS:
            return folder
        folder = inner[0]


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield all files under `folder` at any depth, following links."""
    seen: set[tuple[int, int]] = set()  # folders, because links may form a cycle
    open_folders = [iter([folder])]
    while open_folders:
        path = next(open_folders[-1], None)
        if path is None:
            open_folders.pop()
        elif not _is_folder(path):
            yield path
        elif (identity := _folder_identity(path)) not in seen:
            seen.add(identity)
            open_folders.append(iter(_list_visible(path)))


def _split_folders(top: Path) -> tuple[dict[SplitName, Path], list[str]]:
    """Return the folder of each split, and notes on ignored folders.

    Without split folders, the whole folder is train.
    """
    found: dict[SplitName, Path] = {}
    others = []
    for folder in _subfolders(top):
        split = SPLIT_FOLDERS.get(folder.name.lower())
        if split is None:
            others.append(folder.name)
            continue
        if split in found:
            raise DatasetError(
                f"{top} has two folders for {split}: {found[split].name!r} and {folder.name!r}; "
                "keep one."
            )
        # Some published archives wrap a split in a second folder of the same name.
        twice = [f for f in _subfolders(folder) if f.name.lower() == folder.name.lower()]
        found[split] = twice[0] if twice else folder
    if not found:
        return {"train": top}, []
    if "train" not in found:
        names = ", ".join(repr(folder.name) for folder in found.values())
        raise DatasetError(f"{top} has {names} but no 'train'; add it, or give a folder per class.")
    notes = [f"folder(s) next to the splits were ignored: {', '.join(others)}"] if others else []
    return {split: found[split] for split in SPLITS if split in found}, notes


def _by_class(folder: Path, ignored: Counter[str]) -> dict[str, list[Path]]:
    """Return the images of each class folder, by class name; count other files in `ignored`."""
    stray = filter_images((f for f in _list_visible(folder) if f.is_file()), ignored)
    if stray:
        ignored["images outside class folders"] += len(stray)
    return {
        to_printable(f.name): filter_images(walk_files(f), ignored) for f in _subfolders(folder)
    }


def _require_same_classes(
    found: Mapping[Path, Mapping[str, list[Path]]], root: Path
) -> tuple[str, ...]:
    """Return the class names; DatasetError unless all folders have the same ones, with images."""
    titles = sorted({title for each in found.values() for title in each})
    if len(titles) < 2:
        had = f"only {titles[0]!r}" if titles else "none"
        raise DatasetError(
            f"{root} needs a folder for each of at least 2 classes (or train/ and validation/ "
            f"with such folders inside); found {had}."
        )
    for folder, each in found.items():
        for title in titles:
            if title not in each:
                raise DatasetError(
                    f"class {title!r} is missing from {folder}; every split needs the same "
                    f"classes ({', '.join(titles[:10])})."
                )
            if not each[title]:
                raise DatasetError(
                    f"class folder {folder / title} holds no image; add images or remove it."
                )
    return tuple(titles)


@contextmanager
def _raise_dataset_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        name = str(folder)
        if len(name) > MAX_PATH:
            name = f"{name[: MAX_PATH // 2]}...{name[-MAX_PATH // 2 :]}"
        raise DatasetError(f"folder {name} cannot be read: {error.strerror}.") from error


def _list_visible(folder: Path) -> list[Path]:
    with _raise_dataset_error(folder):
        return sorted(
            path
            for path in folder.iterdir()
            if not path.name.startswith(".") and path.name.lower() not in LITTER
        )


def _subfolders(folder: Path) -> list[Path]:
    return [path for path in _list_visible(folder) if _is_folder(path)]


def _is_folder(path: Path) -> bool:
    with _raise_dataset_error(path.parent):
        return path.is_dir()


def _folder_identity(folder: Path) -> tuple[int, int]:
    """Return the device and inode of a folder, which are the same for all paths to it."""
    with _raise_dataset_error(folder):
        status = folder.stat()
    return status.st_dev, status.st_ino


def filter_images(files: Iterable[Path], ignored: Counter[str]) -> list[Path]:
    """Return the files with an image suffix; count the others in `ignored`, by suffix."""
    images = []
    for path in files:
        if path.suffix.lower() in IMAGE_SUFFIXES:
            images.append(path)
        else:
            ignored[path.suffix.lower() or "no suffix"] += 1
    return images


def ignored_note(ignored: Counter[str]) -> str:
    """Return a note on how many files were ignored, by kind."""
    kinds = ", ".join(f"{kind}: {count}" for kind, count in sorted(ignored.items()))
    return f"{ignored.total()} file(s) were ignored ({kinds})"


def _identity(paths: Mapping[str, Path]) -> str:
    def line(id: str, path: Path) -> str:
        try:
            status = path.stat()
        except OSError:
            return f"{id}\tunreadable"  # such as a broken link; reading it will give the reason
        return f"{id}\t{status.st_size}\t{status.st_mtime_ns}"

    return digest_lines(line(id, path) for id, path in sorted(paths.items()))


def _describe_split(folders: Mapping[SplitName, Path], seed: int) -> str:
    if len(folders) == 3:
        return "train, validation and test as given"
    if len(folders) == 1:
        return f"one set of images, validation and test carved from it with split seed {seed}"
    second = next(folder.name for split, folder in folders.items() if split != "train")
    return f"test is {second!r}, validation carved from train with split seed {seed}"


def to_printable(name: str) -> str:
    """Return a file name as valid Unicode, with bytes that are not UTF-8 escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


SOURCES.add(
    Source(
        name="folder",
        usage="DIR",
        help="train/ validation/ [test/] with a folder per class, or a folder per class",
        list_images=lambda name, options: list_folder(
            Path(name), split_seed=options.split_seed, groups=options.groups
        ),
        matches_path=Path.is_dir,
    )
)
