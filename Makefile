# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test check lint types walls fast soak bench docs clean

help:           ## this list
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

# Reinstalls only when what is installed could have changed.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("auditor needs Python 3.11 or newer, this is %d.%d" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt hatchling editables
	$(BIN)/pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[all]'
	$(BIN)/python tools/install_group.py dev constraints.txt
	@touch $@

demo: $(STAMP)  ## watch a real multimodal model with planted incidents
	$(BIN)/auditor demo

test: check fast  ## everything that must hold: lint, types, walls, tests

check: $(STAMP)
	$(MAKE) --no-print-directory --jobs 2 types lint walls

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/language.py

types: $(STAMP)
	$(BIN)/mypy

walls: $(STAMP)
	$(BIN)/lint-imports --no-cache

# Two workers on two cores: threads of the linear algebra would only wait for each other.
fast: $(STAMP)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --durations 10

soak: $(STAMP)  ## the long forms
	$(BIN)/python -m pytest -m soak --timeout 3600

bench: $(STAMP) ## every benchmark; prints tables and keeps them in benchmarks/results/
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

docs: $(STAMP)  ## regenerate the reference pages
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) auditor-demo dist build
