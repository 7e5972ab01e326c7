"""Checks of what is built against what is declared of it."""

from __future__ import annotations

from bench.errors import CheckError
from bench.execution.check.subject import Subject
from bench.models.network import macs
from bench.models.published import files_for

GMACS_TOLERANCE = 0.02  # published figures are rounded


def check_build(subject: Subject) -> str:
    """Build at the default size and at another, with the same weights."""
    backbone = subject.backbone
    if backbone.minimum_size > backbone.input_size:
        raise CheckError(
            f"minimum_size {backbone.minimum_size} is above input_size {backbone.input_size}; "
            f"correct one of them."
        )
    own, other = subject.own_size, subject.network.base
    if own.count_params() != other.count_params():
        raise CheckError(
            f"{own.count_params():,} parameters at {backbone.input_size} px and "
            f"{other.count_params():,} at {subject.size} px; weights trained at one size must "
            f"fit any other. Leave out layers with a weight for each position."
        )
    return f"{backbone.input_size} and {subject.size} px"


def check_declaration(subject: Subject) -> str:
    """Compare parameters and layers exactly, multiply-accumulates nearly."""
    backbone, model = subject.backbone, subject.own_size
    files_for(backbone, backbone.input_size)  # raises where "imagenet" means no published file
    parameters, layers, gmacs = model.count_params(), len(model.layers), macs(model) / 1e9
    wrong = []
    if backbone.parameters not in (None, parameters):
        wrong.append(f"parameters={backbone.parameters:_}, built {parameters:_}")
    if backbone.layers not in (None, layers):
        wrong.append(f"layers={backbone.layers}, built {layers}")
    if backbone.gmacs is not None and abs(backbone.gmacs / gmacs - 1) > GMACS_TOLERANCE:
        wrong.append(
            f"gmacs={backbone.gmacs:g}, counted {gmacs:.3g} in convolutions and dense layers at "
            f"{backbone.input_size} px"
        )
    if wrong:
        raise CheckError(f"declared {'; '.join(wrong)}. Declare what is built.")
    found = f"parameters={parameters:_}, layers={layers}, gmacs={gmacs:.3g}"
    declared = (backbone.parameters, backbone.layers, backbone.gmacs)
    return found if None not in declared else f"not all is declared; found {found}"
