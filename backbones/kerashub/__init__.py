"""Backbones of KerasHub, found by name: `kerashub:PRESET`, where PRESET is in KerasHub's catalogue,
an address (`kaggle://...`, `hf://...`) or a folder written by `save_to_preset`.

The command reads the preset's JSON files, and sends their content to the workers with the job.
KerasHub is imported only to build a network, as it loads a framework.
"""

from __future__ import annotations

import json
import runpy
from collections.abc import Mapping, Sequence
from functools import cache, partial
from importlib.util import find_spec
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.analysis.escape import shorten
from bench.errors import (
    BenchError,
    TrialError,
    UnknownNameError,
    UsageError,
    WeightsError,
    one_line,
)
from bench.registry import BACKBONE_SOURCES, BackboneSource, resolve
from bench.types import Backbone, FetchedWeights

if TYPE_CHECKING:
    import keras

CATALOGUE = "https://keras.io/keras_hub/presets"
CONFIG, CONVERTER, WEIGHTS = "config.json", "image_converter.json", "model.weights.h5"
PACKAGES = ("keras_hub>", "keras_nlp>")  # prefixes of registered classes: current and former
SHAPES = ("image_shape", "input_shape")  # possible names of the setting of the input shape
TRANSFORMERS = (">ViTBackbone", ">DeiTBackbone", ">DINOV2Backbone")  # supported classes
PARTS, OUTPUT = 4, "output"  # number of parts of a transformer, and the name of its last cut
USUAL_SIZE = 224
MAX_CAUSE = 200  # characters shown of a library's error


def describe(preset: str) -> str:
    """Return a preset's class, settings, image converter and weights path as JSON.

    They are read from its files, which are downloaded if necessary. Raises `BenchError` if it is no
    image backbone.
    """
    handle = _handle(preset)
    config = _read(preset, handle, CONFIG)
    settings, kind = config["config"], str(config.get("registered_name"))
    if not kind.startswith(PACKAGES) or not any(key in settings for key in SHAPES):
        raise BenchError(
            f"kerashub:{preset} is {config.get('class_name')}, which is no KerasHub network that "
            f"takes only images; choose another preset."
        )
    converter = _read(preset, handle, CONVERTER)["config"]
    weights = str(_file(preset, handle, CONFIG).with_name(WEIGHTS))
    return json.dumps([kind, settings, converter, weights])


@cache
def declare(preset: str, description: str) -> Backbone:
    """Return the declaration of a preset, from its `description` by `describe`."""
    kind, settings, converter, weights = json.loads(description)
    key = next(key for key in SHAPES if key in settings)
    size = _size(converter, settings[key])
    scale, offset = _scale_and_offset(converter)
    # Without the dtype, as the run sets the precision.
    kept = {name: value for name, value in settings.items() if name != "dtype"}
    parts = _parts(kind, settings)
    return Backbone(
        name=f"kerashub:{preset}",
        build=partial(build, kind, key, json.dumps(kept)),
        preprocess=partial(preprocess, scale=scale, offset=offset),
        input_size=size,
        stages=(*parts[:-1], OUTPUT) if parts else (),
        minimum_size=2 * _patch(settings) if parts else Backbone.minimum_size,
        weights=FetchedWeights(
            name=f"{Path(preset).name}/{WEIGHTS}",
            path=weights,
            fetch=lambda: _file(preset, _handle(preset), WEIGHTS),
        ),
        per_position=bool(parts),
        in_all=False,
    )


def build(
    kind: str,
    key: str,
    settings: str,
    *,
    input_shape: tuple[int, int, int],
    include_top: bool = False,
    weights: None = None,
) -> keras.Model:
    """Build the network of a preset for images of `input_shape`.

    `kind` is its registered class, `key` the setting of its input shape, and `settings` its JSON.
    """
    import keras
    import keras_hub  # noqa: F401  (registers its networks)

    network = keras.saving.get_registered_object(kind)
    if network is None:
        raise TrialError(f"the installed keras_hub has no {kind}; upgrade it.")
    chosen = json.loads(settings)
    if parts := _parts(kind, chosen):
        from backbones.kerashub.transformers import split_into_parts

        patch, size = _patch(chosen), input_shape[0]
        if size % patch:
            raise TrialError(
                f"{kind} divides images into patches of {patch} px and takes multiples of that, "
                f"got {size} px; choose --input-size {size // patch * patch}."
            )
        # DINOv2 resizes its position embeddings itself; weights of others need their own size.
        own = input_shape if "position_embedding_shape" in chosen else tuple(chosen[key])
        model = network.from_config(chosen | {key: input_shape})
        trained = partial(network.from_config, chosen | {key: own}) if own != input_shape else None
        return split_into_parts(model, parts, patch, trained)
    model = network.from_config(chosen | {key: input_shape})
    shape = getattr(model.output, "shape", ())
    if len(shape) != 4:
        raise TrialError(
            f"{kind} does not end in one feature map but in {shape or 'several tensors'}: "
            f"networks of tokens and detectors cannot be compared here."
        )
    return model


def _parts(kind: str, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of a transformer's parts; empty for other networks."""
    if not kind.endswith(TRANSFORMERS):
        return ()
    return tuple(f"blocks{number + 1}" for number in range(min(PARTS, settings["num_layers"])))


def _patch(settings: Mapping[str, Any]) -> int:
    """Return the side of a transformer's patches in pixels."""
    patch = settings["patch_size"]
    return int(patch if isinstance(patch, int) else patch[0])


def preprocess(images: Any, *, scale: Sequence[float], offset: Sequence[float]) -> Any:
    """Return the pixels scaled as by the preset's image converter."""
    import keras

    return keras.layers.Rescaling(scale, offset, dtype="float32")(images)


def _scale_and_offset(converter: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Return the scale and the offset of each channel in an image converter."""
    scale, offset = converter.get("scale"), converter.get("offset")
    if "variance" in converter:  # presets of early versions
        deviations = [sqrt(variance) for variance in converter["variance"]]
        scale = [(1.0 if scale is None else scale) / one for one in deviations]
        offset = [-mean / one for mean, one in zip(converter["mean"], deviations, strict=True)]
    return _channels(1.0 if scale is None else scale), _channels(0.0 if offset is None else offset)


def _channels(value: float | Sequence[float]) -> list[float]:
    return [value] * 3 if isinstance(value, int | float) else list(value)


def _size(converter: Mapping[str, Any], shape: Sequence[int | None]) -> int:
    """Return the side in pixels of the images that the preset was trained on."""
    old = (converter.get("height"), converter.get("width"))
    height, width = converter.get("image_size") or (old if all(old) else shape[:2])
    if height != width:
        raise BenchError(f"this preset takes images of {height}x{width} px, which are not square.")
    return height or USUAL_SIZE


def _read(preset: str, handle: str, name: str) -> dict[str, Any]:
    content = json.loads(_file(preset, handle, name).read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not isinstance(content.get("config"), dict):
        raise BenchError(f"{name} of kerashub:{preset} was not written by KerasHub.")
    return content


def _file(preset: str, handle: str, name: str) -> Path:
    """Return the local path of a preset's file; its library downloads a missing one."""
    scheme, found, place = handle.partition("://")
    try:
        if not found:
            path = Path(handle, name).resolve(strict=True)
        elif scheme == "hf":
            path = Path(resolve("huggingface_hub:hf_hub_download")(place, name))
        else:
            path = Path(resolve("kagglehub:model_download")(place, name))
    except Exception as error:  # each library raises its own
        raise WeightsError(
            f"{name} of kerashub:{preset} cannot be read: {shorten(one_line(error), MAX_CAUSE)}.\n"
            f"Save the preset where there is a network, and name its folder: kerashub:./FOLDER."
        ) from error
    return path


def _handle(preset: str) -> str:
    """Return the location of a preset: `SCHEME://PLACE`, or a folder."""
    if "://" in preset:
        return preset
    folder, known = Path(preset).expanduser(), _catalogue()
    if preset in known:
        return known[preset]
    if folder.is_dir():
        return str(folder)
    if "/" in preset:
        raise UsageError(f"kerashub:{preset}: there is no such folder.")
    raise UnknownNameError("preset of KerasHub", preset, known, remedy=CATALOGUE)


@cache
def _catalogue() -> dict[str, str]:
    """Return the locations of KerasHub's image presets by name, from the tables in its files."""
    spec = find_spec("keras_hub")
    folders = (spec and spec.submodule_search_locations) or []
    found: dict[str, str] = {}
    for converter in Path(*folders).glob("src/models/*/*_image_converter.py"):
        for file in converter.parent.glob("*_presets.py"):
            for name, table in runpy.run_path(str(file)).items():
                if name.endswith("presets"):
                    found |= {one: facts["kaggle_handle"] for one, facts in table.items()}
    return found


BACKBONE_SOURCES.add(
    BackboneSource(
        "kerashub:",
        "PRESET or ./FOLDER: image backbones of KerasHub",
        describe,
        declare,
        modules=("keras_hub",),
        install="backbone-bench[kerashub]",
    )
)
