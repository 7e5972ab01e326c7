"""Images from records, and random access to TFRecord files without TensorFlow.

A record is its length (8 bytes, little endian), a checksum (4), the data, another checksum (4).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from bench.data.listing import ReadImage

LENGTH, CHECKSUM = 8, 4
Parse = Callable[[bytes], Mapping[str, Any]]  # returns an example's features, the image encoded


class Records(Protocol):
    """A sequence of serialised examples."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> bytes: ...


def make_image_reader(records: Mapping[str, Records], parse: Parse) -> ReadImage:
    """Return a thread-safe function that reads the encoded image of the id `split/position`."""
    lock = threading.Lock()  # not all readers of ArrayRecord files are thread-safe

    def read(id: str) -> bytes:
        split, _, position = id.rpartition("/")
        with lock:
            record = records[split][int(position)]
        image: bytes = parse(record)["image"]
        return image

    return read


class TFRecords:
    """The records of several TFRecord files, as one sequence."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._locations = [
            (path, start, size) for path in paths for start, size in _locate_records(path)
        ]

    def __len__(self) -> int:
        return len(self._locations)

    def __getitem__(self, index: int) -> bytes:
        path, start, size = self._locations[index]
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(size)
        if len(data) != size:
            raise OSError(f"{path.name} is cut off")
        return data


def _locate_records(path: Path) -> list[tuple[int, int]]:
    """Return the start and size, in bytes, of the data of each record in a file."""
    found = []
    end = path.stat().st_size
    with path.open("rb") as file:
        offset = 0
        while offset < end:
            file.seek(offset)
            size = int.from_bytes(file.read(LENGTH), "little")
            start = offset + LENGTH + CHECKSUM
            offset = start + size + CHECKSUM
            if offset > end:
                raise OSError(f"{path.name} is cut off")
            found.append((start, size))
    return found
