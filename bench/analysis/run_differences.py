"""How two runs differ apart from their figures, which test images they share, and which of these
they predict differently.

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
class FieldDifference:
    """A field of settings or environment with a different value in each run."""

    field: str
    before: str
    after: str


def field_differences(before: Findings, after: Findings) -> tuple[FieldDifference, ...]:
    """Return every field that differs; backbones with the same difference share one."""
    found = _compare_fields(_run_fields(before), _run_fields(after))
    sharing: dict[FieldDifference, list[str]] = {}
    for label in before.records:
        one, other = _backbone_fields(before, label), _backbone_fields(after, label)
        if one and other:
            for difference in _compare_fields(one, other):
                sharing.setdefault(difference, []).append(label)
    for difference, labels in sharing.items():
        whose = f"{difference.field} of {fmt.first(labels, MAX_NAMED)}"
        found.append(replace(difference, field=whose))
    return tuple(found)


def _compare_fields(first: Mapping[str, str], second: Mapping[str, str]) -> list[FieldDifference]:
    return [
        FieldDifference(field, first.get(field, "–"), second.get(field, "–"))
        for field in dict.fromkeys([*first, *second])
        if first.get(field, "–") != second.get(field, "–")
    ]


def machine_difference(before: Findings, after: Findings) -> str:
    """Return why times cannot be compared; "" if they can."""
    first, second = environment(before), environment(after)
    for field in MACHINE:
        one, other = first.get(field, ""), second.get(field, "")
        if one != other:
            return f"{field} differs: {one or 'unknown'} | {other or 'unknown'}"
    return ""


def _run_fields(findings: Findings) -> dict[str, str]:
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


def _backbone_fields(findings: Findings, label: str) -> dict[str, str]:
    """Return the fields that may differ between backbones; none if no trial finished."""
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
class SharedImages:
    """The test images that two runs share."""

    before: tuple[int, ...]  # indices in the test split of the first run
    after: tuple[int, ...]  # indices of the same images in that of the second
    same: bool  # neither run has other test images
    reason: str = ""  # why no image is shared


def shared_test_images(before: Dataset, after: Dataset) -> SharedImages:
    """Match the test images of two runs.

    By content if both runs recorded it, else by name; labels must agree too.
    """
    if before.classes != after.classes:
        one, other = (fmt.first(dataset.classes, 4) for dataset in (before, after))
        return SharedImages((), (), False, f"classes differ: {one} | {other}")
    first, second = before.splits["test"], after.splits["test"]
    by_content = bool(first.digests and second.digests)
    there = _index_by_key(second, by_content)
    pairs = [(i, there[key]) for key, i in _index_by_key(first, by_content).items() if key in there]
    if not pairs:
        return SharedImages((), (), False, "test images differ: none is in both")
    same = len(pairs) == len(first) == len(second)
    return SharedImages(tuple(i for i, _ in pairs), tuple(j for _, j in pairs), same)


def _index_by_key(split: Split, by_content: bool) -> dict[tuple[str, int, int], int]:
    """Return the index of each image by content or name, label, and number among equal images."""
    seen: dict[tuple[str, int], int] = {}
    found = {}
    for index, (key, label) in enumerate(
        zip(split.digests if by_content else split.ids, split.labels, strict=True)
    ):
        count = seen.get((key, label), 0)
        seen[key, label] = count + 1
        found[key, label, count] = index
    return found


@dataclass(frozen=True)
class ChangedPrediction:
    """A test image for which the two runs predict different classes."""

    id: str
    place: int  # index in the test split of the second run
    earlier: int  # index in the test split of the first run
    true: int
    before: int
    after: int


@dataclass(frozen=True)
class ChangedPredictions:
    """The changed predictions of one backbone, those that became wrong first."""

    label: str
    images: tuple[ChangedPrediction, ...]

    @property
    def now_correct(self) -> int:
        return sum(image.after == image.true for image in self.images)

    @property
    def now_wrong(self) -> int:
        return sum(image.before == image.true for image in self.images)

    @property
    def still_wrong(self) -> int:
        return len(self.images) - self.now_correct - self.now_wrong


def changed_predictions(
    label: str, old: Counts, new: Counts, shared: SharedImages, split: Split
) -> ChangedPredictions:
    """Compare the classes `old` and `new` predicted for the shared images.

    `split` is the test split of the second run.
    """
    found = []
    for i in np.flatnonzero(old != new):
        place, earlier = shared.after[i], shared.before[i]
        true, before, after = split.labels[place], int(old[i]), int(new[i])
        found.append(ChangedPrediction(split.ids[place], place, earlier, true, before, after))
    found.sort(key=lambda image: image.before != image.true)
    return ChangedPredictions(label, tuple(found))
