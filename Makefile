# `make help` lists the targets. Each one creates the environment it needs.

PYTHON   ?= python3
VENV     ?= .venv
DURATION ?=
MINUTES  ?= 3
TIMES    ?= 50
SEED     ?=
ARGS     ?=
# The lock that CI uses; `make LOCK= test` takes the newest versions that pyproject.toml allows.
LOCK     ?= requirements.lock

BIN   := $(VENV)/bin
READY := $(VENV)/.ready
PIP   := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help env demo skid test unit matching soak crash attack check lint types imports format interop bench bench-env docs lock clean

help: ## List every target
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

env: $(READY) ## Create the environment in .venv

$(READY): pyproject.toml $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "skidlink needs Python 3.11 or newer: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "creating the environment in $(VENV) (once, about a minute)"
	@$(PYTHON) tools/make_venv.py $(VENV)
	@$(PIP) install "pip>=25.1"
	@$(PIP) install $(if $(LOCK),--constraint $(LOCK)) --group dev --editable .
	@touch $@

demo: $(READY) ## Run the engine on the simulated skid and show its tags live (DURATION=10 ends by itself)
	@$(BIN)/skidlink demo $(if $(DURATION),--duration $(DURATION)) $(ARGS)

skid: $(READY) ## Start the simulated skid alone: an OPC UA and a Modbus TCP server
	@$(BIN)/skidlink skid $(ARGS)

test: $(READY) ## Run the unit and system tests with coverage
	@$(BIN)/python -m pytest --cov --cov-report=term $(ARGS)

unit: $(READY) ## Run the unit tests only (no sockets, seconds)
	@$(BIN)/python -m pytest tests/unit $(ARGS)

matching: $(READY) ## Read a million Modbus blocks from lines that spoil, double and delay responses (minutes)
	@SKIDLINK_MATCHING_READINGS=1000000 $(BIN)/python -m pytest tests/unit/test_modbus_matching.py $(ARGS)

interop: $(READY) ## Test against the real Open Pectus aggregator (needs Python 3.12 or 3.13 for its environment)
	@$(BIN)/python -m pytest tests/interop $(ARGS)

soak: $(READY) ## Run the engine for MINUTES with faults from SEED, each value held against the skid
	@$(BIN)/python -m tests.soak.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

crash: $(READY) ## Kill the engine TIMES times in a run, at moments from SEED, and see that nothing is lost
	@$(BIN)/python -m tests.soak.crash --times $(TIMES) $(if $(SEED),--seed $(SEED)) $(ARGS)

attack: $(READY) ## Attack the engine for MINUTES with hostile slaves, an aggregator, a damaged store and a full disk
	@$(BIN)/python -m tests.soak.attack --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

check: lint types imports ## All static checks

lint: $(READY) ## ruff: lint and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY) ## pyright, strict
	@$(BIN)/pyright --warnings

imports: $(READY) ## import-linter: who may know whom
	@$(BIN)/lint-imports

format: $(READY) ## Format the code and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: bench-env ## Measure against the peers (ARGS=--quick for a first look)
	@for bench in core tick modbus opcua uplink scale; do \
		if [ -f bench/$$bench.py ]; then echo "== bench.$$bench"; $(BIN)/python -m bench.$$bench $(ARGS) || exit 1; fi; \
	done

bench-env: $(READY) ## Make an environment for each peer in .bench-env
	@$(BIN)/python -m bench.environments

docs: $(READY) ## Build the documentation into build/site
	@$(PIP) install --group docs
	@$(BIN)/mkdocs build --strict --quiet

lock: ## Write requirements.lock anew from the newest versions that pyproject.toml allows
	@$(PYTHON) tools/make_venv.py .venv-lock --clear
	@.venv-lock/bin/python -m pip --quiet install "pip>=25.1"
	@.venv-lock/bin/python -m pip --quiet install --group dev --editable .
	@.venv-lock/bin/python -m pip freeze --exclude-editable --exclude pip --exclude setuptools > requirements.lock

clean: ## Remove the environments and caches
	@rm -rf .venv .venv-* .bench-env .pytest_cache .ruff_cache .hypothesis .coverage
