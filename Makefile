# Every target sets up .venv where it is missing; `make help` lists them.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
CROMSS := $(PY) -m cromss
STAMP  := $(VENV)/.installed

TOUR   := outputs/tour

.DEFAULT_GOAL := help
.PHONY: help setup train tour test test-all test-slurm lint format reference docs bench wandb-sync clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

setup: $(STAMP)  ## make .venv with everything in it (quick when nothing changed)

train: setup  ## pretrain on the embedded dataset; ARGS='fusion=late' passes overrides
	$(CROMSS) train $(ARGS)

# An encoder from noisy labels, then from 24 exact ones, beside a random encoder; last, the map of a scene that it has
# never seen. ARGS are for training, SCENE for the scene, such as SCENE=export.size=500.
tour: setup  ## pretrain, fine-tune, test, compare with a random encoder, map a new scene and score the map: minutes
	@test ! -e $(TOUR) || { echo "$(TOUR) holds an earlier tour: remove it, or set TOUR=FOLDER"; exit 1; }
	$(CROMSS) prepare action=export out=$(TOUR)/scene $(SCENE)
	$(CROMSS) train hydra.run.dir=$(TOUR)/pretrained $(ARGS)
	$(CROMSS) train -m experiments=few_labels seed=1,2,3 hydra.sweep.dir=$(TOUR)/few_labels $(ARGS) \
	  backbone.weights=cromss backbone.weights_path=$(TOUR)/pretrained/checkpoints/last.ckpt
	$(CROMSS) train -m experiments=few_labels seed=1,2,3 hydra.sweep.dir=$(TOUR)/few_labels $(ARGS)
	$(CROMSS) report runs=$(TOUR)
	$(CROMSS) predict s2=$(TOUR)/scene/s2.tif truth=$(TOUR)/scene/truth.tif out=$(TOUR)/map.tif preview=true \
	  checkpoint=$$(ls -d $(TOUR)/few_labels/backbone.weights=cromss* | head -n 1)/checkpoints/last.ckpt

test: setup  ## run the tests
	OMP_NUM_THREADS=1 $(PY) -m pytest --numprocesses=auto --dist=loadfile

test-all: setup  ## run the tests, the slow ones too
	OMP_NUM_THREADS=1 $(PY) -m pytest --numprocesses=auto --dist=loadfile -m 'not slurm'

# They start a Slurm of their own, of one node: that needs root, and apt-get install slurm-wlm munge.
test-slurm: setup  ## run the tests that need Slurm: sweeps as jobs, preemption, lost nodes
	$(PY) -m pytest tests/slurm -m slurm

lint: setup  ## ruff and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: setup  ## let ruff rewrite the code
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

reference: setup  ## write docs/settings.md, the page of all settings, from the schema
	$(PY) -m cromss.config.reference

docs: setup  ## build the documentation with the API reference as a site, site/index.html
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet

bench: setup  ## measure the commitments on speed, memory and size, as ratios
	$(PY) -m benchmarks

# A killed job may leave a file of nothing but its header (7 bytes), which would stop the upload of all others. Oldest first.
wandb-sync: setup  ## upload what W&B runs wrote offline below outputs/
	find outputs -path '*/wandb/offline-run-*' -name 'run-*.wandb' -size +7c -print0 | sort -z | xargs -0r $(VENV)/bin/wandb sync

clean:  ## remove caches and the virtual environment; outputs/ stays
	rm -rf $(VENV) build dist site .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
