# Every target sets up .venv where it is missing; `make help` lists them.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup train test test-all lint format bench clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

setup: $(STAMP)  ## make .venv with everything in it (quick when nothing changed)

train: setup  ## pretrain on the embedded dataset; ARGS='fusion=late' passes overrides
	$(PY) train.py $(ARGS)

test: setup  ## run the tests
	$(PY) -m pytest

test-all: setup  ## run the tests, the slow ones too
	$(PY) -m pytest -m 'not slurm'

lint: setup  ## ruff and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: setup  ## let ruff rewrite the code
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: setup  ## measure the commitments on speed, memory and size, as ratios
	$(PY) -m benchmarks

clean:  ## remove caches and the virtual environment; outputs/ stays
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
