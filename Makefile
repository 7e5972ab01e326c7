# Two commands do everything on a machine with Python 3.11: `make bench` and `make test`.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# A second environment, without TensorFlow.
VENV_JAX := .venv-jax
BIN_JAX := $(VENV_JAX)/bin
READY_JAX := $(VENV_JAX)/.ready
ANSWERS := build/answers

.PHONY: bench test test-jax check setup clean

bench: $(READY)  ## set up, then run every backbone under the default protocol
	$(BIN)/python run_bench.py --backbones all

test: check  ## set up, then the whole suite with ruff and mypy, and the core of it on JAX
	$(BIN)/pytest
	$(MAKE) test-jax

test-jax: $(READY) $(READY_JAX)  ## every backbone, a trial and TensorFlow's answers, on JAX alone
	$(BIN)/python tests/backends/answers.py $(ANSWERS)
	KERAS_BACKEND=jax ANSWERS=$(ANSWERS) $(BIN_JAX)/python -m pytest \
		tests/backends tests/backbones/test_contract.py
	rm -rf $(ANSWERS)

check: $(READY)  ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

setup: $(READY)  ## the virtual environment alone

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

$(READY_JAX): pyproject.toml
	$(PYTHON) -m venv $(VENV_JAX)
	$(BIN_JAX)/pip install --quiet --upgrade pip
	$(BIN_JAX)/pip install --quiet --group jax --group test
	touch $@

clean:  ## remove what set-up and the tools made; never results/
	rm -rf $(VENV) $(VENV_JAX) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
