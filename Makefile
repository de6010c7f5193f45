# Everything runs in .venv, which is made on first use and again when its ingredients change.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PICTURES ?= docs/images

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  PYTHON=python3.12 picks another Python (3.10 or newer)"

venv: $(READY) ## set up .venv: Airflow, this package, the tools

demo: $(READY) ## watch Airflow wait for a MongoDB backup (about a minute); UI=1 keeps it up to look around
	@$(BIN)/python -m dev.demo $(if $(filter-out 0,$(UI)),--ui)

test: $(READY) ## run the tests: unit, emulator, integration, and end to end on a real Airflow
	@$(BIN)/python -m pytest -m "not standalone and not mutants" $(ARGS)

test-fast: $(READY) ## run the tests that need no running Airflow
	@$(BIN)/python -m pytest -m "not e2e and not standalone and not mutants" $(ARGS)

test-standalone: $(READY) ## kill tasks, workers and triggerers of a real Airflow at the worst moments (4 minutes)
	@$(BIN)/python -m pytest -m standalone $(ARGS)

test-mutants: $(READY) ## break the package on purpose, and see the fault search find it (7 minutes)
	@$(BIN)/python -m pytest -m mutants $(ARGS)

test-browser: $(READY) ## try the connection form and a run in headless Chromium, and take the pictures in docs/images
	@$(BIN)/python -m dev.browser
	@PICTURES=$(PICTURES) $(BIN)/python -m pytest tests/browser $(ARGS)

test-matrix: ## run the tests on every Airflow and Python here; AIRFLOW=3.0 PYTHON=3.12 picks
	@[ -x $(BIN)/uv ] || $(MAKE) --no-print-directory venv PYTHON=python3
	@$(BIN)/python -m dev.matrix $(if $(AIRFLOW),--airflow $(AIRFLOW)) $(if $(filter command,$(origin PYTHON)),--python $(PYTHON:python%=%)) $(if $(ARGS),--pytest $(ARGS))

faults: $(READY) ## search for faults that break a promise; SCHEDULES=2000 many, SEED=... plays those of a seed again, PARTS=2 at a time
	@$(BIN)/python -m tests.faults --schedules $(or $(SCHEDULES),2000) $(if $(SEED),--seed $(SEED)) $(if $(PARTS),--parts $(PARTS))

bench: $(READY) ## measure what waiting costs (under 20 minutes); BENCHMARKS="looks poll" picks, PAGE=1 writes docs/waiting.md
	@$(BIN)/python -m dev.extras bench matplotlib
	@$(BIN)/python -m benchmarks $(if $(filter-out 0,$(PAGE)),--page) $(BENCHMARKS)

lint: $(READY) ## check style, types, imports and spelling
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict -p airflow_provider_dds
	$(BIN)/deptry .
	$(BIN)/lint-imports
	$(BIN)/codespell

format: $(READY) ## tidy the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(READY) ## build the documentation into build/site, and check its links
	@$(BIN)/python -m dev.docs

package: $(READY) ## build wheel and sdist into dist/, check them, and install the wheel into an empty environment
	@$(BIN)/python -m dev.package

constraints: ## pick today's versions for each Python that is installed
	@$(PYTHON) -m dev.constraints

clean: ## delete .venv and everything else that was made
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml dev/bootstrap.py $(wildcard constraints/*.txt)
	@$(PYTHON) dev/bootstrap.py $(VENV)

# A Python named by the caller is looked at each time: it may be another one than that of .venv.
ifneq ($(origin PYTHON),file)
$(READY): always
always:
endif

.PHONY: always help venv demo test test-fast test-matrix test-standalone test-mutants test-browser faults bench lint format docs package constraints clean
