"""Export formats: files of a trained model, raw uint8 images in, class probabilities out.

Each file of this folder registers its own: adding one takes that file alone. Importing this package
loads no framework, as the command line lists what there is. Writing and checking a file is in
`bench/inference/exporting.py`.
"""

from bench.inference.export.base import FORMATS
from bench.registry import import_modules

__all__ = ["FORMATS"]

import_modules(__name__)
