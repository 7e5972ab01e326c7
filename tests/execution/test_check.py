"""`check` on adapters with one fault each: the right check fails with the right reason.

All are variants of the small backbone of `tiny.py`, which passes every check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import keras
import pytest
import tiny
from keras import layers, ops

from bench.cli import main as cli
from bench.errors import CheckError
from bench.execution.check import CHECKS, run_checks
from bench.execution.check.preprocessing import check_rescaling, expected_preprocessing
from bench.execution.check.stages import check_stages
from bench.execution.check.subject import Subject
from bench.models.network import count_macs
from bench.registry import BACKBONES
from bench.types import Backbone, WeightsFile

pytestmark = pytest.mark.slow  # it loads a framework

RIGHT = replace(tiny.TINY, parameters=1_490, layers=22, gmacs=79_872e-9)
IMAGE = (32, 32, 3)


def _reason(check: str, **changes: Any) -> str:
    """Return why `check` fails for a backbone with these changes; earlier checks must pass."""
    for result in run_checks(Subject(replace(RIGHT, **changes))):
        if result.check.name == check:
            assert result.status == "failed", result.text
            assert len(result.text.splitlines()) <= 2
            return result.text
        assert result.status == "passed", f"{result.check.name}: {result.text}"
    raise AssertionError(f"no check {check!r}")


def _builder(change: Callable[[Any], Any]) -> Callable[..., keras.Model]:
    """Return a builder of the small network with a changed output."""

    def build(input_shape: tuple[int, int, int], **options: Any) -> keras.Model:
        model = tiny.build(input_shape)
        return keras.Model(model.input, change(model.output))

    return build


def test_a_correct_adapter_passes_every_check() -> None:
    results = list(run_checks(Subject(RIGHT)))

    assert {r.check.name: r.text for r in results if r.status != "passed"} == {}
    assert [r.check for r in results] == list(CHECKS)


def test_macs_by_hand() -> None:
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same")(image)  # 4 * 4 positions, 3 * 3 * 3 * 4
    x = layers.BatchNormalization()(x)
    x = layers.DepthwiseConv2D(3, padding="same")(x)  # 4 * 4 positions, 3 * 3 * 4
    x = layers.Conv2D(4, 1, groups=2)(x)  # 4 * 4 positions, 2 * 4
    x = layers.SeparableConv2D(6, 3)(x)  # 2 * 2 positions, 3 * 3 * 4 and 4 * 6
    x = keras.Sequential([layers.Dense(5)])(x)  # 2 * 2 positions, 6 * 5
    expected = 16 * 108 + 16 * 36 + 16 * 8 + 4 * (36 + 24) + 4 * 30
    assert count_macs(keras.Model(image, x)) == expected


def _raises(*arguments: Any, **options: Any) -> Any:
    raise ValueError("no such thing")


@pytest.mark.parametrize(
    ("preprocess", "expected"),
    [
        (_raises, "preprocess raised ValueError: no such thing"),
        ("nowhere:preprocess", "cannot be found: ModuleNotFoundError"),
        ("keras:no_such_function", "cannot be found: AttributeError"),
        (lambda x: None, "returned NoneType"),
        (lambda x: x[..., :1], "(None, 16, 16, 1)"),
        (lambda x: ops.cast(x, "uint8"), "return floats"),
        (lambda x: ops.log(x), "not finite"),
        (lambda x: layers.GaussianNoise(1.0)(x, training=True), "must not be random"),
        (lambda x: x - ops.mean(x), "treat each image alone"),
    ],
)
def test_wrong_preprocessing(preprocess: Any, expected: str) -> None:
    assert expected in _reason("preprocess", preprocess=preprocess)


def test_wrong_range() -> None:
    assert "became -1..1, but preprocessed_range is 0..1" in _reason(
        "range", preprocessed_range=(0.0, 1.0)
    )


def _nested(x: Any) -> Any:
    inner = [keras.Input(x.shape[1:]), layers.BatchNormalization()]
    return keras.Sequential(inner, name="inner")(x)


def _twice(x: Any) -> Any:
    relu = layers.ReLU(name="again")
    return relu(relu(x))


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (_raises, "build raised ValueError: no such thing\nIt was called with input_shape=(32,"),
        ("nowhere:build", "cannot be found: ModuleNotFoundError"),
        (lambda **options: None, "returned NoneType"),
        (lambda input_shape, **options: keras.Sequential(), "a functional model"),
        (
            lambda **options: tiny.build(IMAGE),
            "input_shape=(16, 16, 3), but its network takes (None, 32, 32, 3)",
        ),
        (_builder(layers.GlobalAveragePooling2D()), "leave out pooling and classifier"),
        (_builder(lambda x: ops.cast(x, "int32")), "not floats"),
        (_builder(lambda x: [x, layers.ReLU()(x)]), "has 2 outputs"),
        (_builder(_nested), "'inner' is a nested model whose BatchNorm cannot be frozen"),
        (_builder(_twice), "'output' takes the output of a layer's second call"),
        (
            # As many weights as there are positions in the output.
            _builder(lambda x: layers.LayerNormalization(axis=(1, 2, 3))(x)),
            "1,746 parameters at 32 px and 1,554 at 16 px",
        ),
    ],
)
def test_wrong_builder(build: Any, expected: str) -> None:
    assert expected in _reason("build", build=build)


def test_per_position_weights_are_accepted_if_declared() -> None:
    build = _builder(lambda x: layers.LayerNormalization(axis=(1, 2, 3))(x))
    subject = Subject(replace(RIGHT, build=build, per_position=True))
    (built,) = (one for one in run_checks(subject) if one.check.name == "build")
    assert built.status == "passed", built.text


def test_contradictory_sizes() -> None:
    assert "minimum_size 64 is above input_size 32" in _reason("build", minimum_size=64)


def test_wrong_figures() -> None:
    assert "parameters=1_489, built 1_490. Declare" in _reason("declaration", parameters=1_489)
    assert "layers=21, built 22. Declare" in _reason("declaration", layers=21)
    both = _reason("declaration", layers=21, gmacs=RIGHT.gmacs * 1.03)  # type: ignore[operator]
    assert "layers=21, built 22; gmacs=8.22682e-05, counted 7.99e-05" in both


def _rescaling(input_shape: tuple[int, int, int], **options: Any) -> keras.Model:
    """Build the small network with a rescaling layer inside, as in EfficientNet."""
    image = keras.Input(input_shape)
    x = layers.ZeroPadding2D(2)(layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(image))
    return keras.Model(image, layers.Conv2D(4, 3, name="end")(x))


INSIDE = replace(
    tiny.TINY, build=_rescaling, preprocess=ops.copy, stages=("end",), preprocessed_range=(0, 255)
)


def test_double_rescaling() -> None:
    inside = {"build": _rescaling, "parameters": None, "layers": None, "gmacs": None}
    assert "rescales its input (layer 'rescale') and preprocess does so" in _reason(
        "rescaling", **inside
    )
    twice = _reason(
        "rescaling",
        preprocess=lambda x: tiny.preprocess(tiny.preprocess(x)),
        preprocessed_range=(-2 / 127.5 + 2 - 3 + 1 / 127.5, -1 + 1 / 127.5),
    )
    assert "as -1.008..-0.9922: pixels are rescaled more than once" in twice


def test_rescaling_inside_the_network_is_accepted() -> None:
    results = {result.check.name: result for result in run_checks(Subject(INSIDE))}

    assert results["rescaling"].text == "-1..1 at 'end'"
    assert {result.status for result in results.values()} == {"passed"}


def _mine(input_shape: tuple[int, int, int], **options: Any) -> Any:
    return keras.applications.VGG16(input_shape=input_shape, **options)


def _variant(name: str, build: Any = tiny.build, **options: Any) -> Any:
    """A builder that gets the name of a network of `keras.applications` as an argument."""
    return build(**options)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        ("keras.applications:MobileNetV2", "keras.applications.mobilenet_v2:preprocess_input"),
        ("keras.applications:ResNet50", "keras.applications.resnet:preprocess_input"),
        (_mine, "keras.applications.vgg16:preprocess_input"),
        (partial(_variant, "DenseNet121"), "keras.applications.densenet:preprocess_input"),
        (tiny.build, None),
        (partial(_mine, name="DenseNet121"), None),  # ambiguous: two networks
    ],
)
def test_expected_preprocessing_follows_the_builder_and_weights(
    build: Any, expected: str | None
) -> None:
    backbone = replace(tiny.TINY, build=build)
    assert expected_preprocessing(backbone) == expected
    theirs = WeightsFile("https://storage.googleapis.com/tensorflow/keras-applications/a/b.h5")
    assert expected_preprocessing(replace(backbone, weights=(theirs,))) == expected
    others = (WeightsFile("https://example.org/b.h5"), theirs)
    assert expected_preprocessing(replace(backbone, weights=others)) is None


@pytest.mark.parametrize(
    ("preprocess", "found"),
    [
        ("keras.applications.resnet:preprocess_input", "-123.68..151.061"),
        (lambda x: x[..., ::-1] / 127.5 - 1, "-1..1"),  # BGR
    ],
)
def test_preprocessing_that_differs_from_keras(preprocess: Any, found: str) -> None:
    changes = {"build": partial(_variant, "MobileNetV2"), "preprocessed_range": None}

    assert _reason("rescaling", preprocess=preprocess, **changes) == (
        f"preprocess maps 0..255 to {found}, but Keras' own preprocessing for this network maps it "
        "to -1..1.\nDeclare preprocess="
        '"keras.applications.mobilenet_v2:preprocess_input", or the weights that expect '
        "another range."
    )


def test_equivalent_preprocessing_is_accepted() -> None:
    named = replace(RIGHT, build=partial(_variant, "MobileNetV2"))
    check_rescaling(Subject(named))  # x / 127.5 - 1
    # A custom builder may put the preprocessing inside the network.
    inside = partial(_variant, "MobileNetV2", _rescaling)
    check_rescaling(Subject(replace(INSIDE, build=inside)))


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        (
            ("one_ad", "four_add"),
            "'one_ad' is not a layer of this network; the closest name is 'one_add'",
        ),
        (("zzz", "four_add"), "the closest name is 'four_add'"),
        (
            ("two_add", "three_left", "four_add"),
            "'three_left' is not a clean cut: another branch bypasses it. "
            "The nearest clean cuts: 'two_add', 'three_join'.",
        ),
        (("two_add", "one_add", "four_add"), "'one_add' comes before 'two_add' in the network"),
        (("one_add", "one_add", "four_add"), "'one_add' is named twice"),
        (("one_add", "two_add"), "last stage is 'two_add', but the network ends in 'four_add'"),
        (("one_bn", "one_relu", "four_add"), "'one_relu' has no weights"),
    ],
)
def test_wrong_stages(stages: tuple[str, ...], expected: str) -> None:
    assert expected in _reason("stages", stages=stages)


@pytest.mark.parametrize(
    ("built", "expected"),
    [
        (0, "'relu_0' has another name when the network is built again: Keras numbers"),
        (1, "unnamed layers; give its position, 22, or leave out `stages`."),
        (7, "'relu_7' is not a layer of this network; the closest name is 'relu@22'."),
    ],
)
def test_a_stage_with_an_automatic_name(built: int, expected: str) -> None:
    numbers = count()
    build = _builder(lambda x: layers.ReLU(name=f"relu_{next(numbers)}")(x))

    assert expected in _reason(
        "stages", build=build, layers=23, stages=("one_add", f"relu_{built}")
    )


def test_stages_found_automatically_or_given_by_position() -> None:
    for stages in ((), (7, "three_join", "output")):
        results = {r.check.name: r for r in run_checks(Subject(replace(RIGHT, stages=stages)))}
        assert {r.status for r in results.values()} == {"passed"}
        if not stages:
            assert results["stages"].text == "3 stages found: one_add, three_join, four_add"


def _pooled(input_shape: tuple[int, int, int], **options: Any) -> keras.Model:
    """Build a network that has fewer layers for small images."""
    x = image = keras.Input(input_shape)
    while x.shape[1] > 8:
        x = layers.Conv2D(4, 3, padding="same", strides=2, name=f"to{x.shape[1] // 2}")(x)
    return keras.Model(image, x)


def test_stages_that_depend_on_the_size() -> None:
    changes: dict[str, Any] = {"build": _pooled, "parameters": None, "layers": None, "gmacs": None}
    # The different numbers of layers are found earlier.
    assert "weights trained at one size must fit any other" in _reason("build", **changes)
    subject = Subject(replace(RIGHT, stages=(), **changes))
    with pytest.raises(CheckError, match=r"at 32 px .* 'to16', 'to8', at 16 px in 'to8'; declare"):
        check_stages(subject)


def _dead(x: Any) -> Any:
    return layers.Conv2D(8, 1, kernel_initializer="zeros", name="end")(x)


def test_a_constant_output() -> None:
    unknown = dict.fromkeys(("parameters", "layers", "gmacs"))
    changes: dict[str, Any] = {"build": _builder(_dead), "stages": ("one_add", "end"), **unknown}
    assert "the same for all images" in _reason("cuts", **changes)
    results = {r.check.name: r.text for r in run_checks(Subject(replace(RIGHT, **changes)))}
    assert "did not change the head" in results["frozen"]
    assert results["unfreeze"] == "cuts must pass first"


class Restless(layers.Layer):  # type: ignore[misc]
    """A layer that is random even in inference."""

    def __init__(self) -> None:
        super().__init__(name="end")
        self.seed = keras.random.SeedGenerator(0)

    def call(self, x: Any) -> Any:
        return x + keras.random.normal(ops.shape(x), seed=self.seed)


class Counting(layers.Layer):  # type: ignore[misc]
    """A layer that updates its weights even in inference."""

    def build(self, shape: Any) -> None:
        self.calls = self.add_weight(name="calls", initializer="zeros", trainable=False)

    def call(self, x: Any) -> Any:
        self.calls.assign_add(1.0)
        return x + 0.0 * self.calls


class Tied(layers.Layer):  # type: ignore[misc]
    """A layer that uses the weights of a layer in an earlier stage."""

    def __init__(self, earlier: Any) -> None:
        super().__init__(name="end")
        self.earlier = earlier

    def call(self, x: Any) -> Any:
        return x * ops.mean(self.earlier.kernel) + ops.mean(self.earlier.bias)


class Scaled(layers.Layer):  # type: ignore[misc]
    """A layer that multiplies by a constructor argument."""

    def __init__(self, factor: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.factor = factor

    def call(self, x: Any) -> Any:
        return x * self.factor


@keras.saving.register_keras_serializable("tests")
class Forgetful(Scaled):
    """A layer that does not save its factor."""

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


def _tied(input_shape: tuple[int, int, int], **options: Any) -> keras.Model:
    model = tiny.build(input_shape)
    return keras.Model(model.input, Tied(model.get_layer("one_conv"))(model.output))


def _idle(x: Any) -> Any:
    nothing = layers.Rescaling(0.0)(layers.Conv2D(8, 1, name="idle")(x))
    return layers.Add(name="end")([x, nothing])


@pytest.mark.parametrize(
    ("check", "build", "expected"),
    [
        ("cuts", _builder(lambda x: Restless()(x)), "must not be random in inference"),
        ("frozen", _builder(lambda x: Counting(name="end")(x)), "changed 'end/calls'"),
        ("unfreeze", _tied, "also changed 'one_conv'"),
        ("unfreeze", _builder(_idle), "did not change 'idle': no gradient"),
        (
            "save",
            _builder(lambda x: Scaled(2.0, name="end")(x)),
            "register_keras_serializable() and get_config()",
        ),
        (
            "save",
            _builder(lambda x: Forgetful(2.0, name="end")(x)),
            "a layer does not save all its settings",
        ),
    ],
)
def test_misbehaving_layers(check: str, build: Any, expected: str) -> None:
    open_figures = {"parameters": None, "layers": None, "gmacs": None}
    stages = ("one_add", "three_join", "end")

    assert expected in _reason(check, build=build, stages=stages, **open_figures)


@pytest.fixture
def registered() -> Iterator[Callable[[Backbone], str]]:
    names: list[str] = []

    def add(backbone: Backbone) -> str:
        names.append(BACKBONES.add(replace(backbone, name=f"checked{len(names)}")).name)
        return names[-1]

    yield add
    for name in names:
        BACKBONES.remove(name)


def test_the_check_command(
    registered: Callable[[Backbone], str], capsys: pytest.CaptureFixture[str]
) -> None:
    right = registered(RIGHT)
    wrong = registered(replace(RIGHT, stages=("one_ad", "four_add")))

    assert cli.main(["check", right]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == right
    assert [line.split()[:2] for line in lines[1:11]] == [["✓", check.name] for check in CHECKS]
    assert lines[11].startswith(f"  ! {right} declares no weights: unless --weights gives a folder")
    assert lines[12].startswith("  10 of 10 passed in ")

    assert cli.main(["check", wrong]) == 1
    printed = capsys.readouterr().out
    assert "  ✗ stages " in printed
    assert (
        f"      {wrong}: stage 'one_ad' is not a layer of this network; the closest name is "
        "'one_add'." in printed
    )
    for name, missing in (("cuts", "stages"), ("frozen", "stages"), ("unfreeze", "cuts")):
        assert f"  - {name:<12} not tried: {missing} must pass first" in printed
    assert "  - save         not tried: frozen must pass first" in printed

    assert cli.main(["check", "chekced0"]) == 2
    assert "Did you mean 'checked0'" in capsys.readouterr().err
