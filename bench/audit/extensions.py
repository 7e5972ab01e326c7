"""Files whose extension says another format than their content.

Such a file is decoded rightly all the same, but it was renamed by someone or something, and other
programs stumble over it. The first bytes tell the format; nothing is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

from bench.audit.findings import WrongExtension
from bench.datasets.listing import Reader

# What a file of each format begins with, and at which byte.
SIGNATURES: tuple[tuple[str, int, bytes], ...] = (
    ("JPEG", 0, b"\xff\xd8\xff"),
    ("PNG", 0, b"\x89PNG\r\n\x1a\n"),
    ("GIF", 0, b"GIF8"),
    ("WebP", 8, b"WEBP"),
    ("TIFF", 0, b"II*\0"),
    ("TIFF", 0, b"MM\0*"),
    ("AVIF", 4, b"ftypavi"),
    ("JPEG 2000", 4, b"jP  \r\n\x87\n"),
    ("JPEG 2000", 0, b"\xff\x4f\xff\x51"),
    ("QOI", 0, b"qoif"),
    ("ICO", 0, b"\0\0\1\0"),
    ("BMP", 0, b"BM"),
    *(("PNM", 0, b"P%d" % number) for number in range(1, 7)),
)
# TGA and PCX have no signature that could be trusted; files so named are not judged.
SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "WebP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
    "JPEG 2000": (".jp2",),
    "QOI": (".qoi",),
    "ICO": (".ico",),
    "BMP": (".bmp",),
    "PNM": (".ppm", ".pgm", ".pbm", ".pnm"),
}
EXTENSIONS = {suffix: name for name, suffixes in SUFFIXES.items() for suffix in suffixes}


def wrong_extensions(
    ids: Sequence[str],
    reader: Reader,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[WrongExtension, ...]:
    """Those of the images whose content is of a known format that their name does not say."""
    named = [id for id in ids if PurePosixPath(id).suffix.lower() in EXTENSIONS]
    found = []
    with ThreadPoolExecutor() as pool:
        formats = pool.map(lambda id: format_of(reader.read(id)), named)
        for done, (id, format) in enumerate(zip(named, formats, strict=True), 1):
            if format not in (None, EXTENSIONS[PurePosixPath(id).suffix.lower()]):
                found.append(WrongExtension(id, str(format)))
            progress(done, len(named))
    return tuple(found)


def format_of(data: bytes) -> str | None:
    """The format that the first bytes tell, if they tell any."""
    for name, start, signature in SIGNATURES:
        if data.startswith(signature, start):
            return name
    return None
