"""The audit of a data set, before anything is trained on it.

    audit                the same image twice, under two labels, in two splits; what else is odd
    leaked_test_ids      the test images whose answer could be learned by heart
    train_ids_to_drop    what to leave out of training, so that none is
    read_groups          which images belong together, from a user's file
    split_groups         carving splits such that they stay together
    contact_sheet        the pairs as a picture

Importing this package is cheap: what needs numpy or Pillow is imported when it is called.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bench.audit.findings import Audit, Balance, Located, Pair, WrongExtension
from bench.audit.group_splits import split_groups, straddling_groups
from bench.audit.groups import match_groups, read_groups
from bench.audit.leaks import leaked_test_ids, train_ids_to_drop, validation_ids_to_drop
from bench.datasets.listing import Reader
from bench.types import Dataset

if TYPE_CHECKING:
    from bench.audit.examination import Embeddings
    from bench.store import Store

__all__ = [
    "Audit",
    "Balance",
    "Located",
    "Pair",
    "WrongExtension",
    "audit",
    "contact_sheet",
    "leaked_test_ids",
    "match_groups",
    "read_groups",
    "split_groups",
    "straddling_groups",
    "train_ids_to_drop",
    "validation_ids_to_drop",
]


def audit(
    dataset: Dataset,
    store: Store,
    *,
    size: int,
    reader: Reader | None = None,
    embeddings: Embeddings | None = None,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Audit:
    """What there is to know of a prepared data set; kept in the store, so the second time is free.

    `size` is one at which the images were prepared. Extensions are checked where a `reader` of the
    files is given. `embeddings` holds, for each split, a row for each image, from any network; they
    decide where pixels leave a doubt. `progress(stage, done, total)` is not called where the
    findings were kept.
    """
    from bench.audit.examination import examine

    return examine(
        dataset, store, size=size, reader=reader, embeddings=embeddings, progress=progress
    )


def contact_sheet(
    found: Audit, dataset: Dataset, store: Store, path: Path, *, size: int, limit: int = 60
) -> Path | None:
    """The pairs as one PNG, side by side with their splits and labels; nothing where there is none.

    At most `limit` pairs, the most harmful first: under two labels, then across splits.
    """
    from bench.audit.sheet import draw

    return draw(found, dataset, store, path, size=size, limit=limit)
