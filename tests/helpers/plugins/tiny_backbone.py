"""The tiny backbone, as a user's plugin file would register it."""

import sys
from pathlib import Path

from bench.registry import BACKBONES

sys.path.append(str(Path(__file__).resolve().parent.parent))
from tiny import TINY

BACKBONES.add(TINY)
