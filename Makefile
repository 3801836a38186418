# The commands of the project. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SUITE := $(VENV)/json-schema-test-suite

# The first interpreter that is new enough; `make setup PYTHON=…` names another.
PYTHON ?= $(shell for candidate in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	if $$candidate -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then echo $$candidate; break; fi; done)

# An environment of its own: the generator is older than the libraries (see pyproject.toml).
PROTO_VENV := .venv-proto
PROTO_STAMP := $(PROTO_VENV)/.installed

POSTGRES15_BIN ?= /usr/lib/postgresql/15/bin
PYTEST_ARGUMENTS ?=
# Four processes on two cores, as many tests wait for time-outs. Each process begins with its own part of the suite, so
# that tests that start programs run beside tests that wait. Without bytecode, these programs would compile all modules.
PYTEST = env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n 4 --dist worksteal $(PYTEST_ARGUMENTS)

.PHONY: help
help: ## print this list
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | while IFS=$$'\t' read -r target text; \
		do printf '  %-18s %s\n' "$$target" "$$text"; done

.PHONY: setup
setup: $(STAMP) ## create .venv and install the locked packages into it
	@:

# The stamp is written last, so that an interrupted install is repeated. The umask lets another user read the packages:
# started by root, the embedded PostgreSQL runs as one.
$(STAMP): requirements-dev.lock pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "configsvc needs Python 3.11 or newer with the venv module (Debian: apt install python3-venv);" \
			"name one with: make setup PYTHON=/path/to/python3" >&2; exit 1; fi
	@rm -f $@
	umask 022; $(PYTHON) -m venv $(VENV)
	umask 022; $(BIN)/pip install --disable-pip-version-check --quiet --require-hashes --requirement requirements-dev.lock
	umask 022; $(BIN)/pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: run
run: setup ## serve on 127.0.0.1:50051, and HTTP on 127.0.0.1:50080, with the embedded PostgreSQL
	@if [ -z "$${CONFIGSVC_HTTP_LISTEN+set}" ] && ! grep -qs '^ *CONFIGSVC_HTTP_LISTEN *=' .env; then \
		export CONFIGSVC_HTTP_LISTEN=127.0.0.1:50080; fi; exec $(BIN)/configsvc serve

.PHONY: demo
demo: setup ## load demo configurations into the running service, change some, and show the watch
	@exec $(BIN)/python -m demo $(DEMO_ARGUMENTS)

.PHONY: psql
psql: setup ## open psql on the database of `make run`
	@exec $(BIN)/python scripts/psql.py

.PHONY: test
test: setup ## run the whole test suite against the embedded PostgreSQL 18
	@$(PYTEST)

.PHONY: test-ngh2
test-ngh2: setup ## run the test suite on the transport ngh2 (CONFIGSVC_TRANSPORT)
	@CONFIGSVC_TEST_TRANSPORT=ngh2 $(PYTEST)

.PHONY: json-schema-suite
json-schema-suite: $(SUITE)/tests ## download the JSON-Schema-Test-Suite, which a test runs (needs the network)
	@:

# The source package of jsonschema contains it; the version and its hash are locked.
$(SUITE)/tests: requirements-dev.lock | $(STAMP)
	@rm -rf $(SUITE); mkdir -p $(SUITE)/download
	@grep -A 2 '^jsonschema==' requirements-dev.lock >$(SUITE)/download/requirements.txt
	@$(BIN)/pip download --disable-pip-version-check --quiet --no-deps --no-binary jsonschema --require-hashes \
		--requirement $(SUITE)/download/requirements.txt --dest $(SUITE)/download
	@tar --extract --gzip --touch --file $(SUITE)/download/jsonschema-*.tar.gz --directory $(SUITE) \
		--strip-components 2 --wildcards '*/json/tests' '*/json/remotes'
	@rm -r $(SUITE)/download

.PHONY: test-postgres18
test-postgres18: setup ## run the test suite against PostgreSQL 18 (the embedded one)
	@env -u CONFIGSVC_TEST_POSTGRES_BIN $(PYTEST)

.PHONY: test-postgres15
test-postgres15: setup ## run the test suite against the PostgreSQL 15 in POSTGRES15_BIN
	@if [ ! -x "$(POSTGRES15_BIN)/initdb" ]; then \
		echo "no PostgreSQL 15 in $(POSTGRES15_BIN): install postgresql-15 or set POSTGRES15_BIN" >&2; exit 1; fi
	@CONFIGSVC_TEST_POSTGRES_BIN="$(POSTGRES15_BIN)" $(PYTEST)

# Tests with a long form.
ROBUSTNESS = tests/robustness tests/operations/test_runner_processes.py tests/watch/test_watches_large_commits.py tests/watch/test_watches_state_machine.py tests/transports

.PHONY: robustness
robustness: setup ## run the robustness suite in its long form, with the real limits (tests/robustness/README.md)
	@CONFIGSVC_ROBUSTNESS=long $(PYTEST) --timeout=3600 -o faulthandler_timeout=3600 $(ROBUSTNESS)

.PHONY: conformance
conformance: setup ## compare the answers of every operation over HTTP with the OpenAPI document, at length (15 minutes)
	@CONFIGSVC_CONFORMANCE=long $(PYTEST) --timeout=3600 -o faulthandler_timeout=3600 tests/web/test_openapi_conformance.py

BENCH_ARGUMENTS ?= run

# Figures are worthless if other programs keep the machine busy.
.PHONY: bench
bench: setup ## compare the service with its limits, etcd and its targets (20 minutes; BENCH_ARGUMENTS=--help)
	@bench/install-peers.sh
	@$(BIN)/python -m bench $(BENCH_ARGUMENTS)

.PHONY: check
check: setup $(PROTO_STAMP) ## check format, lint, types, layers, protos, generated code, OpenAPI and SQL
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/check.sh

.PHONY: format
format: setup ## format Python and proto files
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix-only --quiet .
	@if [ -d protos ]; then $(BIN)/buf format protos --write; fi

.PHONY: proto
proto: setup $(PROTO_STAMP) ## generate code, descriptors, the OpenAPI document and the reference of the API from protos/
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/proto.sh

$(PROTO_STAMP): requirements-proto.lock
	@rm -f $@
	@$(PYTHON) -m venv $(PROTO_VENV)
	@$(PROTO_VENV)/bin/pip install --disable-pip-version-check --quiet --require-hashes --requirement $<
	@touch $@

# Not uv.lock, which would contain the addresses of package registries: these files contain only names and hashes.
LOCK = $(BIN)/uv pip compile --quiet --no-config --universal --generate-hashes --python-version 3.11 \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' $(LOCK_ARGUMENTS)

# The image installs the first, development the second.
EXTRAS = --extra server --extra embedded

.PHONY: console
console: ## build the console of console/ into generated/console (needs npm)
	@scripts/console.sh

.PHONY: console-images
console-images: setup ## take the pictures of docs/guide/console.md (needs Chromium)
	@$(BIN)/pytest -q -p no:xdist tests/console/images.py

.PHONY: command-line-reference
command-line-reference: setup ## write docs/reference/command-line.md from the commands
	@$(BIN)/python scripts/command_line_reference.py

.PHONY: lock
lock: setup ## update the lock files (LOCK_ARGUMENTS=--upgrade for the newest versions)
	@$(LOCK) $(EXTRAS) --output-file requirements.lock pyproject.toml
	@$(LOCK) $(EXTRAS) --extra tools --group dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml
	@$(LOCK) --group build --constraint requirements-dev.lock --output-file requirements-build.lock
	@$(LOCK) --group audit --output-file requirements-audit.lock
	@$(LOCK) --group proto --output-file requirements-proto.lock
	@echo "locked; \`make setup\` installs what changed"

# An environment of its own, as nothing else needs these packages.
AUDIT_VENV := .venv-audit
AUDIT_STAMP := $(AUDIT_VENV)/.installed

.PHONY: audit
audit: $(AUDIT_STAMP) ## check the locked packages for known vulnerabilities (needs the network)
	@PATH="$(CURDIR)/$(AUDIT_VENV)/bin:$$PATH" scripts/audit.sh

$(AUDIT_STAMP): requirements-audit.lock
	@rm -f $@
	@$(PYTHON) -m venv $(AUDIT_VENV)
	@$(AUDIT_VENV)/bin/pip install --disable-pip-version-check --quiet --require-hashes --requirement $<
	@touch $@

.PHONY: build
build: setup ## build the source distribution and the wheel into dist/
	@rm -rf dist
	@$(BIN)/uv build --no-config --quiet
	@ls dist

.PHONY: clean
clean: ## remove everything built or installed, except the data in .configsvc/
	@rm -rf $(VENV) $(AUDIT_VENV) $(PROTO_VENV) dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
