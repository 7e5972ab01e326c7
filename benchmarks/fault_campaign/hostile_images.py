"""Files with image suffixes that are no images, or have hidden costs."""

from __future__ import annotations

import io
import os
import random
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

Making = Callable[[Path, random.Random], str]
SUFFIXES = (".png", ".jpg", ".gif", ".bmp", ".webp", ".tif", ".ppm", ".tga", ".ico", ".pcx", ".jp2")
FORMATS = {".jpg": "JPEG", ".tif": "TIFF", ".jp2": "JPEG2000"}


def plant(folder: Path, stem: str, rng: random.Random) -> str:
    """Write such a file into the folder; return its description."""
    making = rng.choice(MAKINGS)
    suffix = rng.choice(SUFFIXES)
    path = folder / f"{stem}{suffix}"
    return f"{making(path, rng)} as {suffix}"


def _damaged(path: Path, rng: random.Random) -> str:
    """Return a real image of a format with changed bytes."""
    data = bytearray(_image(path.suffix, rng))
    changes = rng.choice((1, 1, 3, 30))
    for _ in range(changes):
        data[rng.randrange(len(data))] = rng.randrange(256)
    path.write_bytes(data)
    return f"{changes} bytes changed"


def _cut(path: Path, rng: random.Random) -> str:
    data = _image(path.suffix, rng)
    at = rng.randrange(len(data))
    path.write_bytes(data[:at])
    return f"cut after {at} of {len(data)} bytes"


def _misnamed(path: Path, rng: random.Random) -> str:
    suffix = rng.choice(SUFFIXES)
    path.write_bytes(_image(suffix, rng))
    return f"{suffix} inside"


def _noise(path: Path, rng: random.Random) -> str:
    path.write_bytes(rng.randbytes(rng.choice((0, 1, 3, 100, 10_000))))
    return "noise"


def _text(path: Path, rng: random.Random) -> str:
    path.write_text(
        rng.choice(("<svg></svg>", "<html>404</html>", "%PDF-1.4", "%!PS\nquit", "P6 1"))
    )
    return "text"


def _huge(path: Path, rng: random.Random) -> str:
    """Return a few hundred bytes that declare a very large image."""
    side = rng.choice((30_000, 100_000, 2**31 - 1))
    rows = zlib.compress(bytes(1000))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks))
    return f"PNG of {side} x {side}"


def _inflating(path: Path, rng: random.Random) -> str:
    """Return an image with a text chunk that inflates to 100 MB."""
    text = b"Comment\0\0" + zlib.compress(bytes(100_000_000), 9)
    data = _image(".png", rng)
    path.write_bytes(data[:33] + _chunk(b"zTXt", text) + data[33:])
    return "PNG with a text of 100 MB"


def _shape(path: Path, rng: random.Random) -> str:
    size = rng.choice(((1, 1), (1, 5000), (5000, 1), (3, 2000)))
    Image.new("RGB", size, "red").save(path, rng.choice(("PNG", "JPEG", "BMP")))
    return f"{size[0]} x {size[1]}"


def _mode(path: Path, rng: random.Random) -> str:
    mode = rng.choice(("1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "I", "F", "I;16", "LAB", "PA"))
    image = Image.new(mode, (40, 30))
    for format in (FORMATS.get(path.suffix, path.suffix[1:].upper()), "TIFF", "PNG"):
        try:
            image.save(path, format)
            break
        except (OSError, ValueError, KeyError):  # that format has no such mode
            path.unlink(missing_ok=True)
    else:
        path.write_bytes(image.tobytes())
    return f"mode {mode}"


def _frames(path: Path, rng: random.Random) -> str:
    frames = [Image.new("P", (20, 20), n) for n in range(rng.choice((2, 300)))]
    frames[0].save(path, rng.choice(("GIF", "TIFF")), save_all=True, append_images=frames[1:])
    return f"{len(frames)} frames"


def _exif(path: Path, rng: random.Random) -> str:
    """Return an image with an invalid orientation in a truncated EXIF block."""
    data = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = rng.choice((0, 3, 6, 9, 60_000))
    raw = exif.tobytes()
    Image.new("RGB", (30, 20)).save(data, "JPEG", exif=raw[: rng.choice((len(raw), 12, 20))])
    path.write_bytes(data.getvalue())
    return "odd EXIF"


def _fifo(path: Path, rng: random.Random) -> str:
    os.mkfifo(path)
    return "a FIFO"


def _socket(path: Path, rng: random.Random) -> str:
    here = Path.cwd()
    try:
        os.chdir(path.parent)  # the path of a socket has to be short
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(here)
    return "a socket"


def _folder(path: Path, rng: random.Random) -> str:
    path.mkdir()
    if rng.random() < 0.5:
        (path / "inner.png").write_bytes(_image(".png", rng))
    return "a folder"


def _link(path: Path, rng: random.Random) -> str:
    target = rng.choice(
        (
            "nowhere",
            path.name,
            "/dev/zero",
            "/dev/random",
            "/dev/tty",
            "/proc/self/mem",
            "..",
            "/dev/full",
        )
    )
    path.symlink_to(target)
    return f"a link to {target}"


def _unreadable(path: Path, rng: random.Random) -> str:
    path.write_bytes(_image(path.suffix, rng))
    path.chmod(0)
    return "no permission"


def _long(path: Path, rng: random.Random) -> str:
    with path.open("wb") as file:
        file.write(_image(path.suffix, rng))
        file.truncate(400_000_000)  # a hole: it takes no room
    return "400 MB long"


MAKINGS: tuple[Making, ...] = (
    *(_damaged, _damaged, _damaged, _cut, _cut, _misnamed, _noise, _text, _huge, _inflating),
    *(_shape, _mode, _mode, _frames, _exif, _fifo, _socket, _folder, _link, _unreadable, _long),
)


def _image(suffix: str, rng: random.Random) -> bytes:
    pixels = np.frombuffer(rng.randbytes(32 * 32 * 3), np.uint8).reshape(32, 32, 3)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, FORMATS.get(suffix, suffix[1:].upper()))
    return data.getvalue()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
