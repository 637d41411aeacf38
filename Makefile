PYTHON ?= .venv/bin/python

.PHONY: install test check fix benchmark

install:
	python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]'

test:
	$(PYTHON) -m pytest

check:
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest -m 'slow or not slow'

fix:
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

benchmark:
	$(PYTHON) -m tests.benchmarks
