# Two commands do everything, each with its own set-up: `make demo` and `make test`.
# PYTHON names the interpreter (3.11 or newer); whatever pip is configured to use (PIP_INDEX_URL, PIP_FIND_LINKS) is used.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint lock clean

demo: .venv/installed
	$(BIN)/automl run search_spaces/digits_mlp.yaml

test: .venv/installed-test lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not long" --numprocesses auto --maxprocesses 4 --dist loadfile

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "automl needs Python 3.11 or newer, but this is " + sys.version.split()[0] + ". Give one with PYTHON=...")'
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

.venv/installed-test: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	touch $@ .venv/installed

# Writes constraints.txt anew from the newest versions that pyproject.toml admits (torch stays where it is pinned here).
TORCH := torch==2.13.0
lock:
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet --disable-pip-version-check $(TORCH) --editable '.[test]'
	( echo "# Made by \`make lock\`: every version that \`make demo\` and \`make test\` install."; \
	  .venv-lock/bin/pip freeze --exclude-editable | sed 's/^\(torch==[0-9.]*\)+.*/\1/' ) > constraints.txt
	rm -rf .venv-lock

clean:
	rm -rf .venv .venv-lock build *.egg-info .pytest_cache .mypy_cache .ruff_cache
