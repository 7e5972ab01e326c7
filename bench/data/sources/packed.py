"""The folder that an archive would be extracted to, as its table of contents names it.

Answers what listing a folder asks, so that an archive can be listed without being extracted; its
files cannot be read.
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import cast


def packed_folder(files: Iterable[PurePosixPath]) -> Path:
    """The top folder of a tree of `files`, which are relative to it."""
    inside: dict[PurePosixPath, set[PurePosixPath]] = defaultdict(set)
    for file in files:
        path = file
        for parent in file.parents:
            inside[parent].add(path)
            path = parent
    numbers = {folder: number for number, folder in enumerate(inside)}

    class Packed(PurePosixPath):
        def iterdir(self) -> Iterator[Packed]:
            return (self / path.name for path in inside[PurePosixPath(self)])

        def is_dir(self) -> bool:
            return PurePosixPath(self) in numbers

        def is_file(self) -> bool:
            return not self.is_dir()

        def stat(self) -> os.stat_result:
            """Of a folder; a file is none that could be opened."""
            number = numbers.get(PurePosixPath(self))
            mode = stat.S_IFSOCK if number is None else stat.S_IFDIR
            return os.stat_result((mode, number or 0, *[0] * 8))

    return cast(Path, Packed())
