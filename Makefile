# `make install`, `make demo`, `make test`, `make check`: everything a fresh clone needs.
PYTHON ?= python3
BIN := .venv/bin
DEMO := runs/demo

.PHONY: install demo test test-slow test-dist test-slurm test-gpu check clean-demo

install: .venv/installed

# torch first and by itself, pinned like everything else: an unpinned torch would bring gigabytes of CUDA packages.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@

demo: install clean-demo
	$(BIN)/orthrus prepare --config conf/prepare/demo.yaml --output stores/demo --overwrite
	$(BIN)/orthrus fit --config conf/fit/demo.yaml
	$(BIN)/orthrus embed --checkpoint $(DEMO)/checkpoints/last.ckpt --input stores/demo --output $(DEMO)/embeddings.parquet
	$(BIN)/orthrus probe --embeddings $(DEMO)/embeddings.parquet --labels data/demo/human_short.tsv.gz \
	  --target localization --task multilabel --store stores/demo --output $(DEMO)/probe/localization
	$(BIN)/orthrus report $(DEMO)

# What the demo made before, so that it can run again; nothing else under runs/ is touched.
clean-demo:
	rm -rf $(DEMO)

test: install
	$(BIN)/pytest -n 2

test-slow: install
	$(BIN)/pytest -m slow

# Several processes against one, and runs of them that are killed and resumed.
test-dist: install
	$(BIN)/pytest -n 2 -m "dist and slow"

# Boots a one-node Slurm; without Debian's packages slurm-wlm and munge the tests skip and say so.
test-slurm: install
	$(BIN)/pytest -m slurm

test-gpu: install
	$(BIN)/pytest -m gpu

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
