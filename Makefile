# `make demo` and `make test` set themselves up: what they need lies in a cache outside the tree.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/callspan
KEY := $(shell { pwd; cat Makefile constraints.txt requirements-dev.txt pyproject.toml; $(PYTHON) --version; } | sha256sum | cut -c1-12)
VENV := $(CACHE)/venv-$(KEY)
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -p no:cacheprovider

# What builds and checks the package has nothing to do with the tests; the wheel is tried where
# nothing of this repository is.
DIST_KEY := $(shell { cat requirements-dist.txt constraints.txt; $(PYTHON) --version; } | sha256sum | cut -c1-12)
DIST_VENV := $(CACHE)/dist-$(DIST_KEY)
WHEEL_KEY := $(shell { pwd; cat constraints.txt pyproject.toml; $(PYTHON) --version; } | sha256sum | cut -c1-12)
WHEEL_VENV := $(CACHE)/wheel-$(WHEEL_KEY)

# Arize Phoenix has pins of its own, and so an environment of its own.
PHOENIX_KEY := $(shell { cat requirements-phoenix.txt; $(PYTHON) --version; } | sha256sum | cut -c1-12)
PHOENIX_VENV := $(CACHE)/phoenix-$(PHOENIX_KEY)
export PHOENIX_BINARY ?= $(PHOENIX_VENV)/bin/phoenix

.PHONY: help demo check test lint test-unit test-contract test-integration test-system test-backends \
	dist sbom changelog faults outages collector docs dashboards bench picture picture-phoenix \
	picture-dashboards venv clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

$(VENV)/ready:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or later is needed, this is $$($(PYTHON) --version); run: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@echo "setting up $(VENV)" >&2
	@rm -rf "$(VENV)" && mkdir -p "$(CACHE)"
	@$(PYTHON) -m venv "$(VENV)"
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -r requirements-dev.txt editables
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt --no-build-isolation -e .
	@touch $@

$(DIST_VENV)/ready:
	@echo "setting up $(DIST_VENV)"
	@rm -rf "$(DIST_VENV)" && mkdir -p "$(CACHE)"
	@$(PYTHON) -m venv "$(DIST_VENV)"
	@$(DIST_VENV)/bin/pip install -q --disable-pip-version-check -c constraints.txt -c requirements-dist.txt \
	  build check-wheel-contents cyclonedx-bom hatchling twine
	@touch $@

$(PHOENIX_VENV)/ready:
	@echo "setting up $(PHOENIX_VENV): Arize Phoenix, 900 MB"
	@rm -rf "$(PHOENIX_VENV)" && mkdir -p "$(CACHE)"
	@$(PYTHON) -m venv "$(PHOENIX_VENV)"
	@$(PHOENIX_VENV)/bin/pip install -q --disable-pip-version-check -c requirements-phoenix.txt arize-phoenix
	@touch $@

.PHONY: tools servers backends
# What cannot be had is named here; its tests then say what was not run, and fail under CI.
backends:
	-@$(call need,promtool,prometheus)
	-@$(call need,amtool,prometheus-alertmanager)
	-@$(call need,kubectl,kubernetes-client)
	-@$(call need,chromium,chromium)
	-@$(PYTHON) collector-config/build.py >/dev/null
	-@$(MAKE) --no-print-directory $(PHOENIX_VENV)/ready

tools:
	@$(call need,espeak-ng,espeak-ng)

servers:
	@$(call need,promtool,prometheus)

# $(1) is a program, $(2) Debian's package of it
need = command -v $(1) >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing $(2)"; apt-get update -qq && apt-get -o DPkg::Lock::Timeout=300 install -y -qq $(2) >/dev/null; \
	  else \
	    echo "$(1) is not installed: apt-get install $(2)"; exit 2; \
	  fi; }

venv: $(VENV)/ready ## say where the environment is that all of this runs in
	@echo "$(VENV)"

demo: $(VENV)/ready tools ## five calls at once on real speech, each shown as a waterfall
	@cd examples/dental_receptionist && $(BIN)/python demo.py

check: lint tools ## the inner loop: lint, types, unit and contract tests
	@$(PYTEST) -n logical --maxprocesses 8 tests/unit tests/contract

test: check test-integration test-system test-backends dist ## all of the tests

lint: $(VENV)/ready ## ruff and mypy --strict
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

test-unit: $(VENV)/ready ## fast, pure
	@$(PYTEST) tests/unit

test-contract: $(VENV)/ready tools ## what the libraries below us promise
	@$(PYTEST) tests/contract

# two files at a time: what they wait for is speech, not the processor
test-integration: $(VENV)/ready tools ## real livekit-agents in real processes
	@$(PYTEST) -n 2 --dist loadfile tests/integration

test-system: $(VENV)/ready tools servers ## real servers
	@$(PYTEST) tests/system

test-backends: $(VENV)/ready tools backends ## real backends, and what they show
	@$(PYTEST) tests/backends

dist: $(VENV)/ready $(DIST_VENV)/ready ## build sdist and wheel, check them, run a call through the wheel
	@rm -rf dist && $(DIST_VENV)/bin/python -m build --no-isolation >/dev/null
	@$(DIST_VENV)/bin/twine check --strict dist/*
	@$(DIST_VENV)/bin/check-wheel-contents dist
	@$(PYTEST) tests/dist
	@[ -e "$(WHEEL_VENV)/ready" ] || { rm -rf "$(WHEEL_VENV)" && $(PYTHON) -m venv "$(WHEEL_VENV)" && \
	  $(WHEEL_VENV)/bin/pip install -q --disable-pip-version-check -c constraints.txt "$$(echo dist/*.whl)[instruments]" && \
	  touch "$(WHEEL_VENV)/ready"; }
	@$(WHEEL_VENV)/bin/pip install -q --disable-pip-version-check --force-reinstall --no-deps dist/*.whl
	@$(WHEEL_VENV)/bin/python -I tests/dist/call.py

sbom: dist ## write build/sbom.cdx.json: all that the wheel was run with
	@mkdir -p build
	@version=$$($(DIST_VENV)/bin/hatchling version) && $(DIST_VENV)/bin/cyclonedx-py environment \
	  --pyproject <(sed "s/^dynamic = .*/version = \"$$version\"/" pyproject.toml) \
	  --output-reproducible --output-file build/sbom.cdx.json "$(WHEEL_VENV)/bin/python"

changelog: $(VENV)/ready ## show the next release's changes; with VERSION=1.2.3, put them into CHANGELOG.md
	@$(BIN)/towncrier build $(if $(VERSION),--yes --version $(VERSION),--draft --version unreleased)

faults: $(VENV)/ready ## an error in each function of the package in turn: what do calls lose?
	@PYTHONPATH=tests:examples/dental_receptionist $(BIN)/python -B -m faults $(POINTS)

outages: $(VENV)/ready ## four calls against each way a backend can be sick: what is lost, what is counted
	@PYTHONPATH=tests:examples/dental_receptionist $(BIN)/python -B -m faults.outages

collector: ## build the OpenTelemetry Collector that the tests run, once
	@$(PYTHON) collector-config/build.py

docs: $(VENV)/ready ## write the tables of the pages that are made from the code
	@PYTHONPATH=tests $(BIN)/python -B docs/generate.py

dashboards: $(VENV)/ready ## build the Grafana dashboards' JSON
	@$(BIN)/python -B collector-config/grafana/generate.py

bench: $(VENV)/ready tools ## ratios side by side, medians
	@for bench in benchmarks/bench_*.py; do $(BIN)/python $$bench; done

picture: $(VENV)/ready tools ## draw the README's waterfall from a real call
	@cd examples/dental_receptionist && PICTURE=../../docs/call.svg $(BIN)/python demo.py

picture-phoenix: $(VENV)/ready tools $(PHOENIX_VENV)/ready ## photograph a real call in Arize Phoenix for the README
	@$(call need,chromium,chromium)
	@PYTHONPATH=tests:examples/dental_receptionist $(BIN)/python -B -m backends.picture docs/phoenix.png

picture-dashboards: $(VENV)/ready tools servers ## draw the README's dashboards from real calls
	@PYTHONPATH=tests:examples/dental_receptionist $(BIN)/python -B -m backends.dashboard_pictures docs

clean: ## remove the cached environments
	@rm -rf "$(VENV)" "$(DIST_VENV)" "$(WHEEL_VENV)" "$(PHOENIX_VENV)"
