"""`kerashub:PRESET`: found by name, with what the preset's own files say."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from set_aside import set_aside
from user import User, in_process

from bench.errors import BenchError, Exit, UnknownNameError, UsageError, WeightsError
from bench.execution.executors.inline import Inline
from bench.execution.executors.local_process import LocalProcess
from bench.execution.plan import choose_backbones
from bench.models import weights
from bench.models.code_digest import code_digest
from bench.registry import BACKBONES, load_plugins, resolve
from bench.training.events import Listener
from bench.training.job import Job
from bench.types import Backbone, Settings

load_plugins(packages=["backbones"])

# Stands in for KerasHub: one network of its kind, and a catalogue of one preset.
PACKAGE = """
import keras
from keras import layers

@keras.saving.register_keras_serializable(package="keras_hub")
class TinyBackbone(keras.Model):
    def __init__(self, filters, image_shape=(None, None, 3), **options):
        image = keras.Input(image_shape)
        x = layers.Conv2D(filters, 3, strides=2, padding="same")(image)
        x = layers.Conv2D(filters, 3, strides=2, padding="same")(layers.ReLU()(x))
        super().__init__(image, x, **options)
"""
PRESETS = 'backbone_presets = {"tiny_imagenet": {"kaggle_handle": "kaggle://keras/tiny/keras/t/3"}}'
CONFIG = {
    "class_name": "TinyBackbone",
    "registered_name": "keras_hub>TinyBackbone",
    "config": {"filters": 4, "image_shape": [None, None, 3], "dtype": "float16", "name": "tiny"},
}
CONVERTER = {"image_size": [48, 48], "scale": 1 / 255, "offset": [-0.5, -0.4, -0.3]}


@pytest.fixture(autouse=True)
def _hub(stand_in: Path) -> None:
    models = stand_in / "src/models/tiny"
    models.mkdir(parents=True)
    (stand_in / "__init__.py").write_text(PACKAGE)
    (models / "tiny_presets.py").write_text(PRESETS)
    (models / "tiny_image_converter.py").write_text("")


def preset(folder: str = "mine", **converter: object) -> str:
    Path(folder).mkdir()
    Path(folder, "config.json").write_text(json.dumps(CONFIG))
    settings = converter or CONVERTER
    Path(folder, "image_converter.json").write_text(json.dumps({"config": settings}))
    return f"kerashub:./{folder}"


def located(backbone: Backbone, *, fetching: bool = True) -> weights.LocatedWeights | None:
    return weights.locate(
        backbone,
        "imagenet",
        48,
        fetching=fetching,
    )


def test_a_stand_in_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    real, registered = ModuleType("kept.part"), {"kept>Net": "real", "other>Net": "real"}
    monkeypatch.setitem(sys.modules, "kept.part", real)
    saving = SimpleNamespace(get_custom_objects=lambda: registered)
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(saving=saving))
    with set_aside("kept"):
        assert "kept.part" not in sys.modules
        assert registered == {"other>Net": "real"}
        sys.modules["kept.new"] = ModuleType("kept.new")
        registered.update({"kept>Net": "new", "kept>More": "new"})
    assert sys.modules["kept.part"] is real
    assert "kept.new" not in sys.modules
    assert registered == {"kept>Net": "real", "other>Net": "real"}


@pytest.mark.parametrize("package", ["keras_hub", "keras_nlp"])
def test_a_folder_is_a_backbone(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONFIG, "registered_name", f"{package}>TinyBackbone")
    name = preset()
    Path("mine/model.weights.h5").write_bytes(b"weights")
    (backbone,) = choose_backbones(f"{name},{name}")
    assert (backbone.name, backbone.input_size, backbone.stages) == (name, 48, ())
    assert name in BACKBONES
    assert name not in BACKBONES.names  # so `zoo` and `all` mean what they did
    found = located(backbone)
    assert found is not None
    assert (found.source, found.location) == ("preset", "mine/model.weights.h5")
    assert Path(found.path) == Path("mine/model.weights.h5").resolve()


def test_the_digest_is_of_the_settings_and_not_of_the_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = code_digest(BACKBONES[preset()])
    shutil.move("mine", "moved")
    assert code_digest(BACKBONES["kerashub:./moved"]) == first
    text = json.dumps(CONFIG).replace('"filters": 4', '"filters": 8')
    Path("moved/config.json").write_text(text)
    monkeypatch.setattr(BACKBONES, "_described", {})
    assert code_digest(BACKBONES["kerashub:./moved"]) != first


def test_converters_of_early_presets_have_mean_and_variance() -> None:
    old = {"mean": [0.5, 0.4, 0.3], "variance": [0.25, 0.04, 0.01], "scale": 0.1}
    backbone = BACKBONES[preset("mine", **old, height=32, width=32)]
    assert backbone.input_size == 32
    assert backbone.preprocess.keywords == {  # type: ignore[union-attr]
        "scale": [0.1 / 0.5, 0.1 / 0.2, 0.1 / 0.1],
        "offset": [-0.5 / 0.5, -0.4 / 0.2, -0.3 / 0.1],
    }


def test_a_preset_of_the_catalogue_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def model_download(place: str, file: str) -> str:
        asked.append((place, file))
        if file == "model.weights.h5":
            Path("mine", file).write_bytes(b"weights")
        return str(Path("mine", file).resolve())

    preset()
    hub = SimpleNamespace(model_download=model_download)
    monkeypatch.setitem(sys.modules, "kagglehub", hub)
    backbone = BACKBONES["kerashub:tiny_imagenet"]
    assert (
        weights.describe_availability(backbone, "auto", 48)
        == "to download: tiny_imagenet/model.weights.h5"
    )
    with pytest.raises(WeightsError, match="is not on this machine"):
        located(backbone, fetching=False)
    found = located(backbone)
    assert found is not None
    assert Path(found.path).read_bytes() == b"weights"
    assert asked[-1] == ("keras/tiny/keras/t/3", "model.weights.h5")


def test_without_a_network_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def model_download(place: str, file: str) -> str:
        raise ConnectionError("api.kaggle.com cannot be resolved")

    hub = SimpleNamespace(model_download=model_download)
    monkeypatch.setitem(sys.modules, "kagglehub", hub)
    with pytest.raises(WeightsError) as raised:
        choose_backbones("kerashub:tiny_imagenet")
    assert str(raised.value) == (
        "config.json of kerashub:tiny_imagenet cannot be read: api.kaggle.com cannot be resolved.\n"
        "Save the preset where there is a network, and name its folder: kerashub:./FOLDER."
    )


def test_what_is_no_preset_for_images(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match=r"'tiny_imagnet'\. Did you mean 'tiny_imagenet'"):
        BACKBONES["kerashub:tiny_imagnet"]
    with pytest.raises(UsageError, match=r"kerashub:\./nothing: there is no such folder\."):
        BACKBONES["kerashub:./nothing"]
    name = preset()
    Path("mine/config.json").write_text(json.dumps(CONFIG | {"config": {"vocabulary": 9}}))
    with pytest.raises(
        BenchError, match="is TinyBackbone, which is no KerasHub network that takes"
    ):
        BACKBONES[name]
    with pytest.raises(BenchError, match="32x48 px, which are not square"):
        BACKBONES[preset("wide", image_size=[32, 48])]
    monkeypatch.setattr("bench.registry.find_spec", lambda module: None)
    with pytest.raises(UsageError, match=r"kerashub needs keras_hub; install it with `pip install"):
        BACKBONES["kerashub:tiny_imagenet"]


@pytest.mark.slow
def test_it_is_trained_from_its_weights_and_predicts_by_its_name(tmp_path: Path) -> None:
    name = preset()
    backbone = BACKBONES[name]
    model = resolve(backbone.build)(input_shape=(16, 16, 3))
    model.save_weights("mine/model.weights.h5")
    assert model.compute_dtype == "float32"  # a run's precision, not the preset's

    user = User(tmp_path)
    words = user.words("--input-size", "32", backbones=name)
    done = in_process(tmp_path, *words, executor=Inline())
    assert done.returncode == Exit.DONE, done.stdout + done.stderr
    run = user.load()
    used = run.records[0].weights
    assert used is not None
    assert (used.source, used.sha256) == ("preset", weights.digest(model))
    assert f"**{name} is the only pretrained" in (run.folder / "report.md").read_text()

    images = str(tmp_path / "data" / "test")
    told = in_process(tmp_path, "predict", "r", name, images)
    assert told.returncode == Exit.DONE, told.stderr
    assert f"model     {name}, seed 0" in told.stderr


class Elsewhere(LocalProcess):
    """Another machine, which has none of the preset's files."""

    def run(self, job: Job, listener: Listener) -> None:
        shutil.rmtree("mine", ignore_errors=True)
        super().run(job, listener)


@pytest.mark.slow
def test_a_worker_reads_none_of_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "packages"))
    user, name = User(tmp_path), preset()
    words = user.words("--weights", "random", "--input-size", "32", backbones=name)
    done = in_process(tmp_path, *words, executor=Elsewhere(Settings()))
    assert done.returncode == Exit.DONE, done.stdout + done.stderr
    (record,) = user.load().records
    assert (record.reason, [one.status for one in record.runtimes]) == ("", ["ok"])
