"""Published weights files: which one fits a backbone, where it is cached, and its download.

Files are stored in Keras' own cache, so that neither this package nor Keras downloads one twice. A
file that a user put there is used, but counts as published only if its checksum or length matches.
`ADDRESSES` and `CHECKSUMS` define the files for `weights="imagenet"`, as Keras names and checks
them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.errors import WeightsError
from bench.models.download import OnBytes, fetch_file
from bench.storage.cache import default_root
from bench.types import Backbone, FetchedWeights, PackagedWeights, Reference, WeightsFile

IMAGENET = "imagenet"
STORAGE = "https://storage.googleapis.com/"
KERAS = STORAGE + "tensorflow/keras-applications/"
KERNELS = "_weights_tf_dim_ordering_tf_kernels_notop.h5"

# Prefix of the function's name -> URL; {} is the rest of the name in lower case.
ADDRESSES = {
    "ConvNeXt": KERAS + "convnext/convnext_{}_notop.h5",
    "DenseNet": KERAS + "densenet/densenet{}" + KERNELS,
    "EfficientNetB": STORAGE + "keras-applications/efficientnetb{}_notop.h5",
    "EfficientNetV2": KERAS + "efficientnet_v2/efficientnetv2-{}_notop.h5",
    "InceptionResNetV2": KERAS + "inception_resnet_v2/inception_resnet_v2" + KERNELS,
    "InceptionV3": KERAS + "inception_v3/inception_v3" + KERNELS,
    "MobileNetV3": KERAS + "mobilenet_v3/weights_mobilenet_v3_{}_224_1.0_float_no_top_v2.h5",
    "NASNet": KERAS + "nasnet/NASNet-{}-no-top.h5",
    "ResNet": KERAS + "resnet/resnet{}" + KERNELS,
    "VGG": KERAS + "vgg{0}/vgg{0}" + KERNELS,
    "Xception": KERAS + "xception/xception" + KERNELS,
}
CACHE_NAMES = {"NASNet": "nasnet_{}_no_top.h5"}  # the file's name in Keras' cache, if it differs

# MD5 or SHA-256, the same that Keras' own loaders check; `benchmarks/zoo.py` compares them.
CHECKSUMS = {
    "ConvNeXtTiny": "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
    "ConvNeXtSmall": "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab",
    "ConvNeXtBase": "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45",
    "ConvNeXtLarge": "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd",
    "ConvNeXtXLarge": "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05",
    "DenseNet121": "30ee3e1110167f948a6b9946edeeb738",
    "DenseNet169": "b8c4d4c20dd625c148057b9ff1c1176b",
    "DenseNet201": "c13680b51ded0fb44dff2d8f86ac8bb1",
    "EfficientNetB0": "50bc09e76180e00e4465e1a485ddc09d",
    "EfficientNetB1": "74c4e6b3e1f6a1eea24c589628592432",
    "EfficientNetB2": "111f8e2ac8aa800a7a99e3239f7bfb39",
    "EfficientNetB3": "af6d107764bb5b1abb91932881670226",
    "EfficientNetB4": "ebc24e6d6c33eaebbd558eafbeedf1ba",
    "EfficientNetB5": "38879255a25d3c92d5e44e04ae6cec6f",
    "EfficientNetB6": "9ecce42647a20130c1f39a5d4cb75743",
    "EfficientNetB7": "cbcfe4450ddf6f3ad90b1b398090fe4a",
    "EfficientNetV2B0": "893217f2bb855e2983157299931e43ff",
    "EfficientNetV2B1": "0e80663031ca32d657f9caa404b6ec37",
    "EfficientNetV2B2": "1dfe2e7a5d45b6632553a8961ea609eb",
    "EfficientNetV2B3": "f6abf7b5849ac99a89b50dd3fd532856",
    "EfficientNetV2S": "af0682fb74e8c54910f2d4393339c070",
    "EfficientNetV2M": "1b8dc055df72dde80d614482840fe342",
    "EfficientNetV2L": "b0b66b5c863aef5b46e8608fe1711615",
    "InceptionResNetV2": "d19885ff4a710c122648d3b5c3b684e4",
    "InceptionV3": "bcbd6486424b2319ff4ef7d526e38f63",
    "MobileNetV3Small": "d3e8ec802a04aa4fc771ee12a9a9b836",
    "MobileNetV3Large": "07fb09a5933dd0c8eaafa16978110389",
    "NASNetMobile": "1ed92395b5b598bdda52abe5c0dbfd63",
    "NASNetLarge": "d81d89dc07e6e56530c4e77faddd61b5",
    "ResNet50": "4d473c1dd8becc155b73f8504c6f6626",
    "ResNet101": "88cf7a10940856eca736dc7b7e228a21",
    "ResNet152": "ee4c566cf9a93f14d82f913c2dc6dd0c",
    "ResNet50V2": "fac2f116257151a9d068a22e544a4917",
    "ResNet101V2": "c0ed64b8031c3730f411d2eb4eea35b5",
    "ResNet152V2": "ed17cf2e0169df9d443503ef94b23b33",
    "VGG16": "6d6bbae143d832006294945121d1f1fc",
    "VGG19": "253f8cb515780f3b799900260a226db6",
    "Xception": "b0042744bf5b25fce3cb969f33bebb97",
}

# One file for each image size, without a checksum; for MobileNetV2 the length is known.
FILES_BY_SIZE = {
    "MobileNet": tuple(
        WeightsFile(f"{KERAS}mobilenet/mobilenet_1_0_{size}_tf_no_top.h5", input_size=size)
        for size in (128, 160, 192, 224)
    ),
    "MobileNetV2": tuple(
        WeightsFile(
            f"{KERAS}mobilenet_v2/"
            f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_{size}_no_top.h5",
            input_size=size,
            nbytes=9_406_464,
        )
        for size in (96, 128, 160, 192, 224)
    ),
}


def files_for(backbone: Backbone, input_size: int) -> list[WeightsFile]:
    """Return the published files to try, in order: the one trained at this input size, then the one
    for any size or for the backbone's default size."""
    if isinstance(backbone.weights, PackagedWeights | FetchedWeights):
        return []
    files = (
        backbone.weights if isinstance(backbone.weights, tuple) else _application_files(backbone)
    )
    exact = [file for file in files if file.input_size == input_size]
    usual = [file for file in files if file.input_size in (None, backbone.input_size)]
    return list(dict.fromkeys(exact + usual))


def keras_cache() -> Path:
    """Return the folder in which Keras caches downloaded weights."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"


def fallback_cache() -> Path:
    """Return the folder for weights if Keras' cache is not writable."""
    return default_root() / "weights"


def find_cached(file: WeightsFile) -> Path | None:
    """Return the path of the file in one of the caches, or `None`."""
    paths = (folder / file.filename for folder in (keras_cache(), fallback_cache()))
    return next((path for path in paths if path.is_file()), None)


def download(file: WeightsFile, say: Callable[[str], None], progress: OnBytes) -> Path:
    """Download the file into Keras' cache, or into `fallback_cache` if that is read-only."""
    folder = keras_cache() if _writable(keras_cache()) else fallback_cache()
    path = folder / file.filename
    fetch_file(file.url, path, checksum=file.checksum, nbytes=file.nbytes, progress=progress)
    if folder != keras_cache():
        say(f"{keras_cache()} is not writable; {file.filename} is stored in {folder}.")
    return path


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def has_published_weights(name: str) -> bool:
    """Return whether ImageNet weights are published for a function of `keras.applications`."""
    return name in FILES_BY_SIZE or name in CHECKSUMS


def application_name(build: Reference) -> str:
    """Return the name of `build` if it is a function of `keras.applications`, else ""."""
    if isinstance(build, str):
        module, _, name = build.partition(":")
    else:
        module, name = getattr(build, "__module__", ""), getattr(build, "__name__", "")
    inside = module.replace("keras.src.", "keras.", 1)
    return name if f"{inside}.".startswith("keras.applications.") else ""


def _application_files(backbone: Backbone) -> tuple[WeightsFile, ...]:
    """Return the files of a backbone declared with `weights="imagenet"`."""
    name = application_name(backbone.build)
    if not has_published_weights(name):
        raise WeightsError(
            f'{backbone.name}: weights="imagenet" needs build="keras.applications:NAME" of a '
            f"network with published weights, got {name or 'another builder'}; declare its files "
            f"instead: weights=(WeightsFile(url, md5=...),)."
        )
    if name in FILES_BY_SIZE:
        return FILES_BY_SIZE[name]
    family = next(start for start in ADDRESSES if name.startswith(start))
    variant, checksum = name.removeprefix(family).lower(), CHECKSUMS[name]
    return (
        WeightsFile(
            ADDRESSES[family].format(variant),
            md5=checksum if len(checksum) == 32 else None,
            sha256=checksum if len(checksum) == 64 else None,
            name=CACHE_NAMES.get(family, "").format(variant),
        ),
    )
