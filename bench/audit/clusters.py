"""Pairs joined into clusters: what is the same as the same is the same."""

from __future__ import annotations

from collections.abc import Iterable

from bench.audit.findings import Located, Pair


def clusters(pairs: Iterable[Pair]) -> list[list[Located]]:
    """Images that hang together through pairs, in the order in which they are first met."""
    parent: dict[Located, Located] = {}

    def root(image: Located) -> Located:
        while parent[image] != image:
            # Halving the path keeps long chains, as of a video's frames, from costing their square.
            parent[image] = parent[parent[image]]
            image = parent[image]
        return image

    for pair in pairs:
        for image in (pair.first, pair.second):
            parent.setdefault(image, image)
        parent[root(pair.second)] = root(pair.first)
    found: dict[Located, list[Located]] = {}
    for image in parent:
        found.setdefault(root(image), []).append(image)
    return list(found.values())
