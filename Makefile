# Everything is installed into virtual environments inside this directory, from the hashed locks
# in requirements/. Needed beforehand: Python 3.11, 3.12 or 3.13 with its venv module, git, make.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.SUFFIXES:
MAKEFLAGS += --no-print-directory

SUPPORTED := 3.11 3.12 3.13
CODE := streamer tests $(wildcard benchmarks)

# The first of these that runs and is a supported version; override with `make PYTHON=… test`.
# It is run, not just looked for: a version manager leaves names that answer with an error.
IS_SUPPORTED := import sys; sys.exit("%d.%d" % sys.version_info[:2] not in "$(SUPPORTED)".split())
ifndef PYTHON
PYTHON := $(or $(shell for python in $(SUPPORTED:%=python%) python3; do \
	$$python -c '$(IS_SUPPORTED)' 2>/dev/null && echo $$python && break; done),python3)
endif
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)

# `make run` has an environment of its own with nothing in it for development, and every Python
# has one for the tests. Two empty files in each say how far it is: `locked` is older than a lock
# that changed, `ready` than a pyproject.toml that did.
RUN := .venv
DEV := .venv-$(VERSION)
RUN_READY := $(RUN)/ready-$(VERSION)
DEV_READY := $(DEV)/ready-$(VERSION)
BIN := $(DEV)/bin

# What the program is measured against is installed apart from both.
BENCH := .venv-bench-$(VERSION)
BENCH_READY := $(BENCH)/ready-$(VERSION)

PIP := -m pip --disable-pip-version-check --no-input
# The lock names everything, so nothing is resolved; wheels only, because building one would
# fetch tools that no hash covers and need a compiler.
LOCKED := -qq --require-hashes --no-deps --only-binary :all:
# The build backend comes out of the lock as well.
OURSELVES := -qq --no-deps --no-build-isolation --no-index

# A new environment from a lock; the arguments are the directory and the lock.
define make_environment
	@$(PYTHON) -c '$(IS_SUPPORTED)' 2>/dev/null || { \
		echo >&2 "error: one of Python $(SUPPORTED) is needed;" \
			"$(PYTHON) $(if $(VERSION),is $(VERSION),does not run)."; \
		echo >&2 "       On Debian 12: apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo >&2 "error: $(PYTHON) comes without its venv module."; \
		echo >&2 "       On Debian: apt-get install python$(VERSION)-venv"; exit 1; }
	@echo "Installing $(2) into $(1) with Python $(VERSION)"
	@$(PYTHON) -m venv --clear $(1)
	@$(1)/bin/python $(PIP) install $(LOCKED) -r $(2)
	@touch $@
endef

# The program itself, editable, into the environment that is the argument.
define install_ourselves
	@$(1)/bin/python $(PIP) install $(OURSELVES) -e .
	@$(1)/bin/python $(PIP) check >$(1)/pip-check.txt || { \
		cat >&2 $(1)/pip-check.txt; \
		echo >&2 "error: the lock does not fit pyproject.toml; run make lock"; exit 1; }
	@touch $@
endef

.PHONY: help
help: ## Show what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(RUN)/locked-$(VERSION): requirements/run.lock
	$(call make_environment,$(RUN),$<)

$(DEV)/locked-$(VERSION): requirements/dev.lock
	$(call make_environment,$(DEV),$<)

$(BENCH)/locked-$(VERSION): requirements/bench.lock
	$(call make_environment,$(BENCH),$<)

%/ready-$(VERSION): %/locked-$(VERSION) pyproject.toml
	$(call install_ourselves,$*)

.PHONY: install
install: $(RUN_READY) ## Install the program into .venv

.PHONY: run
run: $(RUN_READY) ## Install if needed and run the service; ARGS="--config …" to pass more
	@$(RUN)/bin/streamer serve $(ARGS)

# Side by side, a file at a time: much of a test's time is waiting. WORKERS=0 to debug one.
WORKERS := 2

.PHONY: test
test: $(DEV_READY) ## Run the tests; ARGS="-k words" to choose some
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

.PHONY: test-all
test-all: ## Run the tests on every supported Python that this machine has
	@found=; missing=; failed=; \
	for version in $(SUPPORTED); do \
		python=; \
		for candidate in python$$version $$HOME/.pyenv/versions/$$version.*/bin/python; do \
			if $$candidate -c '' 2>/dev/null; then python=$$candidate; break; fi; \
		done; \
		if [ -z "$$python" ]; then missing="$$missing $$version"; continue; fi; \
		found="$$found $$version"; \
		echo "== Python $$version"; \
		$(MAKE) test PYTHON=$$python || failed="$$failed $$version"; \
	done; \
	echo "Tested:$${found:- none}. Not on this machine:$${missing:- none}. Failed:$${failed:- none}."; \
	[ -n "$$found" ] && [ -z "$$failed" ]

.PHONY: check
check: check-format lint types layers test ## Everything that must pass before a merge

.PHONY: check-format
check-format: $(DEV_READY) ## Is the code laid out as `make format` would?
	@echo "== format"
	@$(BIN)/ruff format --check --quiet --diff $(CODE)

.PHONY: lint
lint: $(DEV_READY) ## Look for mistakes with ruff
	@echo "== lint"
	@$(BIN)/ruff check --quiet $(CODE)

.PHONY: types
types: $(DEV_READY) ## Check the types with mypy
	@echo "== types"
	@$(BIN)/mypy $(CODE)

.PHONY: layers
layers: $(DEV_READY) ## Check that modules import only what is below them
	@echo "== layers"
	@$(BIN)/lint-imports --no-logo

.PHONY: format
format: $(DEV_READY) ## Lay the code out, and mend what can be mended without thinking
	@$(BIN)/ruff check --quiet --fix-only $(CODE)
	@$(BIN)/ruff format $(CODE)

.PHONY: coverage
coverage: $(DEV_READY) ## Run the tests and list the lines and branches that none of them takes
	@$(BIN)/coverage run -m pytest $(ARGS)
	@$(BIN)/coverage report

.PHONY: bench
bench: $(BENCH_READY) ## Measure everything, small, in some minutes; ARGS="--only serial" for some
	@$(BENCH)/bin/python -m benchmarks.all $(ARGS)

.PHONY: bench-full
bench-full: $(BENCH_READY) ## Measure everything at full size: hours, on a machine left alone
	@$(BENCH)/bin/python -m benchmarks.all --full $(ARGS)

.PHONY: bench-report
bench-report: $(DEV_READY) ## Write tables and pictures from the results that are kept
	@$(BIN)/python -m tests.docs.generate
	@$(BIN)/python -m benchmarks.plot

# The run lock is held to the versions in the development lock: what runs is what was tested.
# Locked versions stay unless something asks for others; another uv can be used with UV=uv.
UV := $(BIN)/uv
COMPILE = $(UV) pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-annotate --custom-compile-command 'make lock'

.PHONY: lock
lock: ## Write the locks anew; ARGS=--upgrade to take the newest versions
	@command -v $(UV) >/dev/null || $(MAKE) $(DEV)/locked-$(VERSION)
	@$(COMPILE) $(ARGS) -c requirements/constraints.txt --group dev --all-extras \
		-o requirements/dev.lock
	@$(COMPILE) $(ARGS) -c requirements/dev.lock --group build -o requirements/run.lock
	@$(COMPILE) $(ARGS) -c requirements/dev.lock --group build --group bench \
		-o requirements/bench.lock

.PHONY: clean
clean: ## Remove environments, caches and builds; data stays
	@rm -rf .venv .venv-* build dist .coverage .mypy_cache .ruff_cache .pytest_cache \
		.import_linter_cache .hypothesis
	@find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
