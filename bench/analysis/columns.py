"""Which figures the tables show, under which title, and how: shared by every format.

Every other figure is in `summary.csv`. Cells are plain text, not yet escaped for a format.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from bench.analysis import format as fmt

if TYPE_CHECKING:
    from bench.analysis.findings import Findings

Show = Callable[[float], str]


@dataclass(frozen=True)
class Column:
    """One column of figures; where a table is too wide the least important go first."""

    title: str
    name: str  # in the data frame
    show: Show
    importance: int
    spread: bool = False  # whether a mean over seeds comes with its standard deviation

    def cell(self, row: pd.Series) -> str:
        value = row[self.name]
        if pd.isna(value):
            return fmt.MISSING
        deviation = row.get(f"{self.name}_std") if self.spread else None
        if deviation is None or pd.isna(deviation):
            return self.show(value)
        return f"{self.show(value)} ± {self.show(deviation)}"


@dataclass(frozen=True)
class IntervalColumn(Column):
    """The 95% interval of the accuracy, whose ends are two columns of the frame."""

    def cell(self, row: pd.Series) -> str:
        if pd.isna(row["accuracy_low"]):
            return fmt.MISSING
        return fmt.interval(row["accuracy_low"], row["accuracy_high"])


@dataclass(frozen=True)
class TextColumn(Column):
    """Text rather than a figure."""

    def cell(self, row: pd.Series) -> str:
        return str(row[self.name]) or fmt.MISSING


# What is timed is timed once for all seeds of a backbone, so its spread over them says nothing.
COLUMNS: Sequence[Column] = (
    Column("Accuracy", "accuracy", fmt.percent, 100, spread=True),
    IntervalColumn("95% interval", "accuracy_low", fmt.percent, 70),
    Column("Loss", "loss", fmt.decimals, 50, spread=True),
    Column("Val. acc.", "val_accuracy", fmt.percent, 30, spread=True),
    Column("Macro F1", "macro_f1", fmt.percent, 20, spread=True),
    Column("Training", "train_seconds", fmt.duration, 80),
    Column("p50", "latency_p50_ms", fmt.milliseconds, 90),
    Column("p90", "latency_p90_ms", fmt.milliseconds, 40),
    Column("Images/s", "throughput_images_per_second", fmt.significant, 35),
    Column("Params", "params", fmt.count, 60),
    Column("Size", "size_mb", fmt.megabytes, 10),
)

# Of what was compared: how it stands next to the others.
STANDING: Sequence[Column] = (
    TextColumn("Verdict", "verdict", fmt.percent, 85),
    TextColumn("Ties", "ties", fmt.percent, 65),
    Column("P(first)", "p_first", fmt.tenths, 45),
)

EXPLANATION = (
    "Accuracy and loss are on the test images, which chose nothing; the 95% interval is Wilson's "
    "and covers the seeds too where there are several. "
    "Training is from cold caches to a trained model. p50 and p90 are the latency of one image "
    "through the whole model, preprocessing included."
)

STANDING_EXPLANATION = (
    "Verdict: best; within the margin where the 95% intervals of the differences from all others "
    "show that; worse where they rule out that it is as good as the best; else undecided."
)
TIES_EXPLANATION = (
    "Backbones that share a letter under Ties do not differ significantly, which does not make "
    "them equal."
)


def explanation(findings: Findings) -> str:
    """What the columns of the ranked table mean."""
    parts = [EXPLANATION]
    if findings.averaged:
        parts.insert(0, "Means over seeds ± standard deviation.")
    if findings.verdict.pairs:
        parts.append(STANDING_EXPLANATION)
        if any(standing.ties for standing in findings.verdict.standings):
            parts.append(TIES_EXPLANATION)
        parts.append(f"P(first) is how often each is first with {findings.verdict.redrawn}.")
    return " ".join(parts)


def of(table: pd.DataFrame) -> Sequence[Column]:
    """The columns of the ranked table: how each stands only where there are two to compare."""
    compared = table["p_first"].notna().any()
    shown = [c for c in STANDING if (table[c.name] != "").any()] if compared else []
    return (*COLUMNS[:2], *shown, *COLUMNS[2:])


def rank(row: pd.Series) -> str:
    """The rank, or a dash for what must not be ranked."""
    return fmt.MISSING if pd.isna(row["rank"]) else str(row["rank"])


def name(row: pd.Series) -> str:
    """The label with a mark for what did not go well; random init is marked in the label itself."""
    label = str(row["label"])
    if row["status"] != "ok":
        return f"{label} (failed)"
    failed = row.get("failed", 0)
    return f"{label} ({failed} of {failed + row['seeds']} seeds failed)" if failed else label
