"""`--open`: the report in the reader's browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from rich.console import Console


def open_report(folder: Path, console: Console) -> None:
    """Open the run's page; where there is no browser, say where the page is."""
    page = (folder / "report.html").resolve()
    if not webbrowser.open(page.as_uri()):
        console.print(f"No browser here; open {page}", markup=False, soft_wrap=True)
