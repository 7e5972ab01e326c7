"""How much of all the measuring is done, in the seconds that its steps are estimated to take."""

from __future__ import annotations

from bench.training.events import Listener, StageProgress
from bench.types import Trial

PARTS = 1000


class Progress:
    """Tells a listener of the steps, each with the share of the whole that is done before it."""

    def __init__(self, listener: Listener, total: float) -> None:
        self._listener, self._total = listener, total
        self._done = 0.0

    def tell(self, trial: Trial, text: str, *, within: float = 0.0) -> None:
        """Say what is done now, and how many seconds of it are."""
        share = min(1.0, (self._done + within) / self._total) if self._total else 1.0
        self._listener(StageProgress(trial, text, int(PARTS * share), PARTS, "measuring"))

    def add(self, seconds: float) -> None:
        """A step of so many estimated seconds has ended."""
        self._done += seconds
