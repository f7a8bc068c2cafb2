# make demo and make test need nothing but Python 3.11+ and make: they set up .venv themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-deep differential lint bench scale clean

# What is installed follows these two files; touch neither and nothing is installed again.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "meshroute needs Python 3.11 or later; say which with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[batch,cli,conformance,parquet,plot]' --group dev
	touch $@

demo: $(STAMP)
	@$(BIN)/python docs/examples/article/story.py

test: $(STAMP)
	$(BIN)/python -m pytest

test-deep: $(STAMP)
	$(BIN)/python -m pytest --hypothesis-profile=deep

# More rounds of what `make test` puts to the real Envoy once; five are more than 200,000 picks.
differential: $(STAMP)
	MESHROUTE_DIFFERENTIAL_ROUNDS=$(or $(ROUNDS),5) $(BIN)/python -m pytest tests/differential

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# How loading and compiling grow: seconds and memory for four sizes of a mesh.
scale: $(STAMP)
	$(BIN)/python -m benchmarks.scale

bench: $(STAMP)
	$(BIN)/python -m pytest benchmarks --benchmark-columns=min,median,ops --benchmark-sort=name

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
