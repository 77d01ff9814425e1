# Two commands on a fresh machine: `make demo` and `make test`. `make check` is what CI runs.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt


.PHONY: demo test check docs benchmark bare clean

demo: $(VENV)/.demo
	$(BIN)/python examples/quickstart.py

test: $(VENV)/.dev
	$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(MAKE) test
	$(BIN)/mkdocs build --strict --quiet --site-dir site
	$(MAKE) bare

docs: $(VENV)/.dev
	$(BIN)/mkdocs serve

# Measures everything and writes docs/benchmarks.md, in hours; needs COLDSTART_DATA, see docs/data-sets.md.
# One chapter alone: make benchmark CHAPTERS=record
CHAPTERS ?= record first_clicks queries million hybrid training scale encoding search summary
benchmark: $(VENV)/.bench
	set -e; for chapter in $(CHAPTERS); do $(BIN)/python benchmarks/$$chapter.py --write; done

# The package alone, as `pip install .` gives it: no extra, a fast import, an answer without a download.
bare: $(VENV)-bare/.installed
	$(VENV)-bare/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall .
	$(VENV)-bare/bin/python tests/bare.py

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[demo]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[dev]'
	touch $@ $(VENV)/.demo

$(VENV)/.bench: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[bench]'
	touch $@ $(VENV)/.dev $(VENV)/.demo

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)-bare/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear $(VENV)-bare
	$(VENV)-bare/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt .
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-bare site dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
