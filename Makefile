# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

# The first Python that is new enough (a pyenv shim may be there and not run).
PYTHON = $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
TOOLS := $(BIN)/.tools-installed

.PHONY: help
help: ## Show this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

.PHONY: demo
demo: packages-demo $(TOOLS) ## Start the lab and show the collection at work; KEEP=1 leaves the routers running
	$(BIN)/python tests/demo.py $(if $(KEEP),--keep)

.PHONY: test
test: packages-test $(TOOLS) ## Run every check with the oldest and the newest ansible-core; SESSIONS="lint units-2.18" for some
	@$(BIN)/python tests/tools/run_sessions.py $(SESSIONS)

.PHONY: test-all
test-all: packages-test $(TOOLS) ## Run every check with every supported ansible-core
	@$(BIN)/python tests/tools/run_sessions.py --all

.PHONY: benchmark
benchmark: $(TOOLS) ## Measure what a task and a file cost, against their floors
	@$(BIN)/python tests/benchmark/run.py
	@$(BIN)/python tests/benchmark/uploads.py

.PHONY: lint
lint: $(TOOLS) ## Check format, style, types, licences, changelog and documentation
	@$(BIN)/nox --session lint

.PHONY: clean
clean: ## Remove everything that the other commands made
	rm -rf .venv .nox .build .ansible .hypothesis .mypy_cache .pytest_cache .ruff_cache tests/output
	find plugins tests -name __pycache__ -prune -exec rm -rf {} +

.PHONY: packages-demo packages-test
packages-demo packages-test: packages-%:
	@tests/tools/system_packages.sh $*

$(TOOLS): tests/requirements/nox.txt tests/requirements/demo.txt tests/requirements/backends.txt | packages-demo
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --requirement tests/requirements/nox.txt --requirement tests/requirements/demo.txt
	@# One by one: the demo does without a backend whose library cannot be had (libvirt's is compiled).
	@for library in $$(grep -v '^#' tests/requirements/backends.txt); do \
		$(BIN)/python -m pip install --quiet "$$library" || echo "$$library cannot be installed here" >&2; done
	@touch $@
