"""Tie groups: no significant difference does not carry over from one to the next.

Where a ties with b and b with c, a and c may still differ. So one may be in several groups, each
written as a letter: two that share a letter do not differ significantly, two that share none do.
"""

from __future__ import annotations

from collections.abc import Iterable
from string import ascii_lowercase


def tie_groups(count: int, different: Iterable[tuple[int, int]]) -> list[list[int]]:
    """The largest sets within which no two differ, that of the first of them before the others.

    Each pair that differs splits the sets that hold both (insert and absorb, after Piepho).
    """
    groups = {frozenset(range(count))} if count else set()
    for a, b in different:
        for group in [g for g in groups if a in g and b in g]:
            groups.remove(group)
            groups |= {group - {a}, group - {b}}
        groups = {g for g in groups if not any(g < other for other in groups)}
    return sorted(sorted(group) for group in groups)


def letters(count: int, groups: Iterable[Iterable[int]]) -> list[str]:
    """The letters of each, as they are printed: "a", "ab"."""
    found = [""] * count
    for number, group in enumerate(groups):
        for member in group:
            found[member] += _letter(number)
    return found


def _letter(number: int) -> str:
    again, place = divmod(number, len(ascii_lowercase))
    return ascii_lowercase[place] + (str(again) if again else "")
