"""What every backbone answers on this Keras backend, kept for another backend to be held against.

Run as a program, it writes one file a backbone: the images, the weights, the probabilities. Weights
are random, with the BatchNorm statistics that trained ones would have, so that images matter.

    python tests/models/backends/answers.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from bench.execution.check.subject import calibrate
from bench.models.backends.base import Array, current
from bench.models.network import Network, build_head, initialise_head
from bench.protocol import Head
from bench.registry import BACKBONES, load_plugins
from bench.types import Backbone

SIZE = 64  # or the backbone's least
IMAGES = 8
LARGER = ("efficientnet_lite1", "efficientnet_lite2")


def all_backbones() -> dict[str, Backbone]:
    """Those that `--backbones all` means, by name; of EfficientNet-Lite the smallest."""
    load_plugins(packages=["backbones"])
    return {
        backbone.name: backbone
        for backbone in BACKBONES
        if backbone.in_all and backbone.name not in LARGER
    }


def network_of(backbone: Backbone) -> Network:
    return Network(backbone, max(SIZE, backbone.minimum_size))


def images_for(network: Network) -> Array:
    """Patches of colour, which differ between images in more than noise."""
    patches = np.random.default_rng(0).integers(0, 256, (IMAGES, 4, 4, 3), dtype="uint8")
    size = network.input_size
    side = -(-size // 4)
    return patches.repeat(side, axis=1).repeat(side, axis=2)[:, :size, :size]


def probabilities(network: Network, images: Array) -> Array:
    """By the whole model as it is deployed, with the network's present weights."""
    head = build_head(Head(output="softmax"), network.features_shape, 2)
    initialise_head(head, seed=0)
    return current().forward(network.classifier(head))(images)[0]


def main() -> None:
    import keras

    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, backbone in all_backbones().items():
        network = network_of(backbone)
        images = images_for(network)
        calibrate(network, images)
        found = probabilities(network, images)
        weights = {
            f"weight_{place}": keras.ops.convert_to_numpy(weight)
            for place, weight in enumerate(network.base.weights)
        }
        np.savez(folder / f"{name}.npz", images=images, probabilities=found, **weights)
        print(f"{name}: {len(weights)} arrays of weights, {len(found)} answers", flush=True)


if __name__ == "__main__":
    main()
