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
demo: tools ## Start the lab and show the collection at work; KEEP=1 leaves the routers running
	$(BIN)/python tests/tools/as_collection.py demo $(if $(KEEP),--keep)

.PHONY: test
test: tools ## Run every check with the newest ansible-core, in about 20 minutes; SESSIONS="lint units-2.18" for some
	@$(BIN)/python tests/tools/run_sessions.py $(SESSIONS)

.PHONY: test-all
test-all: tools ## Run every test, and what depends on ansible-core with every supported version
	@$(BIN)/python tests/tools/run_sessions.py --all

RELEASES = bookworm trixie
USERS = root user
COMMANDS = demo test
.PHONY: test-bare
test-bare: $(TOOLS) ## Run "make demo" and "make test" on minimal Debians (as root); RELEASES=bookworm USERS=root COMMANDS=demo for some
	@$(BIN)/python tests/tools/bare_machine.py --releases "$(RELEASES)" --users "$(USERS)" --commands "$(COMMANDS)" \
		--sessions "$(SESSIONS)"

.PHONY: benchmark
benchmark: tools ## Measure what things cost, beside others; QUICK=1 in 2 minutes, JSON=FILE writes the result
	@$(BIN)/python -m pip install --quiet --requirement tests/requirements/peers.txt
	@$(BIN)/python tests/tools/as_collection.py benchmark $(if $(QUICK),--quick) $(if $(JSON),--json "$(JSON)")

.PHONY: soak
soak: tools ## Work on 200 routers for 20 minutes while faults happen; SOAK="--minutes 2 --routers 40" for less
	@$(BIN)/python tests/tools/as_collection.py soak $(SOAK)

FUZZ_SECONDS = 20
.PHONY: fuzz
fuzz: $(TOOLS) ## Fuzz what reads the words of others; FUZZ_SECONDS=60 for each target, TARGETS="qmp times" for some
	@$(BIN)/nox --session fuzz -- --seconds $(FUZZ_SECONDS) $(TARGETS)

.PHONY: lint
lint: $(TOOLS) ## Check format, style, types, licenses, changelog and documentation
	@$(BIN)/nox --session lint

.PHONY: docs
docs: $(TOOLS) ## Build the documentation as a website in .build/docs/html
	@$(BIN)/nox --session docs

.PHONY: release
release: $(TOOLS) ## Build the archive of the collection in .build/release, and check it
	@$(BIN)/nox --session release

.PHONY: clean
clean: ## Remove everything that the other commands made
	rm -rf .venv .nox .build .ansible .hypothesis .mypy_cache .pytest_cache .ruff_cache tests/output
	find plugins tests -name __pycache__ -prune -exec rm -rf {} +

PACKAGES = demo
test test-all benchmark soak: PACKAGES = test
.PHONY: packages
packages:
	@python3 tests/tools/system_packages.py $(PACKAGES)

.PHONY: tools
tools: packages $(TOOLS)
	@$(BIN)/python tests/tools/optional_tools.py

$(TOOLS): tests/requirements/nox.txt tests/requirements/demo.txt | packages
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found" >&2; exit 1; }
	@$(PYTHON) tests/tools/set_up_tools.py
	@touch $@
