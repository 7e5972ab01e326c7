"""Measure one backbone in plain PyTorch: channels-last, `torch.compile`, mixed bfloat16.

check.py runs it. It does the same work as the harness: uint8 pixels from the host, shuffled batches
that are sent while the one before trains, cross-entropy, Adam, BatchNorm frozen, every other layer
trained. Prints one JSON line. Imports nothing of the harness.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch_models import MissingError, build, gmacs

WARM_UP = 3
QUERIES = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("backbone")
    parser.add_argument("data", type=Path, help="a folder of images per class, in train/")
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--forward-batch", type=int, required=True)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--precision", choices=("float32", "mixed_bfloat16"), required=True)
    arguments = parser.parse_args()
    try:
        classes = sum(path.is_dir() for path in (arguments.data / "train").iterdir())
        model, library = build(arguments.backbone, classes, arguments.size)
    except MissingError as error:
        print(json.dumps({"skipped": str(error)}))
        return 0
    figures = {"gflops": 2 * gmacs(model, arguments.size)}
    pixels, labels = _images(arguments.data / "train", arguments.size)
    side = _Side(model, arguments.precision)
    figures |= side.forward(np.resize(pixels, (arguments.forward_batch, *pixels.shape[1:])))
    figures |= side.fine_tune(pixels, labels, arguments.batch, arguments.epochs)
    if side.device == "cuda":
        figures["training_gpu_memory_mb"] = torch.cuda.max_memory_allocated() / 1e6
    name = torch.cuda.get_device_name(0) if side.device == "cuda" else ""
    facts = {
        "framework": f"torch {torch.__version__}",
        "library": library,
        "kind": "gpu" if side.device == "cuda" else "cpu",
        "name": name,
    }
    print(json.dumps({"figures": figures, "facts": facts}))
    return 0


class _Side:
    def __init__(self, model: Any, precision: str) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.backends.cudnn.benchmark = True
        self.model = model.to(self.device, memory_format=torch.channels_last).eval()
        for module in self.model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(False)
        self._mixed = precision == "mixed_bfloat16"
        # Each image as ImageNet's weights expect it, which costs what any other shift would.
        self._mean = torch.tensor([123.7, 116.3, 103.5], device=self.device).view(1, 3, 1, 1)
        self._spread = torch.tensor([58.4, 57.1, 57.4], device=self.device).view(1, 3, 1, 1)

    def forward(self, images: NDArray[np.uint8]) -> dict[str, float]:
        """Compute probabilities from uint8 images, both on the host, as the harness times it."""

        def answer(pixels: Any) -> Any:
            return self._logits(pixels).float().softmax(dim=1)

        compiled = torch.compile(answer)

        def query() -> float:
            begun = time.perf_counter()
            with torch.inference_mode():
                compiled(self._send(images)).cpu()
            return time.perf_counter() - begun

        compiling = query()
        for _ in range(WARM_UP):
            query()
        taken = [query() for _ in range(QUERIES)]
        rate = len(images) * QUERIES / sum(taken)
        return {
            "throughput_images_per_second": rate,
            "throughput_batch": len(images),
            "forward_first_seconds": compiling,
        }

    def fine_tune(
        self, pixels: NDArray[np.uint8], labels: NDArray[np.int64], batch: int, epochs: int
    ) -> dict[str, float]:
        trained = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(trained, lr=1e-5, fused=self.device == "cuda")

        def loss_of(pixels: Any, labels: Any) -> Any:
            return nn.functional.cross_entropy(self._logits(pixels).float(), labels)

        compiled = torch.compile(loss_of)

        def step(ready: Any) -> Any:
            optimizer.zero_grad(set_to_none=True)
            loss = compiled(*ready)
            loss.backward()
            optimizer.step()
            return loss.detach()

        begun = time.perf_counter()
        first = self._send(pixels[:batch]), self._send(labels[:batch])
        for _ in range(WARM_UP):
            step(first)
        self._wait()
        compiling = time.perf_counter() - begun
        taken = []
        for number in range(epochs):
            begun = time.perf_counter()
            losses = [step(ready) for ready in self._batches(pixels, labels, batch, number)]
            total = float(torch.stack(losses).mean())  # waits for the device
            taken.append(time.perf_counter() - begun)
            if not np.isfinite(total):
                raise ArithmeticError(f"the loss became {total}")
        images = len(pixels) // batch * batch
        return {
            "fine_tune_images_per_second": images / statistics.median(taken[1:]),
            "fine_tune_first_seconds": compiling,
        }

    def _logits(self, pixels: Any) -> Any:
        images = (pixels.permute(0, 3, 1, 2).float() - self._mean) / self._spread
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self._mixed):
            return self.model(images)

    def _send(self, array: NDArray[Any]) -> Any:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        if self.device == "cpu":
            return tensor
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def _wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def _batches(
        self, pixels: NDArray[np.uint8], labels: NDArray[np.int64], batch: int, seed: int
    ) -> Iterator[Any]:
        """Yield whole batches in random order, and gather and send the next one meanwhile."""
        order = np.random.default_rng(seed).permutation(len(pixels))

        def ready(start: int) -> Any:
            chosen = order[start : start + batch]
            return self._send(pixels[chosen]), self._send(labels[chosen])

        starts = range(0, len(pixels) // batch * batch, batch)
        with ThreadPoolExecutor(1) as sender:
            pending = sender.submit(ready, starts[0])
            for start in [*starts[1:], None]:
                now = pending.result()
                if start is not None:
                    pending = sender.submit(ready, start)
                yield now


def _images(folder: Path, size: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return all images of a folder with one folder per class, resized, and their labels."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    paths = [(path, label) for label, each in enumerate(classes) for path in sorted(each.iterdir())]
    with ThreadPoolExecutor() as pool:
        pixels = list(pool.map(partial(_decoded, size), [path for path, _ in paths]))
    return np.stack(pixels), np.array([label for _, label in paths], dtype=np.int64)


def _decoded(size: int, path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))


if __name__ == "__main__":
    sys.exit(main())
