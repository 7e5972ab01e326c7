"""Train the same protocol as the official Keras tutorials do, for comparison with the harness.

`image_dataset_from_directory`, `fit` on the frozen base, unfreeze, recompile, `fit`. It is written
to be fast where a careful user would be: decoded images stay in memory (`cache`), the next batch
is prepared while one trains (`prefetch`), and XLA, which is slower here, is off. Latency is not
measured.

    python benchmarks/plain_keras.py FOLDER --backbone mobilenetv2 --input-size 160

FOLDER holds train/, validation/ and test/. Prints one JSON line: seconds from the start of the
process to the test accuracy, the accuracies, peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path

BUILDERS = {
    "mobilenetv2": ("MobileNetV2", "mobilenet_v2", "block_12_add"),
    "resnet50": ("ResNet50", "resnet", "conv4_block6_out"),
    "vgg16": ("VGG16", "vgg16", "block4_pool"),
    "inceptionv3": ("InceptionV3", "inception_v3", "mixed7"),
    "efficientnetb0": ("EfficientNetB0", "efficientnet", "block5c_add"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--backbone", choices=sorted(BUILDERS), default="mobilenetv2")
    parser.add_argument("--weights", choices=("imagenet", "random"), default="imagenet")
    parser.add_argument("--input-size", type=int, default=224)
    parser.add_argument("--head-epochs", type=int, default=10)
    parser.add_argument("--fine-tune-epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--flip", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    begun = time.perf_counter()
    print(json.dumps(train(arguments) | memory() | {"seconds": process_seconds(begun)}))


def train(arguments: argparse.Namespace) -> dict[str, float]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(arguments.seed)
    size = (arguments.input_size, arguments.input_size)

    def load(split: str, shuffle: bool) -> tf.data.Dataset:
        return keras.utils.image_dataset_from_directory(
            Path(arguments.folder) / split,
            image_size=size,
            batch_size=arguments.batch_size,
            label_mode="binary",
            shuffle=shuffle,
            seed=arguments.seed,
            verbose=False,
        )

    ahead = tf.data.AUTOTUNE
    train_set = load("train", False).unbatch().cache()
    train_set = train_set.shuffle(10_000, seed=arguments.seed).batch(arguments.batch_size)
    train_set = train_set.prefetch(ahead)
    validation_set = load("validation", False).cache().prefetch(ahead)
    test_set = load("test", False).prefetch(ahead)

    builder, module, last_frozen = BUILDERS[arguments.backbone]
    weights = None if arguments.weights == "random" else "imagenet"
    base = getattr(keras.applications, builder)(
        input_shape=(*size, 3), include_top=False, weights=weights
    )
    base.trainable = False
    inputs = keras.Input((*size, 3))
    x = keras.layers.RandomFlip("horizontal")(inputs) if arguments.flip else inputs
    x = getattr(keras.applications, module).preprocess_input(x)
    x = base(x, training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))

    def fit(learning_rate: float, epochs: int) -> None:
        model.compile(
            optimizer=keras.optimizers.Adam(learning_rate),
            loss="binary_crossentropy",
            metrics=["accuracy"],
            jit_compile=False,
        )
        model.fit(train_set, validation_data=validation_set, epochs=epochs, verbose=0)

    fit(1e-3, arguments.head_epochs)
    if arguments.fine_tune_epochs:
        base.trainable = True
        names = [layer.name for layer in base.layers]
        for layer in base.layers[: names.index(last_frozen) + 1]:
            layer.trainable = False
        for layer in base.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
        fit(1e-5, arguments.fine_tune_epochs)
    _, validation_accuracy = model.evaluate(validation_set, verbose=0)
    loss, accuracy = model.evaluate(test_set, verbose=0)
    return {"accuracy": accuracy, "loss": loss, "val_accuracy": validation_accuracy}


def memory() -> dict[str, float]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"peak_memory_mb": peak / (1024 if sys.platform == "linux" else 1024**2)}


def process_seconds(begun: float) -> float:
    """Return the seconds since the process started, with the start of the interpreter."""
    try:
        import psutil

        return time.time() - psutil.Process().create_time()
    except ImportError:
        return time.perf_counter() - begun


if __name__ == "__main__":
    main()
