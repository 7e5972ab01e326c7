"""Backbones that fail while they are built: one raises, one takes its process with it."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from bench.registry import BACKBONES

sys.path.append(str(Path(__file__).resolve().parent.parent))
from tiny import TINY


def raises(**arguments: object) -> None:
    raise ValueError("this network\ncannot be built")


def dies(**arguments: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


BACKBONES.add(replace(TINY, name="raises", build=raises))
BACKBONES.add(replace(TINY, name="dies", build=dies))
