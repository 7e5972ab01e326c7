"""The results of the check as data and as Markdown, with reasons for missing figures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from outcome import NOT_REACHED, Outcome, Side

from bench.errors import BenchError

Cell = Callable[[Outcome], str]


@dataclass
class Check:
    """The options, the machine, and the outcomes by backbone."""

    started: str
    options: Mapping[str, str]
    environment: Mapping[str, Any]
    seconds: float = 0.0
    calls: int = 1
    outcomes: dict[Side, dict[str, Outcome]] = field(
        default_factory=lambda: {"harness": {}, "PyTorch": {}}
    )

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def add(self, file: Path) -> None:
        """Add the outcomes of an earlier call with the same options on the same machine."""
        if not file.is_file():
            return
        earlier = json.loads(file.read_text())
        where = earlier["environment"]["device"], earlier["environment"].get("processor")
        here = self.environment["device"], self.environment.get("processor")
        if earlier["options"] != self.options or where != here:
            raise BenchError(
                f"{file} holds figures of other options or of another device; move it away, or "
                f"name another folder with --out."
            )
        self.started, self.seconds = earlier["started"], earlier["seconds"]
        self.calls = earlier["calls"] + 1
        for side, outcomes in earlier["outcomes"].items():
            for name, outcome in outcomes.items():
                self.outcomes[side][name] = Outcome(**outcome)

    def has(self, side: Side, backbone: str) -> bool:
        found = self.outcomes[side].get(backbone)
        return found is not None and found.status == "ok"


def figure(name: str, text: str = "{:,.0f}", times: float = 1.0) -> Cell:
    """Return a cell with the figure as text, or a dash if it is missing."""

    def cell(outcome: Outcome) -> str:
        value = outcome.figures.get(name)
        return "–" if value is None else text.format(value * times)

    return cell


def fact(name: str) -> Cell:
    return lambda outcome: outcome.facts.get(name, "–")


PHASES: dict[str, Cell] = {
    "decode, s": figure("seconds_data", "{:.1f}"),
    "build, s": figure("seconds_build", "{:.1f}"),
    "frozen part, s": figure("seconds_features", "{:.1f}"),
    "compile, s": figure("seconds_compile", "{:.1f}"),
    "head, s": figure("head_train_seconds", "{:.1f}"),
    "fine-tune, s": figure("fine_tune_train_seconds", "{:.1f}"),
    "measure, s": figure("seconds_measure", "{:.1f}"),
}
COSTS: dict[str, Cell] = {
    "weights": fact("weights"),
    "p50, ms": figure("latency_p50_ms", "{:.2f}"),
    "p90, ms": figure("latency_p90_ms", "{:.2f}"),
    "p99, ms": figure("latency_p99_ms", "{:.2f}"),
    "queries": figure("latency_queries"),
    "GFLOP": figure("gflops", "{:.2f}"),
    "utilisation": figure("utilisation", "{:.1%}"),
    "GPU memory, training, MB": figure("training_gpu_memory_mb"),
    "process memory, training, MB": figure("training_memory_mb"),
    "energy, J / 1,000": figure("energy_j_per_1000", "{:.0f}"),
}
NOTES = """
- Forward: uint8 pixels on the host to probabilities on the host, at the batch in brackets (the
  harness at its best of several, PyTorch at the one that was asked for).
- Fine-tune: every layer, BatchNorm frozen, shuffled batches sent from the host; the median epoch
  without the first. An epoch of the harness also answers the validation images, PyTorch's does not.
- Utilisation: FLOPs of the forward pass over the rate of a matrix product measured in the same run.
- PyTorch: channels-last, `torch.compile`, autocast, fused Adam on a GPU; random weights.
"""


def markdown(check: Check) -> str:
    """Return all tables, and the reasons for missing figures."""
    device = check.environment["device"]
    calls = f" in {check.calls} calls" if check.calls > 1 else ""
    lines = ["# GPU check" if device["kind"] == "gpu" else "# Check on a CPU: no GPU's figures", ""]
    lines += [
        f"{check.started}, {check.seconds / 60:.1f} minutes{calls}; {device['framework']} on "
        f"{device['name'] or check.environment['processor']}; {check.options['precision']}; "
        f"batches of {check.options['batch_size']}; {_images(check)}.",
        "",
    ]
    ours = check.outcomes["harness"]
    rows = [_row(name, check) for name in ours]
    titles = ["backbone", "forward, images/s", "PyTorch", "fine-tune, images/s", "PyTorch", "ratio"]
    lines += [*_table(titles, rows), ""]
    for columns in (COSTS, PHASES):
        rows = [
            [name, *(cell(outcome) for cell in columns.values())] for name, outcome in ours.items()
        ]
        lines += [*_table(["backbone", *columns], rows), ""]
    missing = [
        f"- {name}, {side}: {outcome.status}. {outcome.reason}"
        for side, outcomes in check.outcomes.items()
        for name, outcome in outcomes.items()
        if outcome.status != "ok"
    ]
    lines += ["Not measured, or not whole:", "", *missing] if missing else ["All was measured."]
    return "\n".join(lines) + "\n" + NOTES


def _images(check: Check) -> str:
    if check.options["data"] != "None":
        return "carried images"
    size = check.options["input_size"]
    at = "each backbone's own size" if size == "None" else f"{size} px"
    return f"{check.options['images']} drawn images at {at}"


def _row(name: str, check: Check) -> list[str]:
    ours = check.outcomes["harness"][name]
    theirs = check.outcomes["PyTorch"].get(name, NOT_REACHED)
    key = "fine_tune_images_per_second"
    both = key in ours.figures and key in theirs.figures
    return [
        name,
        _forward(ours),
        _forward(theirs),
        figure(key)(ours),
        figure(key)(theirs),
        f"{ours.figures[key] / theirs.figures[key]:.2f}" if both else "–",
    ]


def _forward(outcome: Outcome) -> str:
    rate = figure("throughput_images_per_second")(outcome)
    return rate if rate == "–" else f"{rate} ({outcome.figures['throughput_batch']:.0f})"


def _table(titles: list[str], rows: list[list[str]]) -> list[str]:
    ruler = ["---", *("---:" for _ in titles[1:])]
    return ["| " + " | ".join(cells) + " |" for cells in (titles, ruler, *rows)]
