"""The model card of an exported file: usage, data, training, figures and limits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from bench.analysis import format as fmt
from bench.analysis.escape import markdown as safe
from bench.analysis.metrics.base import METRICS
from bench.analysis.metrics.classification import class_scores, confusion_matrix
from bench.analysis.pooled import PooledEvidence
from bench.analysis.verdict import MAX_SENTENCE
from bench.inference.export import About
from bench.models.rebuild import keras_backend_of
from bench.storage.records import Evidence, StoredRun, weight_sources
from bench.types import SPLITS, Record

RANDOM_WEIGHTS_WARNING = "The model was trained from random weights: its predictions mean nothing."
MAX_CLASSES = 50
FIGURES = (
    ("accuracy", fmt.percent),
    ("macro_f1", fmt.percent),
    ("loss", fmt.decimals),
    ("ece", fmt.percent),
    ("latency_p50_ms", fmt.milliseconds),
    ("params", fmt.count),
    ("size_mb", fmt.megabytes),
)


def text(
    run: StoredRun, evidence: PooledEvidence, about: About, file: str, checked: str, usage: str = ""
) -> str:
    """Return the whole card as Markdown; `usage` is Python code that loads and calls the file."""
    sections = [
        _head(about, evidence.members, file),
        _use(about),
        _code(about, file, usage),
        _data(run),
        _training(run, evidence.members),
        _figures(run, evidence),
        _verdict(run),
        _limits(run, evidence, about),
        f"## Check\n\nThe file was {safe(checked, 400)}.",
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def _head(about: About, members: Sequence[Record], file: str) -> str:
    several = ", an ensemble with the mean of the probabilities of" if members[1:] else ""
    return (
        f"# {safe(file)}\n\n"
        f"An image classifier, trained by backbone-bench {about.backbone_bench} in run "
        f"{safe(about.run)}{several}: {'; '.join(map(_member, members))}.{_precision(members[0])}"
    )


def _member(record: Record) -> str:
    weights, trial = record.weights, record.trial
    origin = weights.location if weights and weights.pretrained else "random weights"
    mean = "the mean of the weights of " if trial.seeds[1:] else ""
    return (
        f"{safe(trial.name)} from {safe(origin)}, trial {trial.key}, {mean}{fmt.seeds(trial.seeds)}"
    )


def _precision(record: Record) -> str:
    trained = record.trial.settings.precision
    if trained == "float32":
        return ""
    return (
        f" It was trained, and its figures measured, in {trained}; this file computes in float32."
    )


def _use(about: About) -> str:
    names = [safe(name, 60) for name in about.classes[:MAX_CLASSES]]
    more = len(about.classes) - len(names)
    names += [f"and {more:,} more, in the file"] if more else []
    listed = "\n".join(f"{number}. {name}" for number, name in enumerate(names))
    scale = (
        f"For calibrated confidence divide the logarithms of the probabilities by "
        f"{about.temperature:.4g} and normalise them again (a softmax)."
        if about.temperature is not None
        else "Its confidence is not calibrated: there are too few validation images."
    )
    return (
        f"## Use\n\nInput: uint8 RGB images, N × {about.input_size} × {about.input_size} × 3, "
        f"values 0 to 255, resized to the square with antialiased bilinear filtering (Pillow's "
        f"`BILINEAR`). Preprocessing is inside. Output: probabilities, N × {len(about.classes)}, "
        f"in this order:\n\n{listed}\n\n{scale}"
    )


def _code(about: About, file: str, usage: str) -> str:
    """Return a complete Python program that classifies one photograph."""
    if not usage:
        return ""
    size = about.input_size
    program = f"""\
import numpy as np
from PIL import Image, ImageOps

photo = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGB")
photo = photo.resize(({size}, {size}), Image.Resampling.BILINEAR)
images = np.asarray(photo)[None]  # a batch of one

{usage.replace("FILE", repr(file))}

label = int(probabilities[0].argmax())  # the number of the class in the list above
print(label, probabilities[0, label])"""
    return f"```python\n{program}\n```"


def _data(run: StoredRun) -> str:
    dataset = run.dataset
    counts = ", ".join(f"{len(dataset.splits[s]):,} {s}" for s in SPLITS if s in dataset.splits)
    lines = [
        safe(dataset.title, 400),
        f"{counts} images of {len(dataset.classes)} classes; fingerprint "
        f"`{dataset.fingerprint[:16]}`.",
        *(safe(note, 400) for note in dataset.notes),
    ]
    return "## Data\n\n" + "\n".join(f"- {line}" for line in lines)


def _training(run: StoredRun, members: Sequence[Record]) -> str:
    protocol = run.meta.protocol
    lines = [f"- Protocol {safe(protocol.name)}: {safe(protocol.summary)}"]
    trained = [one for member in members for one in weight_sources(run.records, member)]
    for record, phase in ((one, phase) for one in trained for phase in one.phases):
        whose = f"{safe(record.trial.name)}, " if members[1:] else ""
        whose += f"seed {record.trial.seed}, " if len(trained) > len(members) else ""
        accuracy = fmt.percent(phase.kept.accuracy) if phase.kept else fmt.MISSING
        reached = f" (validation accuracy {accuracy})" if record.pretrained else ""
        lines.append(
            f"- {whose}{safe(phase.name)}: {len(phase.epochs)} epochs, epoch "
            f"{phase.best_epoch} kept{reached}, "
            f"{fmt.count(phase.trainable_parameters)} parameters trained"
        )
    return "## Training\n\n" + "\n".join(lines)


def _figures(run: StoredRun, evidence: Evidence) -> str:
    rows = list(_rows(evidence))
    random = not evidence.record.pretrained
    text = "## Figures\n\n"
    text += "On the test images, of this model alone.\n\n" if not random else ""
    text += "| Figure | Value |\n|---|---:|\n" + "\n".join(f"| {a} | {b} |" for a, b in rows)
    confusion = confusion_matrix(evidence)
    if confusion is None or random:
        return text
    scored = zip(run.dataset.classes, class_scores(confusion), strict=True)
    lines = [
        f"| {safe(name, 60)} | {fmt.percent(s.precision)} | "
        f"{fmt.percent(s.recall) if s.images else fmt.MISSING} | {s.images} |"
        for name, s in list(scored)[:MAX_CLASSES]
    ]
    titles = "| Class | Precision | Recall | Images |\n|---|---:|---:|---:|\n"
    return f"{text}\n\n{titles}" + "\n".join(lines)


def _verdict(run: StoredRun) -> str:
    """Return the verdict of the model's run, read from its reports."""
    path = run.folder / "verdict.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ""
    # Runs made before the margin existed recommended any backbone without a significant difference.
    if not isinstance(found, dict) or "recommended" not in found:
        return ""
    sentence = safe(str(found.get("sentence", "")), MAX_SENTENCE)
    return f"## Comparison\n\nIn run {safe(run.name)}: {sentence}"


def _rows(evidence: Evidence) -> Iterator[tuple[str, str]]:
    random = not evidence.record.pretrained
    for name, show in FIGURES:
        value = METRICS[name].compute(evidence)
        if value is not None and (not random or METRICS[name].kind != "answers"):
            yield METRICS[name].title, show(value)
    if random:
        return
    low, high = (METRICS[f"accuracy_{end}"].compute(evidence) for end in ("low", "high"))
    if low is not None and high is not None:
        yield "95% interval of the accuracy (one model)", fmt.interval(low, high)


def _limits(run: StoredRun, evidence: PooledEvidence, about: About) -> str:
    lines = [
        "It knows only these classes, and assigns one of them to any image.",
        "The figures hold for images like the test images; on others it may be less accurate.",
        "Its latency was not measured: it is about the sum of its members' latencies."
        if evidence.members[1:]
        else "Its latency was not measured: it is that of the model of one seed."
        if evidence.record.trial.seeds[1:]
        else f"The latency was measured on the machine of the run, through Keras on "
        f"{keras_backend_of(evidence.record)}.",
    ]
    random = not evidence.record.pretrained
    if random:
        lines.insert(0, RANDOM_WEIGHTS_WARNING)
    counts = confusion_matrix(evidence)
    if counts is not None and not random and counts.sum() < 1000:
        lines.append(
            f"{int(counts.sum())} test images leave its accuracy uncertain; see the interval."
        )
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)
