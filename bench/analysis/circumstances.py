"""In what two runs differ besides their figures: where a cause of a change may lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench.analysis.facts import environment
from bench.analysis.findings import Findings

MACHINE = ("processor", "cores", "device kind", "device name", "device count")
ENVIRONMENT = (*MACHINE, "keras_backend", "backbone_bench", "commit", "python", "system")
MOST_NAMED = 6
SETTINGS = ("batch_size", "precision", "threads", "cache", "latency_seconds", "tune")


@dataclass(frozen=True)
class Circumstance:
    """One field with what it was in either run."""

    field: str
    before: str
    after: str


def circumstances(before: Findings, after: Findings) -> tuple[Circumstance, ...]:
    """Every field that differs, what was asked first; backbones may share a difference."""
    found = _differing(_fields(before), _fields(after))
    sharing: dict[Circumstance, list[str]] = {}
    for label in before.records:
        one, other = _of_trials(before, label), _of_trials(after, label)
        if one and other:
            for differing in _differing(one, other):
                sharing.setdefault(differing, []).append(label)
    for differing, labels in sharing.items():
        whose = ", ".join(labels[:MOST_NAMED]) + (", …" if len(labels) > MOST_NAMED else "")
        found.append(replace(differing, field=f"{differing.field} of {whose}"))
    return tuple(found)


def _differing(first: Mapping[str, str], second: Mapping[str, str]) -> list[Circumstance]:
    return [
        Circumstance(field, first.get(field, "–"), second.get(field, "–"))
        for field in dict.fromkeys([*first, *second])
        if first.get(field, "–") != second.get(field, "–")
    ]


def machine_difference(before: Findings, after: Findings) -> str:
    """Why times cannot be compared; "" where they can."""
    first, second = environment(before), environment(after)
    for field in MACHINE:
        one, other = first.get(field, ""), second.get(field, "")
        if one != other:
            return f"{field} differs: {one or 'unknown'} | {other or 'unknown'}"
    return ""


def _fields(findings: Findings) -> dict[str, str]:
    meta = findings.run.meta
    protocol: Mapping[str, Any] = meta.get("protocol", {})
    found = {
        "dataset": findings.run.dataset.name,
        "dataset content": findings.run.dataset.fingerprint[:16],
        "protocol": f"{protocol.get('name', '')} ({str(protocol.get('digest', ''))[:8]})",
    }
    settings = {**meta.get("settings", {}), **meta.get("measuring", {})}
    found |= {name: str(settings[name]) for name in SETTINGS if name in settings}
    about = environment(findings)
    wanted = (k for k in about if k in ENVIRONMENT or k.startswith("versions "))
    found |= {name: str(about[name]) for name in wanted}
    return found


def _of_trials(findings: Findings, label: str) -> dict[str, str]:
    """What may differ from backbone to backbone; nothing where none of its trials finished."""
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
