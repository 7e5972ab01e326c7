"""The test images that every pretrained backbone gets wrong: where to look for wrong labels."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis import format as fmt
from bench.analysis.escape import markdown as safe
from bench.analysis.findings import Findings
from bench.analysis.mistakes import MAX_SHARED, shared
from bench.reports.figures import Picture
from bench.reports.markdown_parts import shown, table


def text(findings: Findings, pictures: Sequence[Picture]) -> str:
    """Return the list with the images' names, the most suspect first."""
    if len(findings.mistakes) < 2:
        return ""
    title = "## Images that every backbone gets wrong"
    suspects = shared(findings.mistakes)
    if not suspects:
        return f"{title}\n\nThere is none."
    dataset = findings.run.dataset
    rows = [
        [
            str(number),
            safe(dataset.splits["test"].ids[suspect.image]),
            safe(dataset.classes[suspect.true], 60),
            safe(dataset.classes[suspect.predicted], 60),
            fmt.percent(suspect.confidence / len(suspect.by_backbone)),
        ]
        for number, suspect in enumerate(suspects[:MAX_SHARED], 1)
    ]
    about = (
        f"{len(suspects):,} of {len(dataset.splits['test']):,} test images are wrong with each of "
        f"the {len(findings.mistakes)} pretrained backbones. The more confident all of them are, "
        f"the more likely the label is wrong: look at these first. Confidence is the mean over "
        f"the backbones of the probability given to their wrong answers."
    )
    if len(suspects) > MAX_SHARED:
        about += f" The first {MAX_SHARED} are listed."
    titles = ["", "Image", "Label", "Taken for", "Confidence"]
    parts = [title, about, *shown(pictures, "suspects", "")]
    return "\n\n".join([*parts, table(titles, rows, left=(1, 2, 3))])
