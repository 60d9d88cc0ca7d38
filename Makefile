# `make serve` starts the service, `make test` runs every test; both install what they need first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help install serve test test-slow bench docs lint format clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "expected Python 3.11 or newer, got: $$($(PYTHON) --version 2>&1); try: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The light environment of the service: no torch.
$(VENV)/.serve: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[cpu]'
	@touch $@

# The full development environment; it also satisfies the service.
$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[bulk,client,cpu,docs,otel,train,quantize,dev]'
	@touch $(VENV)/.serve $@

install: $(VENV)/.dev  ## full development environment in .venv, with the `maskformer` command

serve: $(VENV)/.serve  ## start the service on :8000 with the bundled weights (MASKFORMER_* variables apply)
	@exec $(BIN)/maskformer serve

test: $(VENV)/.dev  ## run every test but the slow ones
	$(BIN)/python -m pytest -m "not slow and not gpu"

# Ray is larger than all that `make test` needs beside torch.
$(VENV)/.ray: $(VENV)/.dev
	$(PIP) --editable '.[ray]'
	@touch $@

test-slow: $(VENV)/.ray  ## run the tests that take minutes
	$(BIN)/python -m pytest -m slow

# Beside everything else: the frameworks that the service is compared with, and plots.
$(VENV)/.bench: $(VENV)/.dev
	$(PIP) --editable '.[cpu,train,dev,bench]'
	@touch $@

bench: $(VENV)/.bench  ## measure speed on this CPU, in some ten minutes; results in benchmarks/results
	$(BIN)/python -m benchmarks

docs: $(VENV)/.dev  ## build the documentation into build/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: $(VENV)/.dev  ## style, format, types, direction of imports, known weaknesses of dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/audit.py

format: $(VENV)/.dev  ## rewrite files in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the environment and caches
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
