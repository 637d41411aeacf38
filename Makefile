PYTHON ?= .venv/bin/python
UV ?= .venv/bin/uv
# For all platforms and Pythons, and without the address of a registry.
LOCK = -q --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url --no-emit-find-links

.PHONY: install test check fix benchmark grand-prix lock

install:
	python3 -m venv .venv && PIP_CONSTRAINT=constraints.txt .venv/bin/pip install -q -e '.[dev]'

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

grand-prix:
	$(PYTHON) -m tests.benchmarks.grand_prix

lock:
	$(UV) pip compile pyproject.toml $(LOCK) --generate-hashes -o requirements.txt
	$(UV) pip compile pyproject.toml $(LOCK) --extra dev -o constraints.txt
