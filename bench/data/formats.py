"""The format of an image file by its first bytes, and files whose name says another.

Such a file is decoded rightly all the same, but it was renamed by someone or something, and other
programs stumble over it. Nothing is decoded here.
"""

from __future__ import annotations

from pathlib import PurePosixPath

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


def format_of(data: bytes) -> str | None:
    """The format that the first bytes tell, if they tell any."""
    for name, start, signature in SIGNATURES:
        if data.startswith(signature, start):
            return name
    return None


def belied(id: str, data: bytes) -> str:
    """The format of an image whose name says another; "" where the name is right, or says none."""
    said, found = EXTENSIONS.get(PurePosixPath(id).suffix.lower()), format_of(data)
    return "" if said is None or found in (None, said) else str(found)
