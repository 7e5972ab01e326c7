"""The ranked tables as data frames: one row for each trial, and one for each backbone.

Only pretrained trials that finished are ranked, by test accuracy and then by loss. Trials with
random weights follow without a rank, because their accuracy is meaningless, then those without
figures, and failed ones last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis.metrics.base import METRICS
from bench.analysis.scores import Contender, Score, compared_trials, ranking_obstacles
from bench.analysis.statistics import intervals
from bench.types import RANDOM_INIT

FIRST_COLUMNS = (
    "backbone",
    "status",
    "weights",
    "input_size",
    "seed",
    "accuracy",
    "loss",
    "val_accuracy",
    "train_seconds",
    "latency_p50_ms",
    "latency_p90_ms",
    "throughput_images_per_second",
    "params",
    "rank",
)
LAST_COLUMNS = ("label", "trial", "reason")
NO_FIGURES = "no usable test probabilities are stored"
ARRAYS_MISSING = "its arrays are missing"

Cells = dict[Any, Any]


def trial_table(scores: Sequence[Score]) -> pd.DataFrame:
    """Return a table with one row for each trial, the best first."""
    metrics = METRICS.names
    given = [n for n in (*FIRST_COLUMNS, *LAST_COLUMNS) if n not in (*metrics, "rank")]
    figures = np.reshape([one.figures for one in scores], (-1, len(metrics)))
    table = pd.DataFrame([_facts(one) for one in scores], columns=given)
    table = table.join(pd.DataFrame(figures, columns=metrics))
    others = [name for name in metrics if name not in FIRST_COLUMNS]
    return _rank_rows(table.reindex(columns=[*FIRST_COLUMNS, *others, *LAST_COLUMNS]), scores)


def backbone_table(trials: pd.DataFrame, scores: Sequence[Score]) -> pd.DataFrame:
    """Return a table with one row for each label: means over seeds, and `*_std` columns.

    Ranked backbones are averaged over the seeds that all of them finished.
    """
    correct = {one.record.trial.key: one.predictions.correct for one in compared_trials(scores)}
    rows = [_mean_row(group, correct) for _, group in trials.groupby("label", sort=False)]
    figures = [*METRICS.names, *(f"{name}_std" for name in _with_spread())]
    first = ["label", "backbone", "status", "weights", "input_size", "seeds", "failed", "rank"]
    table = pd.DataFrame(rows, columns=[*first, *figures, "reason"])
    return _rank_rows(table.astype(dict.fromkeys(METRICS.names, "float64")), scores)


def _facts(score: Score) -> Cells:
    record, trial = score.record, score.record.trial
    reason = record.reason
    if score.arrays_missing:
        reason = ARRAYS_MISSING
    elif record.pretrained and record.status == "ok" and not isinstance(score, Contender):
        reason = NO_FIGURES
    return {
        "backbone": trial.backbone,
        "status": record.status,
        "weights": record.weights.source if record.weights else "",
        "input_size": trial.input_size,
        "seed": trial.seed,
        "label": score.label,
        "trial": trial.key,
        "reason": reason,
    }


def _mean_row(group: pd.DataFrame, correct: Mapping[str, NDArray[np.bool_]]) -> Cells:
    """Return the means of a label's trials; of those in `correct`, if any are.

    `correct` has the correct test predictions of the compared trials, by key.
    """
    ok = group[group["status"] == "ok"]
    ranked = ok[ok["trial"].isin(correct)]
    shown = ranked if len(ranked) else ok if len(ok) else group
    names = list(METRICS.names)
    alike = ("label", "backbone", "status", "weights", "input_size")
    row: Cells = {name: shown[name].iloc[0] for name in alike}
    row |= {"seeds": len(ok), "failed": len(group) - len(ok)}
    row["reason"] = next((r for r in group["reason"] if r), "")
    means, spreads = shown[names].mean(), shown[names].std(ddof=1)
    row |= {name: means[name] for name in names}
    row |= {f"{name}_std": spreads[name] for name in _with_spread()}
    seeds = [correct[key] for key in shown["trial"] if key in correct]
    if seeds and len({len(one) for one in seeds}) == 1:
        # All seeds predict the same images: one sample of images, not several. The mean is taken
        # from the counts, so that equal accuracies are equal to the last bit.
        row["accuracy"] = float(np.mean(seeds))
        low, high = intervals.accuracy_interval(np.stack(seeds))
        row["accuracy_low"], row["accuracy_high"] = float(low), float(high)
    return row


def is_random_init(table: pd.DataFrame) -> pd.Series[bool]:
    """Return which rows finished with random weights, and so have times and sizes only."""
    return (table["status"] == "ok") & (table["weights"] == RANDOM_INIT)


def _with_spread() -> list[str]:
    return [metric.name for metric in METRICS if metric.better != "neither"]


def _rank_rows(table: pd.DataFrame, scores: Sequence[Score]) -> pd.DataFrame:
    """Order the rows, and rank those that may be ranked; none if the trials are not comparable."""
    last = [table["status"] != "ok", table["weights"] == RANDOM_INIT, table["accuracy"].isna()]
    group = np.select(last, [3, 1, 2], 0)
    ranked = (group == 0) & (not ranking_obstacles(scores))
    keys = {
        "group": group,
        "accuracy": -table["accuracy"].where(ranked, 0.0),
        "loss": table["loss"].where(ranked, 0.0),
        "label": table["label"],
        "seed": table.get("seed", 0),
    }
    order = pd.DataFrame(keys, index=table.index).sort_values(list(keys)).index
    table = table.loc[order].reset_index(drop=True)
    ranks = [place + 1 if place < ranked.sum() else None for place in range(len(table))]
    table["rank"] = pd.array(ranks, dtype="Int64")
    return table
