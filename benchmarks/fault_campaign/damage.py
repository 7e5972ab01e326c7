"""Random damage to a file or a folder."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

CONTENTS = {
    "nothing": b"",
    "null": b"null",
    "a number": b"7",
    "a list": b"[]",
    "an object": b"{}",
    "a word": b'"word"',
    "NaN": b'{"schema": NaN}',
    "a huge number": b'{"schema": 1e999, "trial": 1' + b"0" * 400 + b"}",
    "deep nesting": b"[" * 100_000,
    "invalid UTF-8": b'{"name": "\xff\xfe"}',
    "zeros": bytes(4096),
    "HTML": b"<html><body>404</body></html>\n",
}


def damage(path: Path, rng: random.Random) -> str:
    """Change a file's content; return a description of the change."""
    data = path.read_bytes()
    how = rng.choice(("flip", "flip", "flip", "cut", "cut", "lengthen", "overwrite", "content"))
    if how == "content" or not data:
        name = rng.choice(sorted(CONTENTS))
        path.write_bytes(CONTENTS[name])
        return f"{_name(path)}: {name}"
    at = rng.randrange(len(data))
    if rng.random() < 0.4:  # headers are short, and matter most
        at = min(at, rng.randrange(128))
    if how == "flip":
        bit = 1 << rng.randrange(8)
        path.write_bytes(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])
        return f"{_name(path)}: bit {bit:#x} of byte {at} flipped"
    if how == "cut":
        path.write_bytes(data[:at])
        return f"{_name(path)}: cut after {at} of {len(data)} bytes"
    if how == "lengthen":
        path.write_bytes(data + data[at:])
        return f"{_name(path)}: {len(data) - at} bytes longer"
    end = min(len(data), at + rng.choice((1, 16, 512)))
    path.write_bytes(data[:at] + rng.randbytes(end - at) + data[end:])
    return f"{_name(path)}: bytes {at} to {end} overwritten"


def replace_by_something(path: Path, rng: random.Random) -> str:
    """Replace something by a file, a folder or a link; return a description of the change."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    how = rng.choice(
        ("a file", "a folder", "a link to nowhere", "a link to itself", "a full folder")
    )
    if how == "a file":
        path.write_bytes(b"not what you look for")
    elif how == "a folder":
        path.mkdir()
    elif how == "a full folder":
        (path / "more").mkdir(parents=True)
        (path / "more" / "file").write_bytes(b"x")
    else:
        path.symlink_to(path if how == "a link to itself" else path.with_name("nowhere"))
    return f"{_name(path)}: {how}"


def _name(path: Path) -> str:
    return f"{path.parent.parent.name}/{path.parent.name}/{path.name}"
