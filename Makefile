# Everything runs in .venv, from the locked dependencies. Only Python 3.11 or newer, git and make are needed.

PYTHON ?= python3
VENV := .venv
OWN_UV := .cache/uv
UV ?= $(shell command -v uv 2>/dev/null || echo $(OWN_UV)/bin/uv)
export UV_PYTHON_DOWNLOADS := never
RUN := $(UV) run --no-sync
RELEASE := $(UV) run --isolated --locked --only-group release
BIN ?= /usr/bin/chequr-agent
UNITS := /usr/lib/systemd/system

.DEFAULT_GOAL := help
.PHONY: help setup demo test check faults docs format install-systemd release-check clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 17

setup: $(VENV)/.synced  ## install everything into .venv

demo: setup  ## collect, queue and deliver to a local Chequr API, without any account
	@$(RUN) chequr-agent demo

test: check  ## all checks and all tests
	$(RUN) pytest --numprocesses=4 --dist=worksteal --cov

check: setup  ## format, lint, types, layers, dependencies
	$(RUN) ruff format --check
	$(RUN) ruff check
	$(RUN) mypy
	$(RUN) lint-imports
	$(RUN) deptry agent collectors

faults: setup  ## break everything that delivery depends on, again and again (about half an hour; root for disks)
	FAULTS=long $(RUN) pytest tests/faults --durations=10

docs: setup  ## write the generated references anew
	$(RUN) python -m agent.reference

format: setup  ## format the code and mend what ruff can
	$(RUN) ruff check --fix
	$(RUN) ruff format

install-systemd:  ## install the units (DESTDIR=, BIN=/usr/bin/chequr-agent): docs/deployment.md says the rest
	@install -d $(DESTDIR)$(UNITS) $(DESTDIR)/usr/lib/sysusers.d $(DESTDIR)/usr/lib/tmpfiles.d
	@for unit in systemd/*.service systemd/*.timer; do \
		sed 's|/usr/bin/chequr-agent|$(BIN)|' "$$unit" > "$(DESTDIR)$(UNITS)/$${unit#systemd/}"; \
	done
	@install -m 644 systemd/chequr-agent.sysusers $(DESTDIR)/usr/lib/sysusers.d/chequr-agent.conf
	@install -m 644 systemd/chequr-agent.tmpfiles $(DESTDIR)/usr/lib/tmpfiles.d/chequr-agent.conf

release-check: setup  ## build what is released, and look at it: wheel, metadata, bill of materials, workflows
	rm -rf dist
	$(UV) build --quiet
	$(RELEASE) check-wheel-contents --ignore=W004,W009 dist/*.whl
	$(RELEASE) twine check --strict dist/*
	$(UV) export --locked --no-default-groups --format=cyclonedx1.5 --quiet --output-file=dist/sbom.cdx.json
	$(RELEASE) zizmor --offline --quiet .github/workflows
	@ls -l dist

clean:  ## remove what the targets above made
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage dist

$(VENV)/.synced: pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	@command -v $(UV) >/dev/null || { $(PYTHON) -m venv $(OWN_UV) && $(OWN_UV)/bin/pip install --quiet --disable-pip-version-check uv; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv --without-pip $(VENV)
	@echo "Installing into $(VENV) ..."
	@$(UV) sync --locked --group dev --quiet
	@touch $@
