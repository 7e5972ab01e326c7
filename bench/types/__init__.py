"""The data types of the benchmark: read this folder first.

A `Backbone` is a declaration. A `Dataset` is named splits of labelled images. A `TrainingProtocol`
(in `protocol/`, read from TOML) says how to train. A `Trial` is one backbone on one data set under
one protocol with one seed; a `Record` is its result. Nothing here computes, reads a file or
imports Keras.
"""

from __future__ import annotations

from bench.types.backbone import Backbone as Backbone
from bench.types.backbone import FetchedWeights as FetchedWeights
from bench.types.backbone import PackagedWeights as PackagedWeights
from bench.types.backbone import Reference as Reference
from bench.types.backbone import WeightsFile as WeightsFile
from bench.types.dataset import SPLITS as SPLITS
from bench.types.dataset import Dataset as Dataset
from bench.types.dataset import Excluded as Excluded
from bench.types.dataset import Split as Split
from bench.types.dataset import SplitName as SplitName
from bench.types.dataset import WrongExtension as WrongExtension
from bench.types.record import RANDOM_INIT as RANDOM_INIT
from bench.types.record import REFERENCE as REFERENCE
from bench.types.record import STANDS_IN as STANDS_IN
from bench.types.record import Epoch as Epoch
from bench.types.record import Ingredient as Ingredient
from bench.types.record import PhaseResult as PhaseResult
from bench.types.record import Probes as Probes
from bench.types.record import Record as Record
from bench.types.record import RuntimeResult as RuntimeResult
from bench.types.record import Session as Session
from bench.types.record import Soup as Soup
from bench.types.record import TriedRate as TriedRate
from bench.types.record import Validation as Validation
from bench.types.record import WeightsUsed as WeightsUsed
from bench.types.trial import DEFAULT_MARGIN as DEFAULT_MARGIN
from bench.types.trial import DEVICES as DEVICES
from bench.types.trial import KEEP_MODELS as KEEP_MODELS
from bench.types.trial import ON_LEAK as ON_LEAK
from bench.types.trial import PRECISIONS as PRECISIONS
from bench.types.trial import SOUP as SOUP
from bench.types.trial import Device as Device
from bench.types.trial import KeepModels as KeepModels
from bench.types.trial import Measuring as Measuring
from bench.types.trial import OnLeak as OnLeak
from bench.types.trial import Precision as Precision
from bench.types.trial import Settings as Settings
from bench.types.trial import SoupTrial as SoupTrial
from bench.types.trial import Trial as Trial
from bench.types.trial import WeightsChoice as WeightsChoice
from bench.types.trial import at_size as at_size
