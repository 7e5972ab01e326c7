"""How two runs differ apart from their figures, which test images they share, and what they call
differently.

A difference in settings, environment or images may be the cause of a change in a figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from bench.analysis import format as fmt
from bench.analysis.facts import environment
from bench.analysis.findings import Findings
from bench.analysis.metrics.classification import Counts
from bench.types import Dataset, Split

MACHINE = ("processor", "cores", "device kind", "device name", "device count")
ENVIRONMENT = (*MACHINE, "keras_backend", "backbone_bench", "commit", "python", "system")
MAX_NAMED = 6
SETTINGS = ("batch_size", "precision", "threads", "cache", "latency_seconds", "tune")


@dataclass(frozen=True)
class Circumstance:
    """One field with its value in each run."""

    field: str
    before: str
    after: str


def circumstances(before: Findings, after: Findings) -> tuple[Circumstance, ...]:
    """Return every field that differs; backbones may share a difference."""
    found = _differing(_fields(before), _fields(after))
    sharing: dict[Circumstance, list[str]] = {}
    for label in before.records:
        one, other = _of_trials(before, label), _of_trials(after, label)
        if one and other:
            for differing in _differing(one, other):
                sharing.setdefault(differing, []).append(label)
    for differing, labels in sharing.items():
        whose = f"{differing.field} of {fmt.first(labels, MAX_NAMED)}"
        found.append(replace(differing, field=whose))
    return tuple(found)


def _differing(first: Mapping[str, str], second: Mapping[str, str]) -> list[Circumstance]:
    return [
        Circumstance(field, first.get(field, "–"), second.get(field, "–"))
        for field in dict.fromkeys([*first, *second])
        if first.get(field, "–") != second.get(field, "–")
    ]


def machine_difference(before: Findings, after: Findings) -> str:
    """Say why times cannot be compared; "" if they can."""
    first, second = environment(before), environment(after)
    for field in MACHINE:
        one, other = first.get(field, ""), second.get(field, "")
        if one != other:
            return f"{field} differs: {one or 'unknown'} | {other or 'unknown'}"
    return ""


def _fields(findings: Findings) -> dict[str, str]:
    meta = findings.run.meta
    found = {
        "dataset": findings.run.dataset.name,
        "dataset content": findings.run.dataset.fingerprint[:16],
        "protocol": f"{meta.protocol.name} ({meta.protocol.digest[:8]})",
    }
    settings = asdict(meta.settings) | asdict(meta.measuring)
    found |= {name: str(settings[name]) for name in SETTINGS}
    about = environment(findings)
    wanted = (k for k in about if k in ENVIRONMENT or k.startswith("versions "))
    found |= {name: str(about[name]) for name in wanted}
    return found


def _of_trials(findings: Findings, label: str) -> dict[str, str]:
    """Return what may differ between backbones; nothing if no trial finished."""
    finished = [record for record in findings.records.get(label, ()) if record.status == "ok"]
    if not finished:
        return {}
    used = finished[0].weights
    return {
        "seeds": ", ".join(str(record.trial.seed) for record in finished),
        "input size": f"{finished[0].trial.input_size} px",
        "training images": f"{finished[0].train_images:,}",
        "weights": f"{used.source} {used.sha256[:12]}" if used else "",
    }


@dataclass(frozen=True)
class InCommon:
    """The places of the shared images in each test split; `reason` if there are none."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    same: bool  # both have exactly these test images
    reason: str = ""


def in_common(before: Dataset, after: Dataset) -> InCommon:
    """Match images by content if both runs know it, else by name; labels must agree too."""
    if before.classes != after.classes:
        one, other = (fmt.first(dataset.classes, 4) for dataset in (before, after))
        return InCommon((), (), False, f"classes differ: {one} | {other}")
    first, second = before.splits["test"], after.splits["test"]
    by_content = bool(first.digests and second.digests)
    there = _places(second, by_content)
    pairs = [(i, there[key]) for key, i in _places(first, by_content).items() if key in there]
    if not pairs:
        return InCommon((), (), False, "test images differ: none is in both")
    same = len(pairs) == len(first) == len(second)
    return InCommon(tuple(i for i, _ in pairs), tuple(j for _, j in pairs), same)


def _places(split: Split, by_content: bool) -> dict[tuple[str, int, int], int]:
    """Return the place of each image by key, label and number among equal images."""
    seen: dict[tuple[str, int], int] = {}
    found = {}
    for place, (key, label) in enumerate(
        zip(split.digests if by_content else split.ids, split.labels, strict=True)
    ):
        count = seen.get((key, label), 0)
        seen[key, label] = count + 1
        found[key, label, count] = place
    return found


@dataclass(frozen=True)
class ChangedAnswer:
    """A test image that the two runs call differently."""

    id: str
    place: int  # in the test split of the second run
    earlier: int  # its place in that of the first
    true: int
    before: int
    after: int


@dataclass(frozen=True)
class ChangedAnswers:
    """The images that one backbone calls differently; what is wrong now comes first."""

    label: str
    images: tuple[ChangedAnswer, ...]

    @property
    def right(self) -> int:
        return sum(image.after == image.true for image in self.images)

    @property
    def wrong(self) -> int:
        return sum(image.before == image.true for image in self.images)

    @property
    def other(self) -> int:
        return len(self.images) - self.right - self.wrong


def changed_answers(
    label: str, old: Counts, new: Counts, common: InCommon, split: Split
) -> ChangedAnswers:
    """Compare the classes that a backbone gave the shared images; `split` is the second run's."""
    found = []
    for at in np.flatnonzero(old != new):
        place, earlier = common.after[at], common.before[at]
        true, before, after = split.labels[place], int(old[at]), int(new[at])
        found.append(ChangedAnswer(split.ids[place], place, earlier, true, before, after))
    found.sort(key=lambda image: image.before != image.true)
    return ChangedAnswers(label, tuple(found))
