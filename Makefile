# Two commands do everything on a machine with Python 3.11: `make bench` and `make test`.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# A second environment, without TensorFlow.
VENV_JAX := .venv-jax
BIN_JAX := $(VENV_JAX)/bin
READY_JAX := $(VENV_JAX)/.ready
# What TensorFlow answered, for JAX to be held against.
ANSWERS := build/answers
ANSWERED := $(ANSWERS)/.complete
CONTRACT := tests/backbones/test_contract.py
# The versions that the suite passed with, so that it passes again; `make upgrade` takes newer ones.
CONSTRAINTS := constraints.txt
# A file at a time: module fixtures are made once.
PARALLEL := --dist loadfile --no-loadscope-reorder
# Most of the time on JAX goes into compiling what runs once.
COMPILED_SOON := --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true \
	--xla_cpu_use_fusion_emitters=false

JAX_LOG := build/test-jax.log

.PHONY: bench test suite quick test-jax logged-jax check setup upgrade clean

bench: $(READY)  ## set up, then run every backbone under the default protocol
	$(BIN)/python run_bench.py --backbones all

test: setup  ## the whole suite with ruff and mypy, and the core of it on JAX
	$(MAKE) check
	rm -rf $(ANSWERS)
	$(MAKE) -j 2 suite logged-jax

# Beside JAX and with a process more than cores that it is made for, two: tests wait for processes.
suite: $(READY)  ## the tests on TensorFlow, but for the contract
	$(BIN)/pytest -n 3 $(PARALLEL) --ignore=$(CONTRACT)

quick: $(READY)  ## the tests that train nothing
	$(BIN)/pytest -n 2 $(PARALLEL) -m "not slow"

test-jax: $(READY_JAX) $(ANSWERED)  ## the contract of every backbone on TensorFlow, then that and a trial on JAX alone
	KERAS_BACKEND=jax ANSWERS=$(ANSWERS) XLA_FLAGS="$(COMPILED_SOON)" $(BIN_JAX)/python -m pytest \
		-n 2 --dist worksteal $(CONTRACT) tests/models/backends; \
		code=$$?; rm -rf $(ANSWERS); exit $$code

# What two processes print at the same time cannot be read: the progress is that of the suite.
logged-jax: $(READY) $(READY_JAX)
	@mkdir -p $(dir $(JAX_LOG)); echo 'On JAX at the same time: $(JAX_LOG), shown at its end.'
	@$(MAKE) --no-print-directory test-jax > $(JAX_LOG) 2>&1; code=$$?; echo; cat $(JAX_LOG); exit $$code

$(ANSWERED): $(READY)
	mkdir -p $(ANSWERS)
	ANSWERS=$(ANSWERS) $(BIN)/pytest -n 2 --dist worksteal $(CONTRACT)
	touch $@

check: $(READY)  ## format, lint, types and the import rules between layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

setup:  ## the virtual environments alone, both at once
	$(MAKE) -j 2 $(READY) $(READY_JAX)

$(READY): pyproject.toml $(CONSTRAINTS)
	@echo 'Setting up $(VENV): this takes minutes the first time.'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint $(CONSTRAINTS) --editable '.[dev]'
	touch $@

$(READY_JAX): pyproject.toml $(CONSTRAINTS)
	@echo 'Setting up $(VENV_JAX).'
	$(PYTHON) -m venv $(VENV_JAX)
	$(BIN_JAX)/pip install --quiet --upgrade pip
	$(BIN_JAX)/pip install --quiet --constraint $(CONSTRAINTS) --group jax --group test
	touch $@

upgrade:  ## the newest versions of everything, written to constraints.txt; then run `make test`
	rm -rf $(VENV) $(VENV_JAX)
	: > $(CONSTRAINTS)
	$(MAKE) $(READY)
	$(BIN)/pip freeze --exclude-editable > $(CONSTRAINTS)
	$(MAKE) $(READY_JAX)
	$(BIN_JAX)/pip freeze >> $(CONSTRAINTS)
	sort --unique --output $(CONSTRAINTS) $(CONSTRAINTS)
	touch $(READY) $(READY_JAX)

clean:  ## remove what set-up and the tools made; never results/
	rm -rf $(VENV) $(VENV_JAX) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
