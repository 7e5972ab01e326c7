"""Groups of images that belong together (the same animal, the same video), from a user's file.

A CSV or TSV file has the columns `image` and `group`; a JSON file maps images to groups.
"""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from bench.errors import UsageError
from bench.system.files import read_text

COLUMNS = ("image", "group")
DELIMITERS = {".csv": ",", ".tsv": "\t"}
MAX_EXAMPLES = 3  # names in an error


def read_groups(path: Path) -> dict[str, str]:
    """Return the group of each image that the file names."""
    suffix = path.suffix.lower()
    if suffix not in (*DELIMITERS, ".json"):
        raise UsageError(f"groups file {path} must end in .csv, .tsv or .json.")
    text = read_text(path, "groups file")
    rows = _json_rows(path, text) if suffix == ".json" else _table_rows(path, text)
    groups: dict[str, str] = {}
    for where, image, group in rows:
        if not image or not group:
            empty = COLUMNS[1] if image else COLUMNS[0]
            raise UsageError(f"groups file {path}, {where}: the {empty} is empty.")
        if groups.setdefault(image, group) != group:
            raise UsageError(
                f"groups file {path}, {where}: {image} is in group {group!r} here and in "
                f"{groups[image]!r} before; an image has one group."
            )
    if not groups:
        raise UsageError(f"groups file {path} names no image.")
    return groups


def match_groups(groups: Mapping[str, str], ids: Iterable[str]) -> dict[str, str]:
    """Return the groups by image id of the data set, from `groups` by image name in the file.

    A name is the image's path in the data set or the end of the path, such as the file name, if
    only one image matches.
    """
    ends: dict[str, list[str]] = defaultdict(list)
    for id in ids:
        parts = PurePosixPath(id).parts
        for start in range(len(parts)):
            ends["/".join(parts[start:])].append(id)
    found: dict[str, str] = {}
    unknown = []
    for image, group in groups.items():
        name = image.replace("\\", "/").removeprefix("./")
        # A whole path may also be the end of another path, if a folder repeats itself.
        matching = [id for id in ends.get(name, ()) if id == name] or ends.get(name, [])
        if not matching:
            unknown.append(image)
            continue
        if len(matching) > 1:
            raise UsageError(
                f"the groups file's image {image!r} matches {len(matching)} images, such as "
                f"{matching[0]} and {matching[1]}; give more of its path."
            )
        if found.setdefault(matching[0], group) != group:
            raise UsageError(
                f"the groups file puts {matching[0]} into {found[matching[0]]!r} and into "
                f"{group!r}; an image has one group."
            )
    if unknown:
        named = ", ".join(repr(image) for image in unknown[:MAX_EXAMPLES])
        more = ", ..." if len(unknown) > MAX_EXAMPLES else ""
        example = next(iter(ends.values()), ["none"])[0]
        raise UsageError(
            f"the groups file names {len(unknown):,} image(s) that the data set does not have: "
            f"{named}{more}. Its images have names such as {example}."
        )
    return found


def _table_rows(path: Path, text: str) -> Iterator[tuple[str, str, str]]:
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=DELIMITERS[path.suffix.lower()]
    )
    header = [(name or "").strip() for name in reader.fieldnames or ()]
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise UsageError(
            f"groups file {path} has no column {' and no column '.join(map(repr, missing))}; "
            f"its first line is {', '.join(header) or 'empty'}."
        )
    reader.fieldnames = header
    for row in reader:
        image, group = ((row[name] or "").strip() for name in COLUMNS)
        yield f"line {reader.line_num}", image, group


def _json_rows(path: Path, text: str) -> Iterator[tuple[str, str, str]]:
    def keep_pairs(items: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        return items  # a dict would drop an image that is named twice

    try:
        content = json.loads(text, object_pairs_hook=keep_pairs)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"groups file {path} is not JSON: {error}.") from error
    if not isinstance(content, list) or not all(isinstance(item, tuple) for item in content):
        raise UsageError(f'groups file {path} must map images to groups: {{"a.jpg": "rex", ...}}.')
    for number, (image, group) in enumerate(content, 1):
        if isinstance(group, bool) or not isinstance(group, str | int):
            raise UsageError(
                f"groups file {path}, entry {number}: the group of {image!r} must be a name or a "
                f"number, got {json.dumps(group)[:40]}."
            )
        yield f"entry {number}", image.strip(), str(group).strip()
