# Everything a newcomer types. `make` alone lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DAGSTER_PORT ?= 3000
MLFLOW_PORT ?= 5000
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help run test ui backup restore lint format bench clean install

help: ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else f"Python {v[0]}.{v[1]} found, 3.11 to 3.13 needed: make PYTHON=python3.11 run")'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.base: pyproject.toml constraints.txt | $(VENV)/.python
	@echo "Installing (two to five minutes, once) ..."
	@$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	@echo "Installing what the tests need ..."
	@$(PIP) install --constraint constraints.txt --editable '.[learn,live,dev]'
	@touch $@

install: $(VENV)/.base ## Create .venv and install the base

run: $(VENV)/.base ## One night on the market data that ships with the install: ranked names and a report
	@$(BIN)/quant-assets run

test: $(VENV)/.dev ## Install everything and run the tests
	@$(BIN)/python -m pytest --numprocesses $$(($$(nproc) + 1)) --dist loadfile --no-loadscope-reorder

ui: $(VENV)/.base ## Dagster and MLflow in the browser, on loopback; Ctrl-C stops both
	@$(BIN)/python -m quant_assets.ui --dagster-port $(DAGSTER_PORT) --mlflow-port $(MLFLOW_PORT)

backup: $(VENV)/.base ## Lake, models, reports and run history as one archive in backups/
	@$(BIN)/python -m quant_assets.cli.backup save

restore: $(VENV)/.base ## Put FROM=backups/NAME.tar.gz back where nothing is stored
	@$(BIN)/python -m quant_assets.cli.backup restore "$(FROM)"

lint: $(VENV)/.dev ## Lint, format check, type check
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(VENV)/.dev ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/.dev ## Print the measured figures beside what a user would pick instead
	@$(BIN)/python benchmarks/lake.py
	@$(BIN)/python benchmarks/sources.py
	@$(BIN)/python benchmarks/facts.py
	@$(BIN)/python benchmarks/histories.py
	@$(BIN)/python benchmarks/suites.py
	@$(BIN)/python benchmarks/corrupted.py
	@$(BIN)/python benchmarks/repairs.py
	@$(BIN)/python benchmarks/price_repair.py
	@$(BIN)/python benchmarks/features.py
	@$(BIN)/python benchmarks/labels.py
	@$(BIN)/python benchmarks/splitters.py
	@$(BIN)/python benchmarks/learners.py
	@$(BIN)/python benchmarks/backtest.py
	@$(BIN)/python benchmarks/leakcheck.py
	@$(BIN)/python benchmarks/night.py
	@$(BIN)/python benchmarks/operate.py
	@$(BIN)/python benchmarks/red_check.py
	@$(BIN)/python benchmarks/install.py

clean: ## Remove every store (data, models, reports, logs); the install and backups stay
	@rm -rf data outputs mlflow/mlflow.db* mlflow/artifacts mlflow/studies.db* mlflow/waiting mlflow/sent
	@echo "Removed data/, outputs/ and the MLflow store."
