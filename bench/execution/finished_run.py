"""A run that is made, for programs and notebooks: its table, its verdict, its trained models."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bench import reports
from bench.inference import prediction
from bench.inference.heatmaps import Overlays
from bench.models.rebuild import members_of
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
    """A run's folder and what it says; nothing is computed before it is asked for."""

    def __init__(
        self,
        folder: Path,
        findings: Findings | None = None,
        sections: Sequence[Section] = (),
        *,
        incomplete: bool | None = None,
    ) -> None:
        """`incomplete`: whether something that was asked for is not there; None: look."""
        self.folder = folder
        self._findings, self._sections, self._incomplete = findings, sections, incomplete

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @cached_property
    def findings(self) -> Findings:
        """Return all that the reports say, as data."""
        return self._findings or reports.read(self.folder)

    @cached_property
    def sections(self) -> Sequence[Section]:
        """Return the topics of the reports as data."""
        from bench.reports.sections import sections

        return self._sections or sections(self.findings)

    @property
    def verdict(self) -> Verdict:
        """Return which backbone to take: `sentence`, `best`, `recommended`, `standings`."""
        return self.findings.verdict

    @property
    def records(self) -> tuple[Record, ...]:
        """Return the trials that are ranked, as they were recorded."""
        return self.findings.run.records

    @property
    def incomplete(self) -> bool:
        """Return whether a trial failed, or something that was asked for is not there."""
        known = self._incomplete
        return reports.incomplete(self.findings) if known is None else known

    @property
    def report(self) -> Path:
        """Return the report to read: `report.html` in the run's folder."""
        return self.folder / "report.html"

    def table(self) -> pd.DataFrame:
        """Return the ranked table, one row a backbone; what depends on the answers of random
        weights is NaN."""
        return self.findings.with_standings(self.findings.backbones)

    def predict(
        self,
        images: str | Path | Sequence[str | Path],
        *,
        backbone: str | None = None,
        plugins: Sequence[str | Path] = (),
        explain: str | Path | None = None,
    ) -> pd.DataFrame:
        """Classify new images with a trained model of the run: `image`, `class`, `confidence`,
        `probabilities` and, for an image that cannot be read, `error`.

        `backbone`: whose model, or NAME+NAME for the mean of several, or NAME@soup for its
        averaged seeds; None takes the recommended one. `plugins`: files that declare it, where it
        is not installed. `explain`: a new folder, for pictures of the images under heatmaps of
        their answers (`heatmap`: the files).
        """
        import pandas as pd

        load_plugins(map(Path, plugins))
        paths = [images] if isinstance(images, str | Path) else images
        run = read_run(self.folder)
        members = (prediction.best_record(run),) if backbone is None else members_of(run, backbone)
        model = prediction.model_of(run, *members)
        overlays = Overlays(Path(explain)) if explain is not None else None
        asked = prediction.find_images(map(Path, paths))
        found = list(prediction.predict(model, asked, overlays))
        return pd.DataFrame(
            {
                "image": [answer.image for answer in found],
                "class": [None if a.reason else model.classes[a.label] for a in found],
                "confidence": [float("nan") if a.reason else a.confidence for a in found],
                "probabilities": [a.probabilities for a in found],
                "error": [answer.reason for answer in found],
            }
            | ({"heatmap": [answer.heatmap for answer in found]} if overlays else {})
        )


def load_run(run: str | Path = "latest", results: str | Path = RESULTS) -> Run:
    """Return a run that was made before: by its name in `results`, by its folder, or `latest`."""
    return Run(find_run(Path(results), str(run)))
