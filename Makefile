# Every target makes its own environment in .venv when there is none. PYTHON=python3.12 make ... picks another Python.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python -m
JOBS ?= 2

.NOTPARALLEL:
.PHONY: help demo test check bench ledger format docs clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/.demo ## FREEDOM with and without virtual triplets on generated data: a table and two curves
	$(VENV)/bin/jmmrec demo

test: $(VENV)/.dev ## the whole test suite
	$(RUN) pytest -n $(JOBS) --dist loadgroup

check: $(VENV)/.dev ## all that CI asks: format, lint, types, docs with doctests, tests
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) pyright --pythonpath $(VENV)/bin/python
	$(MAKE) docs
	$(MAKE) test

bench: $(VENV)/.dev ## ratios measured in one run
	$(VENV)/bin/python benchmarks/run.py

ledger: $(VENV)/.dev ## experiments/README.md from the CSVs in experiments/results
	$(VENV)/bin/python experiments/ledger.py

format: $(VENV)/.dev ## rewrites the code in the house style
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

docs: $(VENV)/.dev ## docs/_build/html, and the examples in docstrings
	$(RUN) sphinx -W --keep-going -q -b html docs docs/_build/html
	$(RUN) pytest -q -n $(JOBS) --doctest-modules --doctest-glob 'docs/*.md' jmmrec docs/components.md docs/serving.md

clean: ## removes what the targets made, the environment included
	rm -rf $(VENV) docs/_build docs/api .pytest_cache .ruff_cache

# The demo needs the library and matplotlib; the rest needs the developer's tools as well. Both live in one environment.
$(VENV)/.demo: EXTRAS := plot
$(VENV)/.dev: EXTRAS := dev,docs
$(VENV)/.demo $(VENV)/.dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	touch $@
