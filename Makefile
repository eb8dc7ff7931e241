# `make demo` and `make test` are all a new user needs: each makes .venv first if it is not there.
PYTHON ?= python3
BIN := .venv/bin
DEMO ?= demo
EXPERIMENTS ?= experiments_out
SIZE ?= small
WHEELHOUSE ?= wheelhouse
EXTRAS ?=

# Compiled modules are kept: else each of the many processes that tests start compiles the package again.
unexport PYTHONDONTWRITEBYTECODE

# Of scripts mypy checks names, attributes and arguments: these are what changes in src break.
LOOSELY := $(addprefix --disable-error-code=,assignment dict-item misc operator return-value unused-ignore var-annotated)

.PHONY: demo experiments test coverage test-slow test-faults test-fuzz lint bench docs tables wheelhouse clean

demo: .venv/ready
	$(BIN)/proband demo $(DEMO)

test: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal

# Lines of src/proband that `make test` runs; workers and command lines count, code compiled by numba is left out.
# tests/fuzz measures seconds, and so is left out too. A new cache: what helps numba compile runs but once.
coverage: .venv/ready
	$(BIN)/python -m coverage erase
	rm -rf .venv/coverage_numba
	NUMBA_CACHE_DIR=$(CURDIR)/.venv/coverage_numba $(BIN)/python -m coverage run -m pytest -n 2 --dist worksteal --tb native --ignore tests/fuzz
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --show-missing --skip-covered

test-slow: .venv/ready
	$(BIN)/python -m pytest -m slow --durations 20

test-faults: .venv/ready
	$(BIN)/python -m pytest -m faults -v tests/faults

test-fuzz: .venv/ready
	PROBAND_FUZZ=$${PROBAND_FUZZ:-20000} $(BIN)/python -m pytest -s tests/fuzz

lint: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy
	$(BIN)/mypy experiments benchmarks --cache-dir .mypy_cache/scripts $(LOOSELY)

bench: .venv/ready
	for script in $$(grep -l __main__ benchmarks/*.py); do $(BIN)/python $$script --quick || exit 1; done

# SIZE=small is meant for a night on two cores, SIZE=tiny for some minutes; a second call goes on.
experiments: .venv/ready
	$(BIN)/python experiments/run_all.py $(EXPERIMENTS) --size $(SIZE)

docs: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(BIN)/zensical build --clean -f mkdocs.yml

tables: .venv/ready
	$(BIN)/python -m proband.cli.tables docs

# A folder that installs without a network, on machines of this system and Python: docs/platforms/offline.md.
# EXTRAS=[postgres] takes more with it.
wheelhouse: .venv/ready
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check -c constraints.txt -w $(WHEELHOUSE) '.$(EXTRAS)'
	cp constraints.txt $(WHEELHOUSE)/

clean:
	rm -rf .venv demo site .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.*

.venv/ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@
