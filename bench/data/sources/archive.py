"""A zip archive of images: extracted once, safely, then read as a folder.

An archive is not trusted. A member that would be written outside the target folder, or an archive
that would unpack to far more than its size, is an error before any file is written. At each use,
the extracted files' names and sizes are compared with a manifest, and all are extracted again if
any differs; a file whose content has changed is read from the archive instead.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath

from bench.data.listing import Listing
from bench.data.sources import SOURCES, ListingOptions, Source
from bench.data.sources.folder import LITTER, list_folder, read_file
from bench.errors import DatasetError
from bench.storage.shared_folder import EXTRACTED, NotKeptError
from bench.system.files import is_folder, iterate_files, safe_name, to_json

MAX_FILES = 3_000_000
MAX_BYTES = 400 * 10**9
MAX_DEPTH = 100
MAX_RATIO = 100  # unpacked to packed size; images hardly shrink. Not checked below HARMLESS_BYTES
HARMLESS_BYTES = 256 * 10**6
MANIFEST = ".files.json"  # hidden: such names are neither extracted nor read as images

# Errors of reading a damaged archive; the last one for a name that is not text.
DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError),
    *(NotImplementedError, RuntimeError, UnicodeDecodeError),
)
Members = list[tuple[zipfile.ZipInfo, PurePosixPath]]  # with the relative path to extract to


def list_archive(name: str, options: ListingOptions) -> Listing:
    """Return the listing of an archive's images; extract the archive into the cache if needed."""
    path, store = Path(name), options.store
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    folder = store.root / EXTRACTED / digest
    store.pin(EXTRACTED, digest)
    with store.lock(EXTRACTED, {"sha256": digest}), ExitStack() as stack:
        checksums = _read_checksums(folder)
        if checksums is None and store.read_only:  # list empty files: only the names matter
            folder = stack.enter_context(store.temporary_folder())
            _, members = stack.enter_context(_open_archive(path))
            for _, target in members:
                (folder / target).parent.mkdir(parents=True, exist_ok=True)
                (folder / target).touch()
        elif checksums is None:
            checksums = _extract(path, folder, options)
        return list_folder(
            folder,
            split_seed=options.split_seed,
            groups=options.groups,
            name=safe_name(path.stem) or "dataset",
            identity=f"zip {digest}",
            read=read_file if checksums is None else _make_reader(path, folder, checksums),
        )


def _make_reader(path: Path, folder: Path, checksums: Mapping[str, int]) -> Callable[[Path], bytes]:
    """Return a function that reads an extracted file, from the archive if it has changed."""

    def read(file: Path) -> bytes:
        name = file.relative_to(folder).as_posix()
        with suppress(OSError):
            data = read_file(file)
            if zlib.crc32(data) == checksums[name]:
                return data
        with _open_archive(path) as (archive, members):
            return archive.read(next(m for m, target in members if target.as_posix() == name))

    return read


def _extract(path: Path, folder: Path, options: ListingOptions) -> Mapping[str, int]:
    """Extract the archive and return the CRC-32 of each file."""
    store = options.store
    try:
        store.make_folder(EXTRACTED)
        with store.temporary_folder() as aside, _open_archive(path) as (archive, members):
            total = sum(member.file_size for member, _ in members)
            free = shutil.disk_usage(aside).free
            if total > 0.9 * free:
                raise DatasetError(
                    f"{path.name} unpacks to {total:,} bytes, but {store.root} has {free:,} "
                    "free; make room or name another cache folder."
                )
            options.report(f"Extracting {path.name}: {len(members):,} files, {total / 1e6:,.0f} MB")
            for member, target in members:
                _write(archive, member, aside / target)
            checksums = {target.as_posix(): member.CRC for member, target in members}
            manifest = {"sizes": _file_sizes(aside), "crc32": checksums}
            (aside / MANIFEST).write_text(to_json(manifest), encoding="utf-8")
            store.replace_folder(aside, folder)
            return checksums
    except NotKeptError as error:
        raise DatasetError(f"{path.name} cannot be extracted: {error}.") from error
    except OSError as error:
        raise DatasetError(f"{path} cannot be extracted: {error}.") from error


def _read_checksums(folder: Path) -> Mapping[str, int] | None:
    """Return the CRC-32 of each extracted file, by name; None if a file is missing, superfluous, or
    has another size than the manifest says."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        sizes, checksums = manifest["sizes"], manifest["crc32"]
        whole = (
            is_folder(folder) and sizes == _file_sizes(folder) and sizes.keys() == checksums.keys()
        )
        return checksums if whole else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _file_sizes(folder: Path) -> dict[str, int]:
    return {name: nbytes for name, nbytes in iterate_files(folder) if name != MANIFEST}


@contextmanager
def _open_archive(path: Path) -> Iterator[tuple[zipfile.ZipFile, Members]]:
    """Open the archive; yield it with its members to extract."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive, _safe_members(archive, path)
    except DAMAGE as error:
        raise DatasetError(f"{path} is damaged or not a usable zip archive: {error}.") from error


def _safe_members(archive: zipfile.ZipFile, path: Path) -> Members:
    """Return the members to extract with their targets; DatasetError if one is suspicious."""
    members = archive.infolist()
    total = sum(member.file_size for member in members)
    if len(members) > MAX_FILES or total > MAX_BYTES:
        raise DatasetError(
            f"{path.name} holds {len(members):,} files of {total:,} bytes; the limits are "
            f"{MAX_FILES:,} and {MAX_BYTES:,}. Extract it yourself and give the folder."
        )
    if total > max(HARMLESS_BYTES, MAX_RATIO * path.stat().st_size):
        raise DatasetError(
            f"{path.name} would unpack from {path.stat().st_size:,} to {total:,} bytes, which no "
            "archive of images does. If you trust it, extract it yourself and give the folder."
        )
    found = []
    for member in members:
        if not member.filename:
            raise DatasetError(f"{path.name} holds a file without a name.")
        if member.is_dir():
            continue  # created with the files in it
        target = _target_path(member, path)
        if not any(part.lower() in LITTER or part.startswith(".") for part in target.parts):
            found.append((member, target))
    return found


def _target_path(member: zipfile.ZipInfo, path: Path) -> PurePosixPath:
    """Return the relative path to extract a member to; DatasetError if it is suspicious."""
    name = member.filename.replace("\\", "/")  # as written by some programs on Windows
    target = PurePosixPath(name)
    if target.is_absolute() or ".." in target.parts or name[1:2] == ":" or not target.parts:
        raise DatasetError(f"{path.name} names a file outside itself: {member.filename!r}.")
    if len(target.parts) > MAX_DEPTH:
        raise DatasetError(
            f"{path.name} nests folders {len(target.parts):,} deep, the limit is {MAX_DEPTH}. "
            "Extract it yourself and give the folder."
        )
    if member.flag_bits & 1:
        raise DatasetError(f"{path.name} is encrypted; extract it yourself and give the folder.")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise DatasetError(f"{path.name} holds a link or device: {member.filename!r}.")
    return target


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # "x" refuses a second member of the same name. Reading stops at the size that the archive
    # states, which was checked.
    with archive.open(member) as source, target.open("xb") as file:
        shutil.copyfileobj(source, file, 1 << 20)


SOURCES.add(
    Source(
        name="archive",
        usage="FILE.zip",
        help="the same in a zip archive",
        list_images=list_archive,
        matches_path=Path.is_file,
    )
)
