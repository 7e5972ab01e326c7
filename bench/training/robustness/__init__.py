"""How much of a backbone's accuracy survives worse photographs: measured on request.

    corruptions    what is done to an image, in three strengths: pure functions of pixels
    measuring      the trained model's answers to corrupted test images

Each seed trained a network of its own, so each is asked. What is derived from the answers is in
`bench/analysis/metrics/robustness.py`. Importing this package is cheap: the plan asks it how much
there will be to do.
"""

from __future__ import annotations

STRENGTHS = (1, 2, 3)
KINDS = ("blur", "noise", "jpeg", "brightness", "contrast", "rotation")
MOST_IMAGES = 500  # of the test split: all of it would take longer than the training


def passes(test_images: int) -> int:
    """How many forward passes, of one image each, one trained model takes."""
    return min(MOST_IMAGES, test_images) * len(KINDS) * len(STRENGTHS)
