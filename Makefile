# `make install`, `make demo`, `make test`, `make check`: everything a fresh clone needs.
PYTHON ?= python3
BIN := .venv/bin
DEMO := runs/demo

.PHONY: install demo heads test test-slow test-dist test-slurm test-gpu test-package test-lowest check docs notebooks clean-demo

install: .venv/installed

# torch first and by itself, pinned like everything else: an unpinned torch would bring gigabytes of CUDA packages.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@

demo: install clean-demo
	$(BIN)/orthrus prepare --config prepare/demo --output stores/demo --overwrite
	$(BIN)/orthrus fit --config fit/demo
	$(BIN)/orthrus embed --checkpoint $(DEMO)/checkpoints/last.ckpt --input stores/demo --output $(DEMO)/embeddings.parquet
	$(BIN)/orthrus embed --input stores/demo --output $(DEMO)/shipped.parquet
	$(BIN)/orthrus probe --embeddings $(DEMO)/embeddings.parquet --compare shipped=$(DEMO)/shipped.parquet --labels data/demo/human_short.tsv.gz \
	  --target localization --task multilabel --store stores/demo --output $(DEMO)/probe/localization
	$(BIN)/orthrus report $(DEMO)

# What the demo made before, so that it can run again; nothing else under runs/ is touched.
clean-demo:
	rm -rf $(DEMO)

# The heads that come with the shipped model, for `orthrus predict`: to be made anew whenever its weights change.
# ORTHRUS_SHARED names the folder of the labels. The embeddings know the families; controls, which need the store, are not part of a head.
MODEL := orthrus-codon
HEADS := half_life go_molecular_function localization
heads: install
	$(BIN)/orthrus prepare --config prepare/corpus --species human --output stores/human --overwrite
	$(BIN)/orthrus embed --model $(MODEL) --input stores/human --output runs/heads/embeddings.parquet --overwrite
	for task in $(HEADS); do \
	  $(BIN)/orthrus probe --task probe/$$task --embeddings runs/heads/embeddings.parquet \
	    --output runs/heads/$$task --overwrite && \
	  rm -rf orthrus/models/$(MODEL)/heads/$$task && mkdir -p orthrus/models/$(MODEL)/heads && \
	  cp -r runs/heads/$$task/head orthrus/models/$(MODEL)/heads/$$task || exit 1; \
	done

test: install
	$(BIN)/pytest -n 2

test-slow: install
	$(BIN)/pytest -m slow

# Several processes against one, and runs of them that are killed and resumed. Three at a time, since processes wait for
# one another half of the time, and the longest tests first.
test-dist: install
	$(BIN)/pytest -n 3 -m "dist and slow" tests/training/test_resume.py tests

# Boots a one-node Slurm; without Debian's packages slurm-wlm and munge the tests skip and say so.
test-slurm: install
	$(BIN)/pytest -m slurm

test-gpu: install
	$(BIN)/pytest -m gpu

# Builds sdist and wheel, and uses the wheel in a fresh environment, far from the clone.
test-package: install
	$(BIN)/pytest -m slow tests/packaging

# The fast tests with the lowest versions that pyproject.toml allows, on the oldest Python. uv works them out; it brings
# PyTorch's CUDA build, 6 GB in all, or its CPU build with UV_TORCH_BACKEND=cpu.
OLDEST ?= python3.10
test-lowest:
	$(OLDEST) -m venv .venv-lowest
	.venv-lowest/bin/pip install --quiet --disable-pip-version-check uv
	VIRTUAL_ENV=.venv-lowest .venv-lowest/bin/uv pip install --quiet --resolution lowest-direct --editable ".[dev]"
	.venv-lowest/bin/pytest

# The site, from docs/ and the docstrings; a warning is an error. docs/_build/html/index.html
docs: .venv/docs-installed
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

.venv/docs-installed: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[docs]"
	touch $@

# Runs the notebooks of docs/notebooks from top to bottom and keeps their outputs in them.
notebooks: install
	$(BIN)/python docs/run_notebooks.py

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
