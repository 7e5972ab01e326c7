"""Formats that other tools read, written on request: `report RUN --format NAME`.

    pull_request, json_report, parquet, timm      one file each, in the run's folder
    tensorboard, mlflow_runs, wandb_runs          folders for those tools, written offline

A new format is a file and a line in `FORMATS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from bench.errors import UnknownNameError, UsageError
from bench.registry import names_in

FORMATS = {
    "pr": "pull_request",
    "json": "json_report",
    "parquet": "parquet",
    "timm": "timm",
    "tensorboard": "tensorboard",
    "mlflow": "mlflow_runs",
    "wandb": "wandb_runs",
}


def parse(text: str) -> list[str]:
    """Parse `NAME,NAME`; raise `UnknownNameError`, which lists the known names."""
    names = names_in(text)
    for name in names:
        if name not in FORMATS:
            raise UnknownNameError("format", name, FORMATS)
    return names


def write(folder: Path, names: Iterable[str]) -> list[Path]:
    """Write the run in `folder` in each of these formats; return the files and folders."""
    from bench.analysis.findings import analyse_run
    from bench.storage.records import read_run
    from bench.storage.run_folder import refuse_links

    refuse_links(folder)
    modules = [importlib.import_module(f"{__name__}.{FORMATS[name]}") for name in names]
    findings = analyse_run(read_run(folder)) if modules else None
    return [module.write(findings) for module in modules]


def import_optional(module: str, extra: str) -> ModuleType:
    """Import an optional package; raise `UsageError` with its `pip install` if it is missing."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"this format needs {module}: `pip install 'backbone-bench[{extra}]'`."
        ) from error
