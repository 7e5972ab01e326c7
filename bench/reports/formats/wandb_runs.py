"""`wandb/`: an offline Weights & Biases run for each trial, to upload with `wandb sync`.

Nothing is sent anywhere from here.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from bench.analysis.findings import Findings
from bench.reports.formats import need
from bench.reports.formats.series import Series, all_series

FOLDER = "wandb"


def write(findings: Findings) -> Path:
    """Write the runs, replacing earlier ones."""
    wandb = need("wandb", "wandb")
    folder = findings.run.folder / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    for series in all_series(findings):
        _log(wandb, findings.run.folder, series)
    for path in folder.rglob("*"):
        # Links to logs in the user's home: no command writes into a run whose links lead out of it.
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            path.unlink()
    return folder


def _log(wandb: Any, folder: Path, series: Series) -> None:
    settings = wandb.Settings(
        silent=True, console="off", x_disable_stats=True, disable_git=True, disable_code=True
    )
    run = wandb.init(
        project="backbone-bench",
        group=_name(series.parameters["run"]),
        name=_name(series.name),
        config=dict(series.parameters),
        dir=str(folder),
        mode="offline",
        settings=settings,
    )
    for step, epoch in enumerate(series.epochs, 1):
        run.log(dict(epoch), step=step)
    run.summary.update({f"figures/{name}": value for name, value in series.figures.items()})
    run.finish()


def _name(text: str) -> str:
    """Shorten a name and replace characters that W&B does not allow."""
    return re.sub(r"[^\w. ()-]", "_", text, flags=re.ASCII)[:100]
