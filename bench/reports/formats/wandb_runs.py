"""`wandb/`: an offline Weights & Biases run for each trial, to upload with `wandb sync`.

Nothing is sent anywhere from here.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from bench.analysis.findings import Findings
from bench.reports.formats import import_optional
from bench.reports.formats.series import Series, all_series

FOLDER = "wandb"


def write(findings: Findings) -> Path:
    """Write the runs in place of earlier ones; return their folder."""
    wandb = import_optional("wandb", "wandb")
    folder = findings.run.folder / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    for series in all_series(findings):
        _log(wandb, findings.run.folder, series)
    for path in folder.rglob("*"):
        # W&B links to logs in the user's home, and a run with links out of it is refused.
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
