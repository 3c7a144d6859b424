# Everything a newcomer needs: `make demo` and `make test` set up a fresh machine by themselves.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo demo-app test lint types bench clean

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,train,serve,chat]"
	touch $@

demo: $(STAMP)  ## run visual programs on real photographs, offline
	$(BIN)/python examples/demo.py

demo-app: $(STAMP)  ## the app, on this machine alone
	$(BIN)/python app.py

test: $(STAMP)  ## the whole suite
	$(BIN)/python -m pytest

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## the root is the package, so mypy meets it under its name through a link
	mkdir -p .mypy_cache/link && ln -sfn ../.. .mypy_cache/link/sightline
	MYPYPATH=.mypy_cache/link $(BIN)/mypy -p sightline

bench: $(STAMP)  ## speed figures, written to benchmarks/out/report.json
	$(BIN)/python -m benchmarks.engine

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache benchmarks/out demo-out
