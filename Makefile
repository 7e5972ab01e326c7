# Two commands do everything on a machine with Python 3.11: `make bench` and `make test`.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: bench test check setup clean

bench: $(READY)  ## set up, then run every backbone under the default protocol
	$(BIN)/python run_bench.py --backbones all

test: check  ## set up, then the whole suite with ruff and mypy
	$(BIN)/pytest

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

clean:  ## remove what set-up and the tools made; never results/
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
