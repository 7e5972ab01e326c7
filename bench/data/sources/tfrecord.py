"""Images out of records, and random access to TFRecord files without TensorFlow.

A TFRecord is its length (8 bytes, little endian), a checksum (4), the data, another checksum (4).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from bench.data.listing import ReadImage

LENGTH, CHECKSUM = 8, 4
Parse = Callable[[bytes], Mapping[str, Any]]  # an example as features, its image still encoded


class Records(Protocol):
    """Serialised examples by position."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> bytes: ...


def make_image_reader(records: Mapping[str, Records], parse: Parse) -> ReadImage:
    """Return what reads the encoded image of one example; names are `split/position`."""
    lock = threading.Lock()  # not all readers of ArrayRecord files are thread-safe

    def read(id: str) -> bytes:
        split, _, position = id.rpartition("/")
        with lock:
            record = records[split][int(position)]
        image: bytes = parse(record)["image"]
        return image

    return read


class TFRecords:
    """The records of some files, one after the other."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._places = [
            (path, start, size) for path in paths for start, size in _locate_records(path)
        ]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> bytes:
        path, start, size = self._places[index]
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(size)
        if len(data) != size:
            raise OSError(f"{path.name} is cut off")
        return data


def _locate_records(path: Path) -> list[tuple[int, int]]:
    """Return where each record's data starts, and its size."""
    found = []
    end = path.stat().st_size
    with path.open("rb") as file:
        place = 0
        while place < end:
            file.seek(place)
            size = int.from_bytes(file.read(LENGTH), "little")
            start = place + LENGTH + CHECKSUM
            place = start + size + CHECKSUM
            if place > end:
                raise OSError(f"{path.name} is cut off")
            found.append((start, size))
    return found
