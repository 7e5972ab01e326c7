"""What training gained over classifiers on the frozen features, on the same test images.

Only pretrained backbones have probes: random features tell nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.analysis.findings import Findings
from bench.analysis.phases import Gain, gain
from bench.analysis.statistics.intervals import Accuracy
from bench.training.probes import PROBES


@dataclass(frozen=True)
class ProbeComparison:
    """One backbone over its seeds."""

    label: str
    accuracies: Mapping[str, Accuracy]  # `knn_accuracy`, `logistic_accuracy`; of the model as it is
    # trained `accuracy`, and `head_accuracy` after the first of several phases
    best: str  # the probe that was better on the validation images, by its accuracy's name
    gain: Gain  # of the trained model over it


def probe_comparisons(findings: Findings) -> list[ProbeComparison]:
    """Return a comparison for each backbone whose probes were fitted, in the order of the table."""
    found = []
    for label, trials in findings.compared.items():
        names = [name for name in PROBES if all(name in t.probes for t in trials)]
        if not names:
            continue
        right = {
            f"{name}_accuracy": np.stack([t.probes[name].right for t in trials]) for name in names
        }
        chosen = {f"{n}_accuracy": sum(t.probes[n].validation for t in trials) for n in names}
        best = max(right, key=lambda name: chosen[name])
        heads = [t.right_after[0] for t in trials if t.right_after is not None]
        if len(heads) == len(trials):
            right["head_accuracy"] = np.stack(heads)
        right["accuracy"] = np.stack([t.guesses.right for t in trials])
        accuracies = {name: Accuracy.of(answers) for name, answers in right.items()}
        gained = gain(right["accuracy"], right[best])
        found.append(ProbeComparison(label, accuracies, best, gained))
    return found
