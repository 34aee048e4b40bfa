# Every target sets itself up. `make help` says what there is.
# ARGS is passed on: make demo ARGS="--broken crm", make test ARGS="tests/config -k yaml".
# `make test` alone shares the tests out, file by file, among JOBS processes; a part of them runs in one.
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint prove bench lab lab-down docs requirements clean

VENV ?= .venv
BIN := $(VENV)/bin
export VENV
JOBS ?= 4

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

setup: ## leave .venv/bin/fairlead, ready to run
	@scripts/setup.sh run

demo: setup ## tell the whole story on this machine: no root, no servers, no configuration
	@$(BIN)/fairlead demo $(ARGS)

test: ## all tests, against a real sshd, real files, real processes
	@scripts/setup.sh dev servers
	@$(BIN)/python -m pytest $(if $(ARGS),$(ARGS),-n $(JOBS) --dist loadfile --no-loadscope-reorder)

lint: ## format, style, types, the spine's contracts, and whether the reference is current
	@scripts/setup.sh dev
	@scripts/lint.sh

prove: ## kills, races, fuzz, leaks and mutations of the product; takes long, prints a table
	@scripts/setup.sh dev servers reporters
	@$(BIN)/python -m prove $(ARGS)

bench: ## what it costs: a table, and build/bench.json
	@scripts/setup.sh dev servers
	@$(BIN)/python -m bench $(ARGS)

lab: setup ## boot real systemd hosts in namespaces of their own; needs root, see lab/README.md
	@lab/lab.sh up

lab-down: ## put them away
	@lab/lab.sh down

docs: ## write docs/reference.md anew from the commands and the schema
	@scripts/setup.sh dev
	@$(BIN)/python scripts/reference.py

requirements: ## pin requirements/*.txt anew, with hashes
	@scripts/requirements.sh $(ARGS)

clean: ## delete everything that make made, .venv too
	rm -rf $(VENV) build src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests scripts bench -name __pycache__ -type d -prune -exec rm -rf {} +
