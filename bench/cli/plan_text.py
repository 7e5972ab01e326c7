"""What `run` prints before anything is trained: the plan, and what the audit found."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from bench.analysis.format import counted
from bench.cli.display import human_seconds
from bench.data.audit.result import NO_LEAK, KeptAudit, other_findings, outcome_text
from bench.execution.progress import Planned
from bench.training.robustness import passes as robustness_passes
from bench.types import Dataset


def show_plan(console: Console, planned_run: Planned, *, verbose: bool) -> None:
    """Print what will be run, and where it is kept."""
    plan, todo = planned_run.plan, planned_run.waiting
    protocol, dataset = plan.protocol, plan.dataset
    counts = " / ".join(f"{len(split)} {name}" for name, split in dataset.splits.items())
    console.print(f"images    {counts}, {len(dataset.classes)} classes", markup=False)
    _show_excluded(console, dataset, verbose=verbose)
    console.print(f"protocol  {protocol.name}: {protocol.summary}", markup=False, soft_wrap=True)
    if plan.measuring.robustness:
        passes = robustness_passes(len(dataset.splits["test"]))
        console.print(f"robust    {passes:,} corrupted test images for each pretrained model")
    waiting = {trial.key for trial in todo}
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("backbone", "px", "weights", "trials", "to do", "estimate"):
        table.add_column(title, justify="left" if title in ("backbone", "weights") else "right")
    schedule = planned_run.schedule
    for planned in plan.planned:
        left = [trial.key for trial in planned.trials if trial.key in waiting]
        seconds = sum(schedule.trials[key] for key in left)
        table.add_row(
            planned.name,
            str(planned.input_size),
            "random init" if planned.weights is None else planned.weights.source,
            str(len(planned.trials)),
            str(len(left)),
            human_seconds(seconds) if left and planned.cost is not None else "-",
        )
    console.print(table)
    for skipped in plan.skipped:
        text = f"skipped   {skipped.backbone}: {skipped.reason}"
        console.print(text, style="red", markup=False, soft_wrap=True)
    about = "unknown (a backbone declares no cost)"
    if schedule.known:
        about = f"about {human_seconds(schedule.total)} on this CPU, with measuring and reports"
    text = f"run       {planned_run.folder}, {counted(len(waiting), 'trial')} to do, {about}"
    console.print(text, markup=False, soft_wrap=True)


def show_audit(console: Console, kept: KeptAudit | None) -> None:
    """A line for the leak, and one for all else; where the figures come from is in the report."""
    if kept is None:
        return
    leak = outcome_text(kept)
    took = f"{kept.seconds:.1f} s"
    text = f"audit     {leak or NO_LEAK} ({took})"
    console.print(text, style="red" if leak else "", markup=False, soft_wrap=True)
    if others := list(other_findings(kept.audit)):
        text = f"audit     also {', '.join(others)}; report.md tells more"
        console.print(text, style="yellow", markup=False, soft_wrap=True)


def _show_excluded(console: Console, dataset: Dataset, *, verbose: bool) -> None:
    for note in dataset.notes:
        console.print(f"note      {note}", markup=False, soft_wrap=True)
    if dataset.excluded:
        count = counted(len(dataset.excluded), "unusable image")
        hint = "" if verbose else "; -v names them, and so does the report"
        console.print(f"left out  {count}{hint}", style="yellow")
    if verbose:
        for image in dataset.excluded:
            console.print(f"          {image.id}: {image.reason}", markup=False, soft_wrap=True)
