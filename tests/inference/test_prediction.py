"""New images in, classes and confidences out: right, in order, and whatever is among them."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trained_run import with_other

from bench import load_run
from bench.analysis.metrics.calibration import apply_temperature, fit_temperature, temperature
from bench.cli.commands import predict_command
from bench.cli.main import main
from bench.errors import NotRankedError, UsageError
from bench.inference.prediction import BATCH, decode_ahead, find_images, model_of, predict_batches
from bench.inference.prediction import predict as predict_all
from bench.models.rebuild import find_members
from bench.storage.arrays import sort_best_first
from bench.storage.records import read_run

EACH = r"[0-9.]+ ms each"

pytestmark = pytest.mark.slow  # it loads a framework


@pytest.fixture
def results(trained_run: Path, tmp_path: Path, tiny_backbone: None) -> Path:
    shutil.copytree(trained_run, tmp_path / "results" / "r")
    return tmp_path / "results"


@pytest.fixture
def data(trained_run: Path) -> Path:
    return trained_run.parent.parent / "data"


def predict(results: Path, *words: str) -> int:
    return main(["predict", "r", *words, "--results", str(results)])


def test_predictions_are_the_recorded_ones_with_calibrated_confidence(
    results: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = read_run(results / "r")
    ids = run.dataset.splits["test"].ids
    words = [str(data / name) for name in ids]
    assert predict(results, "tiny", *words, "--json") == 0
    told, *images = map(json.loads, capsys.readouterr().out.splitlines())
    record = sort_best_first(run.records)[0]
    (evidence,) = (e for e in run.evidence if e.record == record)
    fitted = temperature(evidence).value
    assert told["trial"] == record.trial.key
    assert told["temperature"] == fitted
    recorded = evidence.arrays["test_probabilities"]
    expected = recorded if fitted is None else apply_temperature(recorded, fitted)
    found = np.array([image["probabilities"] for image in images])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert [image["image"] for image in images] == words
    assert [image["confidence"] for image in images] == found.max(axis=1).tolist()


def test_unreadable_files_are_reported_and_the_others_classified(
    results: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    shutil.copy(data / "test" / "fox" / "002.png", mixed / "=fox().png")
    (mixed / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    (mixed / "empty.png").write_bytes(b"")
    (mixed / "notes.txt").write_text("no image, so not asked about")
    (mixed / "gone.png").symlink_to("nothing")
    code = predict(results, "tiny", str(mixed), "--format", "csv")
    told = capsys.readouterr()
    assert code == 3
    rows = list(csv.DictReader(io.StringIO(told.out)))
    assert [Path(row["image"]).name for row in rows] == [
        "=fox().png",
        "broken.jpg",
        "empty.png",
        "gone.png",
    ]
    assert rows[0]["class"] in ("'=cat", "dog & co", "fox")
    assert [bool(row["error"]) for row in rows] == [False, True, True, True]
    assert rows[2]["error"] == "the file is empty"
    assert rows[3]["error"] == "cannot be read: No such file or directory"
    assert "3 of 4 images could not be read." in told.err


@pytest.mark.parametrize("form", [["--format", "table"], ["--format", "csv"], ["--json"]])
def test_a_name_of_any_bytes_can_be_written(
    results: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], form: list[str]
) -> None:
    name = os.fsdecode(b"\xff\n.png")
    (tmp_path / name).touch()
    assert predict(results, "tiny", str(tmp_path / name), *form) == 3
    assert rb"\xff" in capfdbinary.readouterr().out


def test_a_low_confidence_is_reported(
    results: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = str(data / "test" / "fox" / "002.png")
    assert predict(results, "tiny", image, "--min-confidence", "1") == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[1].endswith("low")
    assert "1 of 1 predictions have a confidence below 100.00%: check them." in told.err
    assert "The model was trained from random weights: its predictions mean nothing." in told.err


def test_without_a_backbone_random_weights_are_not_taken(
    results: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(results, str(data / "test")) == 3
    assert "run r ranks no backbone; name one to predict with (tiny)" in capsys.readouterr().err


def test_usage_errors(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(results, "tiny") == 2
    assert "name at least one image" in capsys.readouterr().err
    with pytest.raises(UsageError, match="holds no image"):
        find_images([tmp_path / "results" / "r" / "arrays"])
    shutil.rmtree(results / "r" / "weights")
    assert predict(results, "tiny", "x.png", "y.png") == 2
    assert "there is no image or folder 'x.png' and 1 more." in capsys.readouterr().err
    (tmp_path / "x.png").touch()
    assert predict(results, "tiny", str(tmp_path / "x.png")) == 1
    assert "did not keep the trained weights" in capsys.readouterr().err


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """A pipe that nobody writes to would be waited for without end."""
    os.mkfifo(tmp_path / "pipe.png")
    with decode_ahead([tmp_path / "pipe.png", Path("/dev/zero")], 2) as images:
        reasons = [reason for _, reason in images]
    assert reasons == ["cannot be read: not a regular file"] * 2


@pytest.mark.parametrize("wrong", ["tinny", "Tiny"])
def test_a_misspelled_backbone_is_an_error(
    results: Path, data: Path, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    assert predict(results, wrong, str(data / "test")) == 2
    assert capsys.readouterr().err == (
        f"error: unknown image, folder or backbone of run r '{wrong}'. "
        "Did you mean 'tiny'? Known: tiny.\n"
    )


def test_a_name_means_the_backbone_and_not_the_folder(
    results: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    run = read_run(results / "r")

    (record,), paths = predict_command._members_and_paths(run, ["tiny", str(data / "test")])

    assert (record.trial.backbone, paths) == ("tiny", [data / "test"])
    with pytest.raises(UsageError, match=r"\(./tiny names the one that is here\)"):
        predict_command._members_and_paths(run, ["tiny"])
    # A path means images, and who answers is the run's choice: here it ranks none.
    with pytest.raises(NotRankedError, match="ranks no backbone"):
        predict_command._members_and_paths(run, ["./tiny"])


@pytest.mark.parametrize("count", [1, BATCH - 1, BATCH, BATCH + 1])
def test_every_image_is_predicted_once_in_order_in_batches_of_one_shape(
    count: int, tmp_path: Path
) -> None:
    from PIL import Image

    paths = []
    for number in range(count):
        path = tmp_path / f"{number}.png"
        if number % 5 != 3:  # every fifth is missing
            Image.new("RGB", (4, 4), (number, 0, 0)).save(path)
        paths.append(path)
    shapes = []

    class Brightness:
        """Logits whose first column is the red of the image."""

        any_size = False

        def compile(self, batch: np.ndarray) -> None: ...

        def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
            shapes.append(batch.shape)
            red = batch[:, 0, 0, 0].astype("float32") / 100
            return [np.stack([red, np.zeros_like(red)], axis=1)]

    with decode_ahead(paths, 2) as images:
        found = list(predict_batches(images, len(paths), [(2, Brightness())], 2.0))
    assert [Path(answer.image) for answer in found] == paths
    for number, answer in enumerate(found):
        if number % 5 == 3:
            assert answer.reason == "cannot be read: No such file or directory"
        else:
            expected = 1 / (1 + np.exp(-number / 200))
            assert answer.probabilities[0] == pytest.approx(expected, abs=1e-6)
    assert set(shapes) == {(min(BATCH, count), 2, 2, 3)}


def test_an_ensemble_predicts_the_mean_of_its_members(
    results: Path, data: Path, other_backbone: None, capsys: pytest.CaptureFixture[str]
) -> None:
    run = with_other(results / "r", 48)
    paths = find_images([data / "test"])
    both = model_of(run, *find_members(run, "tiny + other"))
    alone = [replace(both, members=(one,), temperature=None) for one in both.members]
    each = [[a.probabilities for a in predict_all(model, paths)] for model in alone]
    assert np.abs(np.subtract(each[0], each[1])).max() > 0.01
    together = predict_all(replace(both, temperature=None), paths)
    expected = np.mean(each, axis=0)
    np.testing.assert_array_equal([a.probabilities for a in together], expected)
    # Its temperature is fitted to the mean of what was recorded of the members.
    recorded = [e.arrays["validation_probabilities"] for e in run.evidence]
    labels = run.evidence[0].arrays["validation_labels"]
    assert both.temperature == fit_temperature(labels, np.mean(recorded, axis=0)).value
    assert predict(results, "tiny+other", str(data / "test"), "--json") == 0
    told, *images = map(json.loads, capsys.readouterr().out.splitlines())
    assert told["backbone"] == "tiny+other"
    assert told["trial"] == "+".join(record.trial.key for record in both.members)
    found = [image["probabilities"] for image in images]
    calibrated = (
        expected if both.temperature is None else apply_temperature(expected, both.temperature)
    )
    np.testing.assert_array_equal(found, calibrated)
    frame = load_run(results / "r").predict(data / "test", backbone="tiny+other")
    assert frame["probabilities"].tolist() == [tuple(one) for one in found]
    with pytest.raises(UsageError, match=r"single model; tiny\+other is an ensemble of 2"):
        load_run(results / "r").predict(
            data / "test", backbone="tiny+other", explain=results / "new"
        )


def test_an_ensemble_is_named_by_backbones_of_the_run(
    results: Path, data: Path, other_backbone: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with_other(results / "r", 48)
    assert predict(results, "tiny+othr", str(data / "test")) == 2
    assert "backbone of run r 'othr'. Did you mean 'other'?" in capsys.readouterr().err
    assert predict(results, "tiny+tiny", str(data / "test")) == 2
    told = "'tiny+tiny' names a backbone twice; each member counts once."
    assert told in capsys.readouterr().err


def test_heatmaps_are_written_to_a_new_folder_and_replace_nothing(
    results: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / "a.png").write_bytes(b"")  # cannot be read
    for number in range(BATCH + 2):
        shutil.copy(data / "test" / "fox" / "002.png", mixed / f"{number:02d} fox?.png")
    pictures = tmp_path / "new" / "pictures"
    words = ("tiny", str(mixed), "--json")
    assert predict(results, *words) == 3
    plain = capsys.readouterr().out
    assert predict(results, *words, "--explain", str(pictures)) == 3
    told = capsys.readouterr()
    assert re.search(rf"34 heatmaps in .*pictures, {EACH}", told.err.replace("\n", " "))
    _, *images = map(json.loads, told.out.splitlines())
    drawn = [image["heatmap"] for image in images]
    assert sorted(filter(None, drawn)) == sorted(map(str, pictures.iterdir()))
    assert [image["image"] for image in images if not image["heatmap"]] == [str(mixed / "a.png")]
    assert Path(drawn[0]).name == "00001-00-fox.png"
    with Image.open(drawn[0]) as picture:
        assert picture.size == (320, 320)
    # The answers are those without pictures.
    before = [json.loads(line)["probabilities"] for line in plain.splitlines()[1:]]
    for image, probabilities in zip(images, before, strict=True):
        np.testing.assert_allclose(image["probabilities"], probabilities, atol=1e-6)

    assert predict(results, *words, "--explain", str(pictures)) == 2
    assert "exists and is not empty" in capsys.readouterr().err
    assert predict(results, *words, "--explain", str(mixed / "a.png")) == 2
