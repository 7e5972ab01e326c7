"""`python -m bench` is the command."""

import sys

from bench.cli.main import main

sys.exit(main())
