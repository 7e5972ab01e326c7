"""`mlruns/`: an MLflow file store with a run for each trial, written offline.

Open it with `MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri mlruns`, or copy it into a
database with `mlflow migrate-filestore`: MLflow supports file stores only for reading and
migration.
"""

from __future__ import annotations

import os
import re
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.analysis.findings import Findings
from bench.reports.formats import import_optional
from bench.reports.formats.series import Series, all_series

FOLDER = "mlruns"


def write(findings: Findings) -> Path:
    """Write the store in place of an earlier one; return its folder."""
    mlflow = import_optional("mlflow", "mlflow")
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    folder = findings.run.folder / FOLDER
    # The folder itself stays: within one process MLflow expects a known store to exist.
    for earlier in folder.glob("[!.]*/"):
        shutil.rmtree(earlier)
    client = mlflow.MlflowClient(tracking_uri=folder.resolve().as_uri())
    experiment = client.create_experiment(_key(findings.run.name))
    for series in all_series(findings):
        _log(mlflow, client, experiment, series)
    return folder


def _log(mlflow: Any, client: Any, experiment: str, series: Series) -> None:
    started, finished = (_milliseconds(t) for t in (series.record.started, series.record.finished))
    run = client.create_run(experiment, start_time=started, run_name=series.name).info.run_id
    entities = mlflow.entities
    metrics = [
        entities.Metric(_key(name), value, finished, step)
        for step, epoch in enumerate(series.epochs, 1)
        for name, value in epoch.items()
    ]
    metrics += [
        entities.Metric(f"figures/{_key(name)}", value, finished, 0)
        for name, value in series.figures.items()
    ]
    parameters = [entities.Param(name, value) for name, value in series.parameters.items()]
    client.log_batch(run, metrics=metrics, params=parameters)
    client.set_terminated(run, end_time=finished)


def _milliseconds(when: str) -> int:
    return int(1000 * datetime.fromisoformat(when).timestamp()) if when else 0


def _key(name: str) -> str:
    """Replace characters that MLflow does not allow in a name."""
    return re.sub(r"[^\w./ -]", "_", name, flags=re.ASCII)
