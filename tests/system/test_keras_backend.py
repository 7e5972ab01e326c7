"""The choice of the Keras backend, from the environment and the installed packages."""

from __future__ import annotations

import os

import pytest

from bench.errors import UsageError
from bench.execution.executors.node import Order
from bench.execution.executors.worker_process import worker_environment
from bench.inference.runtimes import choose_runtimes, unavailable_runtimes
from bench.system.frameworks import keras_backend, set_framework_defaults
from bench.types import Settings

VARIABLE = "KERAS_BACKEND"


@pytest.fixture
def jax_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without TensorFlow and PyTorch, in which the user names no backend."""
    monkeypatch.delenv(VARIABLE, raising=False)
    for module in ("bench.system.frameworks", "bench.registry"):
        monkeypatch.setattr(f"{module}.find_spec", lambda name: name if name == "jax" else None)


@pytest.mark.usefixtures("jax_alone")
def test_the_backend_that_is_installed_is_used_where_none_is_named() -> None:
    assert keras_backend() == "jax"
    assert keras_backend("tensorflow") == "jax"  # that of a run, which is not there
    assert worker_environment(Settings())[VARIABLE] == "jax"
    default = Order.__dataclass_fields__["variables"].default_factory
    assert callable(default)
    assert default()[VARIABLE] == "jax"


@pytest.mark.usefixtures("jax_alone")
def test_a_preferred_backend_comes_before_others_and_after_the_one_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bench.system.frameworks.find_spec", lambda name: name)
    assert keras_backend() == "tensorflow"
    assert keras_backend("jax") == "jax"
    monkeypatch.setenv(VARIABLE, "torch")
    assert keras_backend("jax") == "torch"


@pytest.mark.usefixtures("jax_alone")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tensorflow", r"tensorflow is not installed here, jax is; .* `pip install tensorflow`"),
        ("nonesuch", r"KERAS_BACKEND=nonesuch is not supported; use tensorflow, jax or torch"),
    ],
)
def test_a_backend_that_cannot_run_here_is_an_error_at_once(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, name)
    with pytest.raises(UsageError, match=message):
        worker_environment(Settings())
    with pytest.raises(UsageError, match=message):
        set_framework_defaults("jax")
    assert os.environ[VARIABLE] == name


@pytest.mark.usefixtures("jax_alone")
def test_runtimes_of_another_backend_are_refused_or_left_out_in_one_line() -> None:
    assert [runtime.name for runtime in choose_runtimes("all")] == ["keras"]
    (line,) = unavailable_runtimes("all")
    assert line.startswith("runtimes litert, ")
    assert line.endswith("onnx_int8, openvino, xla need KERAS_BACKEND=tensorflow.")
    why = "runtime xla needs KERAS_BACKEND=tensorflow instead of jax, and tensorflow; install it"
    with pytest.raises(UsageError, match=why):
        choose_runtimes("xla")
