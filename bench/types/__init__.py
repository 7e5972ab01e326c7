"""The nouns of the benchmark: read this folder first.

A `Backbone` is a declaration. A `Dataset` is named splits of labelled images. A `TrainingProtocol`
(in `protocol/`, read from TOML) says how to train. A `Trial` is one backbone on one dataset under
one protocol with one seed; a `Record` is its result. Nothing here computes, reads a file or
imports Keras.
"""

from __future__ import annotations

from bench.types.backbone import (
    Backbone,
    FetchedWeights,
    PackagedWeights,
    Reference,
    WeightsFile,
)
from bench.types.dataset import (
    SPLITS,
    Dataset,
    Excluded,
    Split,
    SplitName,
    WrongExtension,
)
from bench.types.record import (
    REFERENCE,
    STANDS_IN,
    Epoch,
    Ingredient,
    PhaseResult,
    Probes,
    Record,
    RuntimeResult,
    Session,
    Soup,
    TriedRate,
    Validation,
    WeightsUsed,
)
from bench.types.trial import (
    DEFAULT_MARGIN,
    DEVICES,
    KEEP_MODELS,
    ON_LEAK,
    PRECISIONS,
    SOUP,
    Device,
    KeepModels,
    Measuring,
    OnLeak,
    Precision,
    Settings,
    SoupTrial,
    Trial,
    WeightsChoice,
    at_size,
)

__all__ = [
    "DEFAULT_MARGIN",
    "DEVICES",
    "KEEP_MODELS",
    "ON_LEAK",
    "PRECISIONS",
    "REFERENCE",
    "SOUP",
    "SPLITS",
    "STANDS_IN",
    "Backbone",
    "Dataset",
    "Device",
    "Epoch",
    "Excluded",
    "FetchedWeights",
    "Ingredient",
    "KeepModels",
    "Measuring",
    "OnLeak",
    "PackagedWeights",
    "PhaseResult",
    "Precision",
    "Probes",
    "Record",
    "Reference",
    "RuntimeResult",
    "Session",
    "Settings",
    "Soup",
    "SoupTrial",
    "Split",
    "SplitName",
    "Trial",
    "TriedRate",
    "Validation",
    "WeightsChoice",
    "WeightsFile",
    "WeightsUsed",
    "WrongExtension",
    "at_size",
]
