"""`results/latest`, which names the newest run: a link, or a text file where there are no links."""

from __future__ import annotations

from pathlib import Path

from bench.errors import BenchError
from bench.storage.run_folder import LATEST
from bench.system.files import temporary_sibling, write_atomic


def point_latest(results: Path, run: str) -> None:
    """Make `results/latest` name `run`; at any instant it names the old run or the new one."""
    latest = results / LATEST
    if latest.is_dir() and not latest.is_symlink():
        raise BenchError(
            f"{latest} is a folder, so it cannot name the newest run; move it elsewhere."
        )
    aside = temporary_sibling(latest)
    try:
        # Relative, so that `results/` can be moved or mounted elsewhere.
        aside.symlink_to(run, target_is_directory=True)
        aside.replace(latest)
    except OSError:
        # Windows without developer mode, and some network and USB disks, do not support links.
        write_atomic(latest, run + "\n")
    finally:
        aside.unlink(missing_ok=True)
