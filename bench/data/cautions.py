"""What can be told from counts alone about how far a data set's figures may be trusted."""

from __future__ import annotations

from collections import Counter

from bench.data.listing import Listing

FEW_TEST = 100
FEW_TRAIN = 10  # of one class
UNEVEN = 10  # times as many images in the largest class as in the smallest


def cautions(listing: Listing) -> tuple[str, ...]:
    """Sentences for the user; none for a data set of good size and balance."""
    found = []
    test = len(listing.splits["test"])
    if test < FEW_TEST:
        found.append(
            f"only {test} test images: each is {100 / max(test, 1):.1f} points of accuracy"
        )
    counts = Counter(image.label for image in listing.splits["train"])
    by_size = sorted((counts[label], title) for label, title in enumerate(listing.classes))
    (least, rarest), (most, commonest) = by_size[0], by_size[-1]
    if least < FEW_TRAIN:
        found.append(f"only {least} training images of class {rarest!r}")
    elif most >= UNEVEN * least:
        found.append(
            f"classes are uneven: {most:,} training images of {commonest!r}, {least:,} of "
            f"{rarest!r}; accuracy favours the large ones"
        )
    return tuple(found)
