#!/usr/bin/env python
"""The command: `python run_bench.py --backbones all`. See `bench/cli/main.py`."""

import sys

from bench.cli.main import main

if __name__ == "__main__":
    sys.exit(main(packages=("backbones",)))
