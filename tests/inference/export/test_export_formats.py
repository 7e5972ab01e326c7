"""Every format, written, and loaded as its users do, compared with the run's record."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from trained_run import with_other

from bench.cli.main import main
from bench.errors import BenchError, UsageError
from bench.inference.export import EXPORT_FORMATS, MEMBER, About, Format
from bench.inference.exporting import ExpectedPredictions, ExportedModel, export
from bench.inference.runtimes import Call
from bench.models.rebuild import TrainedModel, find_members, find_record, rebuild
from bench.registry import BACKBONES, load_plugins
from bench.storage.cache import Store
from bench.storage.records import StoredRun, read_run

pytestmark = pytest.mark.slow  # it loads a framework

Array = NDArray[Any]
CLASSES = ["=cat", "dog & co", "fox"]


@pytest.fixture(scope="module")
def run(trained_run: Path) -> StoredRun:
    return read_run(trained_run)


@pytest.fixture(scope="module")
def model(run: StoredRun) -> Iterator[TrainedModel]:
    from tiny import TINY

    BACKBONES.add(TINY)
    yield rebuild(run, find_record(run, "tiny"))
    BACKBONES.remove(TINY.name)


@pytest.fixture(scope="module")
def images(run: StoredRun) -> Array:
    data = run.folder.parent.parent / "data"
    return np.stack([np.asarray(Image.open(data / id)) for id in run.dataset.splits["test"].ids])


def exported(run: StoredRun, model: TrainedModel, name: str, folder: Path) -> ExportedModel:
    return export(run, [model], name, folder, Store(run.folder.parent.parent / "cache"))


def recorded(run: StoredRun, model: TrainedModel) -> Array:
    (evidence,) = (e for e in run.evidence if e.record == model.record)
    return evidence.arrays["test_probabilities"]


def by_keras(path: Path, images: Array) -> Array:
    model = keras.saving.load_model(path, compile=False)
    return np.asarray(keras.ops.convert_to_numpy(model(images)))


def by_tensorflow(path: Path, images: Array) -> Array:
    tf = pytest.importorskip("tensorflow")
    restored = tf.saved_model.load(str(path))  # to be kept: its variables go with it
    return np.asarray(restored.serve(tf.constant(images)))


def by_litert(path: Path, images: Array) -> Array:
    module = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = module.Interpreter(model_path=str(path))
    interpreter.resize_tensor_input(0, images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


def by_onnx(path: Path, images: Array) -> Array:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    session = onnxruntime.InferenceSession(str(path))
    return np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0])


def in_zip(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return archive.read(MEMBER).decode()


def in_h5(path: Path) -> str:
    import h5py

    with h5py.File(path) as file:
        return str(file.attrs[MEMBER])


def in_onnx(path: Path) -> str:
    onnx = pytest.importorskip("onnx")
    return str({p.key: p.value for p in onnx.load(str(path)).metadata_props}[MEMBER])


def in_assets(path: Path) -> str:
    return (path / "assets.extra" / MEMBER).read_text()


FORMATS = [
    ("keras", "tiny.keras", by_keras, in_zip),
    ("h5", "tiny.h5", by_keras, in_h5),
    ("saved_model", "tiny.saved_model", by_tensorflow, in_assets),
    ("litert", "tiny.tflite", by_litert, in_zip),
    ("onnx", "tiny.onnx", by_onnx, in_onnx),
]
NEEDS = {"litert": "ai_edge_litert", "onnx": "tf2onnx", "saved_model": "tensorflow"}


@pytest.mark.parametrize(("name", "file", "ask", "about"), FORMATS, ids=[f[0] for f in FORMATS])
def test_an_exported_file_returns_the_recorded_probabilities(
    run: StoredRun,
    model: TrainedModel,
    images: Array,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    name: str,
    file: str,
    ask: Callable[[Path, Array], Array],
    about: Callable[[Path], str],
) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    capfd.readouterr()
    done = exported(run, model, name, tmp_path / "out")
    assert capfd.readouterr() == ("", "")  # converters have much to say
    assert done.path == tmp_path / "out" / file
    assert "the predicted class is the recorded one for 24 of 24" in done.checked
    np.testing.assert_allclose(ask(done.path, images), recorded(run, model), atol=1e-5)
    facts = json.loads(about(done.path))
    assert facts["classes"] == CLASSES
    assert facts["input_size"] == 32
    # Nothing half made is left, and nothing that is there is replaced.
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [file, f"{file}.md"]
    with pytest.raises(UsageError, match="exists already"):
        exported(run, model, name, tmp_path / "out")


@pytest.mark.parametrize("name", [f[0] for f in FORMATS])
def test_the_program_in_the_card_classifies_a_photograph(
    run: StoredRun,
    model: TrainedModel,
    images: Array,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    done = exported(run, model, name, tmp_path)
    _, _, rest = done.card.read_text().partition("```python\n")
    program, end, _ = rest.partition("\n```\n")
    assert end
    Image.fromarray(images[5]).save(tmp_path / "photo.jpg", "PNG")
    monkeypatch.chdir(tmp_path)
    found: dict[str, Array] = {}
    exec(program, found)
    np.testing.assert_allclose(found["probabilities"][0], recorded(run, model)[5], atol=1e-5)
    assert capsys.readouterr().out.split()[-2] == str(recorded(run, model)[5].argmax())


OWN_LAYER = """
import keras


@keras.saving.register_keras_serializable("own")
class Halved(keras.layers.Layer):
    def call(self, inputs):
        return inputs / 2
"""


@pytest.mark.parametrize("name", ["keras", "h5"])
@pytest.mark.parametrize("plugin", [True, False])
def test_the_program_in_the_card_imports_layers_of_plugins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, plugin: bool
) -> None:
    file = tmp_path / f"own_layer_of_{name}.py"
    file.write_text(OWN_LAYER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    modules = set(sys.modules)
    if plugin:
        load_plugins([file])
    else:
        import_module(file.stem)
    (module,) = (m for m in set(sys.modules) - modules if "Halved" in vars(sys.modules[m]))
    image = keras.Input((4, 4, 3), dtype="uint8", name="image")
    halved = sys.modules[module].Halved()(keras.layers.Rescaling(1 / 255)(image))
    answers = keras.layers.GlobalAveragePooling2D()(keras.Model(image, halved)(image))
    whole = keras.Model(image, answers)
    about = About(("a", "b", "c"), 4, "own", "r", "key", None, "0")
    chosen = EXPORT_FORMATS[name]
    made, program = chosen.write(whole, tmp_path, about), chosen.program(whole)
    # As in a process that has only the file and the program.
    monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(keras.saving.get_custom_objects(), "own>Halved")
    found = {"images": np.full((1, 4, 4, 3), 51, "uint8")}
    exec(program.replace("FILE", repr(str(made))), found)
    np.testing.assert_allclose(found["probabilities"], 0.1, rtol=1e-6)


def test_onnx_names_its_input_its_output_and_the_batch(
    run: StoredRun, model: TrainedModel, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("tf2onnx")
    done = exported(run, model, "onnx", tmp_path)
    onnx.checker.check_model(str(done.path), full_check=True)
    graph = onnx.load(str(done.path)).graph
    shapes = {
        value.name: [one.dim_param or one.dim_value for one in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert shapes == {"image": ["batch", 32, 32, 3], "probabilities": ["batch", 3]}


def test_labels_lie_in_a_litert_file_as_its_users_expect(
    run: StoredRun, model: TrainedModel, tmp_path: Path
) -> None:
    pytest.importorskip("ai_edge_litert")
    done = exported(run, model, "litert", tmp_path)
    with zipfile.ZipFile(done.path) as archive:
        assert archive.read("labels.txt").decode().splitlines() == CLASSES


def test_without_the_test_images_the_check_uses_generated_ones(
    run: StoredRun, model: TrainedModel, tmp_path: Path
) -> None:
    done = export(run, [model], "keras", tmp_path / "out", Store(tmp_path / "empty"))
    assert done.checked.startswith("loaded again; on 32 generated images probabilities")
    assert "recorded" not in done.checked


def test_a_file_with_other_predictions_is_refused(run: StoredRun, model: TrainedModel) -> None:
    (evidence,) = (e for e in run.evidence if e.record == model.record)
    classifier = model.class_probabilities()
    store = Store(run.folder.parent.parent / "cache")
    reference = ExpectedPredictions(classifier, run, evidence, store)

    def turned(images: Array) -> Array:
        return np.asarray(keras.ops.convert_to_numpy(classifier(images)))[:, ::-1]

    with pytest.raises(BenchError, match=r"probabilities differ by up to .*nothing was written"):
        reference.check(turned)
    with pytest.raises(
        BenchError, match=r"returns probabilities of shape \(24, 2\), expected \(24, 3\)"
    ):
        reference.check(lambda images: turned(images)[:, :2])


def test_an_error_of_a_converter_is_shortened(
    run: StoredRun, model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Format):
        name, help, suffix = "broken", "", ".broken"

        def write(self, model: object, folder: Path, about: object) -> Path:
            (folder / "half").write_text("made")
            raise TypeError("no such operation\n" * 100)

        def load(self, path: Path) -> Call:
            raise AssertionError

    monkeypatch.setattr("bench.inference.exporting.EXPORT_FORMATS", {"broken": Broken()})
    with pytest.raises(BenchError, match="tiny cannot be exported as broken: TypeError") as error:
        exported(run, model, "broken", tmp_path)
    assert len(str(error.value)) < 400
    assert list(tmp_path.iterdir()) == []


def test_the_card_has_figures_and_limits(
    run: StoredRun, model: TrainedModel, tmp_path: Path
) -> None:
    done = exported(run, model, "keras", tmp_path)
    text = done.card.read_text()
    for words in (
        "# tiny.keras",
        "uint8 RGB images, N × 32 × 32 × 3",
        "0. =cat\n1. dog &amp; co\n2. fox",
        "60 train, 51 validation, 24 test images of 3 classes",
        "The model was trained from random weights: its predictions mean nothing.",
        done.checked,
    ):
        assert words in text, words
    assert "| test accuracy |" not in text


def test_two_classes_from_one_sigmoid_have_an_output_each(tmp_path: Path) -> None:
    import keras
    from tiny import SIZE, TINY

    from bench.models.network import Network, build_head
    from bench.protocol import Head

    network = Network(TINY, SIZE)
    head = build_head(Head(), network.features_shape, 2)
    whole = TrainedModel(None, ("a", "b"), network, head)  # type: ignore[arg-type]
    images = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3)).astype("uint8")
    one = np.asarray(keras.ops.convert_to_numpy(whole.classifier()(images)))
    both = np.asarray(keras.ops.convert_to_numpy(whole.class_probabilities()(images)))
    np.testing.assert_allclose(both, np.hstack([1 - one, one]), atol=1e-7)


@pytest.mark.usefixtures("model")
def test_the_command(trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shutil.copytree(trained_run, tmp_path / "results" / "r")
    words = ["export", "r", "tiny", "--results", str(tmp_path / "results")]
    assert main([*words, "--cache", str(trained_run.parent.parent / "cache")]) == 0
    said = capsys.readouterr().out
    assert "24 of 24" in said
    assert "The model was trained from random weights: its predictions mean nothing." in said
    assert (folder / "exported" / "tiny.keras").is_file()


@pytest.mark.parametrize(
    ("name", "ask"), [("h5", by_keras), ("keras", by_keras), ("onnx", by_onnx)]
)
def test_an_ensemble_is_one_file(
    trained_run: Path,
    model: TrainedModel,
    other_backbone: None,
    images: Array,
    tmp_path: Path,
    name: str,
    ask: Callable[[Path, Array], Array],
) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    run = with_other(shutil.copytree(trained_run, tmp_path / "r"))
    models = [model, rebuild(run, find_members(run, "tiny+other")[1])]
    # Without the test images: what is recorded of `other` is not of the weights that it has now.
    done = export(run, models, name, tmp_path / "out", Store(tmp_path / "empty"))
    assert done.path.name.startswith("tiny-other.")
    each = [np.asarray(keras.ops.convert_to_numpy(m.class_probabilities()(images))) for m in models]
    np.testing.assert_allclose(ask(done.path, images), np.mean(each, axis=0), atol=1e-5)
    card = done.card.read_text()
    assert "the mean of the probabilities of: tiny from random weights, trial" in card
    assert "- other, head: 4 epochs" in card


def test_members_of_different_sizes_are_refused(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_other(shutil.copytree(trained_run, tmp_path / "r"), 48)
    assert main(["export", "r", "tiny+other", "--results", str(tmp_path)]) == 2
    assert "the members take images of 32 and 48 px" in capsys.readouterr().err
