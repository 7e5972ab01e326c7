"""A finished run, for programs and notebooks: its table, its verdict and its trained models."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bench import reports
from bench.inference import prediction
from bench.inference.heatmaps import Overlays
from bench.models.rebuild import find_members
from bench.registry import load_plugins
from bench.storage.records import read_run
from bench.storage.run_folder import find_run
from bench.system.command_line import RESULTS
from bench.types import Record

if TYPE_CHECKING:
    import pandas as pd

    from bench.analysis.findings import Findings
    from bench.analysis.verdict import Verdict
    from bench.reports.blocks import Section


class Run:
    """A finished run, by its folder; findings are computed when they are first needed."""

    def __init__(
        self,
        folder: Path,
        findings: Findings | None = None,
        sections: Sequence[Section] = (),
        *,
        incomplete: bool | None = None,
    ) -> None:
        """`incomplete`: whether a requested result is missing; None: read it from the files."""
        self.folder = folder
        self._findings, self._sections, self._incomplete = findings, sections, incomplete

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @cached_property
    def findings(self) -> Findings:
        """Return the content of the reports as data."""
        return self._findings or reports.read(self.folder)

    @cached_property
    def sections(self) -> Sequence[Section]:
        """Return the sections of the reports as data."""
        from bench.reports.sections import sections

        return self._sections or sections(self.findings)

    @property
    def verdict(self) -> Verdict:
        """Return the recommendation: `sentence`, `best`, `recommended`, `standings`."""
        return self.findings.verdict

    @property
    def records(self) -> tuple[Record, ...]:
        """Return the records of the ranked trials."""
        return self.findings.run.records

    @property
    def incomplete(self) -> bool:
        """Return whether a trial failed or a requested result is missing."""
        known = self._incomplete
        return reports.is_incomplete(self.findings) if known is None else known

    @property
    def report(self) -> Path:
        """Return the path of `report.html` in the run's folder."""
        return self.folder / "report.html"

    def table(self) -> pd.DataFrame:
        """Return the ranked table, one row per backbone.

        Figures that depend on the predictions of random weights are NaN.
        """
        return self.findings.with_standings(self.findings.backbones)

    def predict(
        self,
        images: str | Path | Sequence[str | Path],
        *,
        backbone: str | None = None,
        plugins: Sequence[str | Path] = (),
        explain: str | Path | None = None,
    ) -> pd.DataFrame:
        """Classify new images with a trained model of the run.

        The columns are `image`, `class`, `confidence`, `probabilities` and `error`, which is the
        reason if an image cannot be read.

        `backbone`: the backbone's name, NAME+NAME for the mean of several, or NAME@soup for its
        averaged seeds; None: the recommended one. `plugins`: files that declare the backbone if it
        is not installed. `explain`: a new folder for the images with a heatmap of the predicted
        class; their paths are in the column `heatmap`.
        """
        import pandas as pd

        load_plugins(map(Path, plugins))
        paths = [images] if isinstance(images, str | Path) else images
        run = read_run(self.folder)
        members = (
            (prediction.best_record(run),) if backbone is None else find_members(run, backbone)
        )
        model = prediction.model_of(run, *members)
        overlays = Overlays(Path(explain)) if explain is not None else None
        files = prediction.find_images(map(Path, paths))
        found = list(prediction.predict(model, files, overlays))
        return pd.DataFrame(
            {
                "image": [one.image for one in found],
                "class": [None if one.reason else model.classes[one.label] for one in found],
                "confidence": [float("nan") if one.reason else one.confidence for one in found],
                "probabilities": [one.probabilities for one in found],
                "error": [one.reason for one in found],
            }
            | ({"heatmap": [one.heatmap for one in found]} if overlays else {})
        )


def load_run(run: str | Path = "latest", results: str | Path = RESULTS) -> Run:
    """Return an existing run: by its name in `results`, by its folder, or `latest`."""
    return Run(find_run(Path(results), str(run)))
