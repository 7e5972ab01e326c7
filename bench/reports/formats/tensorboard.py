"""`tensorboard/`: a folder for each trial, with every epoch and figure, for TensorBoard.

An event file consists of records with a few protocol-buffer fields. They are encoded here, so no
package is needed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import datetime
from functools import reduce
from pathlib import Path

from bench.analysis.escape import file_names
from bench.analysis.findings import Findings
from bench.reports.formats.series import Series, all_series
from bench.system.files import write_atomic

FOLDER = "tensorboard"
FILE = "events.out.tfevents.0.backbone-bench"  # TensorBoard requires `tfevents` in the name
POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected
TABLE = [
    reduce(lambda value, _: value >> 1 ^ (POLYNOMIAL if value & 1 else 0), range(8), byte)
    for byte in range(256)
]


def write(findings: Findings) -> Path:
    """Write an event file for each finished trial; return the folder that contains them."""
    folder = findings.run.folder / FOLDER
    found = {series.name: series for series in all_series(findings)}
    for name, file_name in file_names(found).items():
        write_atomic(folder / file_name / FILE, b"".join(_events(found[name])))
    return folder


def _events(series: Series) -> Iterator[bytes]:
    finished = series.record.finished
    when = datetime.fromisoformat(finished).timestamp() if finished else 0.0
    yield _record(_double(1, when) + _bytes(3, b"brain.Event:2"))
    for step, epoch in enumerate(series.epochs, 1):
        for tag, value in epoch.items():
            yield _scalar(when, step, tag, value)
    for name, value in series.figures.items():
        yield _scalar(when, len(series.epochs), f"figures/{name}", value)


def _scalar(when: float, step: int, tag: str, value: float) -> bytes:
    single = _bytes(1, tag.encode()) + struct.pack("<Bf", 2 << 3 | 5, value)
    return _record(_double(1, when) + _integer(2, step) + _bytes(5, _bytes(1, single)))


def _double(field: int, value: float) -> bytes:
    return struct.pack("<Bd", field << 3 | 1, value)


def _integer(field: int, value: int) -> bytes:
    return bytes([field << 3]) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def _checksum(data: bytes) -> bytes:
    """Return the CRC-32C, masked as in TFRecord files."""
    value = 0xFFFFFFFF
    for byte in data:
        value = TABLE[(value ^ byte) & 0xFF] ^ value >> 8
    value ^= 0xFFFFFFFF
    masked = ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return struct.pack("<I", masked)
