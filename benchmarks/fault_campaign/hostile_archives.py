"""Zip archives that would write to other folders, expand without bound, or are unusual."""

from __future__ import annotations

import io
import random
import shutil
import stat
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

PIXEL = bytes.fromhex(  # a GIF of one pixel
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
NAMES = (
    *("../evil.png", "../../evil.png", "/evil.png", "/tmp/evil.png", "a/../../../evil.png"),
    *("..\\evil.png", "C:\\evil.png", "\\\\host\\evil.png", "train/cat/../../../evil.png"),
    *("train/cat/\0evil.png", "train/cat/" + "n" * 300 + ".png", "a/" * 1500 + "x.png"),
    *("train/cat/\n.png", "train/cat/\u2028.png", "train/CAT/000.png", "train/cat/000.png"),
    *("train/cat/con.png", "train/cat", "train", "", ".", "./train/cat/x.png", "train//cat//y.png"),
)


def hostile_archive(path: Path, good: Path, rng: random.Random) -> str:
    """Write a hostile archive with or without good images; return its description."""
    makings: dict[str, Callable[[], None]] = {
        "bomb": lambda: _bomb(path),
        "link": lambda: _special(path, good, stat.S_IFLNK),
        "device": lambda: _special(path, good, stat.S_IFCHR),
        "fifo": lambda: _special(path, good, stat.S_IFIFO),
        "encrypted": lambda: _flagged(path, good, 1),
        "an unknown method": lambda: _method(path, good),
        "many files": lambda: _many(path),
        "empty": lambda: zipfile.ZipFile(path, "w").close(),
        "an archive inside": lambda: _inside(path, good),
        "something before it": lambda: _prefixed(path, good),
        "a lying size": lambda: _lying(path, good, rng),
    }
    if rng.random() < 0.5:
        name = rng.choice(NAMES)
        _added(path, good, name)
        return f"a member {ascii(name)[:40]}"
    how = rng.choice(sorted(makings))
    makings[how]()
    return how


def _added(path: Path, good: Path, name: str) -> None:
    shutil.copy(good, path)
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        info = zipfile.ZipInfo("placeholder.png")
        info.filename = name  # as it stands: the constructor would tidy it
        archive.writestr(info, PIXEL)


def _bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(4):
            archive.writestr(f"train/cat/{number}.png", bytes(100_000_000))


def _special(path: Path, good: Path, kind: int) -> None:
    shutil.copy(good, path)
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("train/cat/special.png")
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")


def _flagged(path: Path, good: Path, bit: int) -> None:
    data = bytearray(good.read_bytes())
    for mark, place in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = data.find(mark)
        data[at + place] |= bit
    path.write_bytes(data)


def _method(path: Path, good: Path) -> None:
    data = bytearray(good.read_bytes())
    for mark, place in ((b"PK\x01\x02", 10), (b"PK\x03\x04", 8)):
        data[data.find(mark) + place] = 99
    path.write_bytes(data)


def _many(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(2000):
            archive.writestr(f"{('cat', 'dog')[number % 2]}/{number}.png", b"")


def _inside(path: Path, good: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(good, "photos.zip")


def _prefixed(path: Path, good: Path) -> None:
    path.write_bytes(b"#!/bin/sh\necho evil\n" * 10 + good.read_bytes())


def _lying(path: Path, good: Path, rng: random.Random) -> None:
    """Return an archive whose directory has a wrong length for a member."""
    buffer = io.BytesIO(good.read_bytes())
    data = bytearray(buffer.getvalue())
    at = data.find(b"PK\x01\x02")
    size = rng.choice((0, 1, 2**31, 2**32 - 1))
    data[at + 24 : at + 28] = size.to_bytes(4, "little")
    path.write_bytes(data)
