"""backbone-bench: one protocol over every pretrained backbone, measured so that it can be believed.

This package is the harness. It never imports `backbones/`; those are plugins like any other.
"""

__version__ = "0.1.0"
