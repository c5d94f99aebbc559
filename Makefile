# The few commands of this repository; `make help` lists them. ./bootstrap prepares the machine first.
PY := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help up demo node test fast lint bench

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/make \1\t\2/' | expand -t 14

up: ## run the platform on this machine, empty, until Ctrl-C (http://127.0.0.1:8000)
	@./bootstrap run
	@exec $(PY) manage.py up

demo: ## show one real job from submission to payment; EXIT=1 ends when the story is told
	@./bootstrap run
	@exec $(PY) -m demo $(if $(filter-out 0,$(EXIT)),--exit)

node: ## install the node agent alone: .venv/bin/gridnode
	@./bootstrap node
	@echo "Now: $(CURDIR)/.venv/bin/gridnode join ADDRESS --token TOKEN"

test: ## run every test (as root: as an ordinary user, then what must also work as root)
	@./bootstrap test
	@tests/run

fast: ## run the pure tests only (seconds)
	@./bootstrap lint
	@$(PY) -m pytest -q tests/*/core packages/*/tests

lint: ## check style, types and the direction of imports
	@./bootstrap lint
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports

bench: ## measure the figures of docs/benchmarks.md in about seven minutes; JSON=path writes them, QUICK=1 only tries
	@./bootstrap test
	@$(PY) -m benchmarks $(if $(JSON),--json $(JSON)) $(if $(filter-out 0,$(QUICK)),--quick)
