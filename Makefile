# make demo | make test | make env | make check | make clean
# make peers | make agreement | make bench | make coverage-peers: side by side with other codes
# PYTHON=python3.12 chooses another Python; TORCH="torch==2.13.0 --index-url …" another build of torch.
PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
CPP := $(shell find cpp CMakeLists.txt lammps_inputs -type f 2>/dev/null)
# A list of the modules, rewritten only when one comes or goes: the installation keeps such a list too.
TREE := $(shell test -d $(VENV) && { find python -name '*.py' | sort > $(VENV)/.tree.new; \
	cmp -s $(VENV)/.tree.new $(VENV)/.tree || cp $(VENV)/.tree.new $(VENV)/.tree; })
DEMO_OUT ?= demo-out
PEERS := .venv-peers

.PHONY: env demo test check clean ctest peers agreement bench coverage-peers
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

env: $(VENV)/.package

$(VENV)/.packages: pyproject.toml constraints.txt
	@$(PYTHON) --version >/dev/null 2>&1 || { echo "python3 is missing: install Python 3.11, 3.12 or 3.13 (Debian: apt install python3 python3-venv)"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "$(PYTHON) is `$(PYTHON) --version`, wanted 3.11 to 3.13: call make with PYTHON=python3.12, say"; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: install its venv module (Debian: apt install python3-venv)"; exit 2; }
	@command -v $${CXX:-c++} >/dev/null || { echo "no C++ compiler: install one that knows C++17 (Debian: apt install g++), or set CXX"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -q -U pip
	$(PIP) install -q $(TORCH)
	$(PIP) install -q -c constraints.txt scikit-build-core pybind11 cmake ninja setuptools numpy cython
	$(PIP) install -q -c constraints.txt --no-build-isolation -e ".[all,dev]"
	find python -name '*.py' | sort > $(VENV)/.tree
	touch $@ $(VENV)/.package

$(VENV)/.package: $(VENV)/.packages $(VENV)/.tree $(CPP)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(PIP) install -q --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.tree: | $(VENV)/.packages

demo: env
	$(BIN)/ionstride run examples/lgps/study.toml --out $(DEMO_OUT)

ctest: env
	PATH="$(CURDIR)/$(BIN):$$PATH" cmake --preset dev >/dev/null
	PATH="$(CURDIR)/$(BIN):$$PATH" cmake --build --preset dev
	PATH="$(CURDIR)/$(BIN):$$PATH" ctest --preset dev

test: ctest
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: env
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $$(find cpp -name '*.hpp' -o -name '*.cpp')

peers: $(PEERS)/.ready

# Other codes live in an environment of their own: the product never imports them.
$(PEERS)/.ready: tests/peers/requirements.txt
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip --disable-pip-version-check install -q -r tests/peers/requirements.txt
	@! $(PEERS)/bin/python -m pip list 2>/dev/null | grep -iE '^(torch|triton|nvidia)' || { echo "a GPU library came with the peers: pin it away in tests/peers/requirements.txt"; exit 2; }
	touch $@

agreement: env peers
	$(BIN)/python tests/agreement/peers.py $(AGREEMENT)

bench: env peers
	$(BIN)/python tests/benchmarks/bench.py $(BENCH)

coverage-peers: env peers
	$(BIN)/python tests/peers/coverage_peers.py $(COVERAGE)

clean:
	rm -rf build $(DEMO_OUT) .pytest_cache .mypy_cache .ruff_cache
