# Needs Python 3.11 or newer, make and a package index; everything else is set up in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .peers

.PHONY: demo test test-slow lint docs messages bench clean bench-startup bench-memory bench-loop bench-precision bench-budget bench-growth bench-peers bench-busy

demo: $(VENV)/ready
	$(BIN)/python examples/demo.py

# Three tests at a time (each with one thread): many of them wait for processes, servers and browsers, so three keep two
# cores busy. They start hundreds of processes, which must not compile the sources each time where Python may not keep that.
# A test that fails is tried once more, and both tries are printed: on a busy machine a process or a server may be late.
# tests/conftest.py orders the files, so that the long ones are not begun last.
PYTEST := $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --reruns 1 --rerun-show-tracebacks

test: $(VENV)/ready
	$(BIN)/python -m compileall -q src
	$(PYTEST) -m "not slow"

# The tests marked slow: each takes more than a few seconds.
test-slow: $(VENV)/ready
	$(BIN)/python -m compileall -q src
	$(PYTEST) -m slow

lint: $(VENV)/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# The site in build/docs: the pages with the API reference, and the tutorials, which run. Warnings are errors.
docs: $(VENV)/ready
	$(BIN)/python scripts/build_docs.py

# The catalogs of translations in src/yisheng/locale, from the texts of the sources; then translate what is new.
messages: $(VENV)/ready
	$(BIN)/python scripts/messages.py

# Each part can be had alone, as `make bench-startup`; all of them take about two hours on two cores.
bench: bench-startup bench-memory bench-loop bench-precision bench-peers bench-busy bench-budget

bench-startup bench-memory bench-loop bench-precision bench-budget bench-growth: bench-%: $(VENV)/ready
	$(BIN)/python benchmarks/$*.py

bench-peers: $(VENV)/ready $(PEERS)/ready
	$(BIN)/python benchmarks/peers/run.py peers=$(PEERS)/bin/python

bench-busy: $(VENV)/ready $(PEERS)/ready
	$(BIN)/python benchmarks/peers/run.py peers=$(PEERS)/bin/python models=softmax,mlp,lenet busy=true

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

$(PEERS)/ready: benchmarks/peers/requirements.txt constraints.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

clean:
	rm -rf $(VENV) $(PEERS) .mypy_cache .ruff_cache .hypothesis
