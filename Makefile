# `make demo` and `make test` need only Python 3.10 or later and make; the rest is installed into
# .venv, with the exact versions of constraints.txt. README.md has the same as plain commands.
#
#   make demo OUT=somewhere      results elsewhere than in out/
#   make test PYTEST="-k cli"    some tests only
#   make demo PYTHON=python3.12  another Python
#   make demo INDEX=URL          a further package index, e.g. PyTorch's for CPU-only builds

PYTHON ?= python3
VENV ?= .venv
OUT ?= out
PYTEST ?=
INDEX ?=

ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif

INSTALL := $(BIN)/python -m pip install --quiet -c constraints.txt $(if $(INDEX),--extra-index-url $(INDEX))
DEMO_READY := $(VENV)/.ready-for-demo
TEST_READY := $(VENV)/.ready-for-test

.PHONY: help demo test lint format clean
help:
	@echo "make demo    denoise, super-resolution and segmentation of the sample volumes into $(OUT)/"
	@echo "make test    all tests"
	@echo "make lint    ruff and mypy"
	@echo "make format  let ruff rewrite the code in its format"
	@echo "make clean   remove $(VENV), results and caches"

demo: $(DEMO_READY)
	$(BIN)/medenhance demo --out $(OUT)

test: $(TEST_READY)
	$(BIN)/python -m pytest $(PYTEST)

lint: $(TEST_READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(TEST_READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/pyvenv.cfg:
	$(PYTHON) -m venv $(VENV)

$(DEMO_READY): $(VENV)/pyvenv.cfg pyproject.toml constraints.txt
	$(INSTALL) -e .
	@$(PYTHON) -c "open('$@', 'w').close()"

$(TEST_READY): $(VENV)/pyvenv.cfg pyproject.toml constraints.txt
	$(INSTALL) -e ".[dev,training]"
	@$(PYTHON) -c "open('$@', 'w').close()"

clean:
	$(PYTHON) -c "import shutil; [shutil.rmtree(p, ignore_errors=True) for p in '$(VENV) $(OUT) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis'.split()]"
