# `make demo` and `make test` set themselves up: what they need lies in a cache outside the tree.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/opentelemetry-instrumentation-livekit-agents
KEY := $(shell { pwd; cat constraints.txt requirements-dev.txt pyproject.toml; $(PYTHON) --version; } | sha256sum | cut -c1-12)
VENV := $(CACHE)/venv-$(KEY)
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -p no:cacheprovider

.PHONY: help demo test lint test-unit test-contract test-integration test-system bench picture clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

$(VENV)/ready:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or later is needed, this is $$($(PYTHON) --version); run: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@echo "setting up $(VENV)"
	@rm -rf "$(VENV)" && mkdir -p "$(CACHE)"
	@$(PYTHON) -m venv "$(VENV)"
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -r requirements-dev.txt editables
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: tools servers
tools:
	@$(call need,espeak-ng,espeak-ng)

servers:
	@$(call need,promtool,prometheus)

# $(1) is a program, $(2) Debian's package of it
need = command -v $(1) >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing $(2)"; apt-get update -qq && apt-get install -y -qq $(2) >/dev/null; \
	  else \
	    echo "$(1) is not installed: apt-get install $(2)"; exit 2; \
	  fi; }

demo: $(VENV)/ready tools ## five calls at once on real speech, each shown as a waterfall
	@cd examples/dental_receptionist && $(BIN)/python demo.py

test: lint test-unit test-contract test-integration test-system ## all of the tests

lint: $(VENV)/ready ## ruff and mypy --strict
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

test-unit: $(VENV)/ready ## fast, pure
	@$(PYTEST) tests/unit

test-contract: $(VENV)/ready ## what the libraries below us promise
	@$(PYTEST) tests/contract

test-integration: $(VENV)/ready tools ## real livekit-agents in real processes
	@$(PYTEST) tests/integration

test-system: $(VENV)/ready tools servers ## real servers
	@$(PYTEST) tests/system

bench: $(VENV)/ready tools ## ratios side by side, medians
	@for bench in benchmarks/bench_*.py; do $(BIN)/python $$bench; done

picture: $(VENV)/ready tools ## draw the README's waterfall from a real call
	@cd examples/dental_receptionist && PICTURE=../../docs/call.svg $(BIN)/python demo.py

clean: ## remove the cached environment
	@rm -rf "$(VENV)"
