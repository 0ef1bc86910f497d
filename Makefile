# make demo   install, run mini_cs from recordings to a scored student, print the table
# make test   install, lint, run every test
# make lint   ruff and shellcheck alone
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := demo
.PHONY: demo test lint install clean

BIN := $(CURDIR)/tools/venv/bin
DEMO := egs/mini_cs/k2d1

# Tests write into the clone alone: temporary files, caches and drawings' fonts go to build/.
TEST_ENV = TMPDIR="$(CURDIR)/build/tmp" XDG_CACHE_HOME="$(CURDIR)/build/cache" \
	MPLCONFIGDIR="$(CURDIR)/build/cache/matplotlib" NUMBA_CACHE_DIR="$(CURDIR)/build/cache/numba" \
	PYTHONPATH="$(CURDIR)" PYTHONDONTWRITEBYTECODE=1 PATH="$(BIN):$$PATH"

# Every command of a recipe is a process of its own: compiled, k2d costs it half a second less.
install:
	@tools/install.sh
	@"$(BIN)/python" -m compileall -q k2d

# Options of the recipe go into ARGS: make demo ARGS="--lecture_hours 0.5"
demo: install
	@$(DEMO)/run.sh $(ARGS)
	@cat $(DEMO)/RESULTS.md

lint: install
	@"$(BIN)/ruff" check .
	@git ls-files -z -- '*.sh' ':(glob).ci/run' | xargs -0 "$(BIN)/shellcheck" -x -P .
	@echo "lint: ruff and shellcheck have nothing to say"

# Options of pytest go into ARGS: make test ARGS="-k audio -x". One worker more than there are cores, since the tests
# of the cluster mostly wait.
test: lint
	@mkdir -p build/tmp build/cache
	@$(TEST_ENV) OMP_NUM_THREADS=1 "$(BIN)/python" -m pytest --basetemp "$(CURDIR)/build/tmp/pytest" \
		-n $$(($$(nproc) + 1)) --dist loadscope --no-loadscope-reorder $(ARGS)

clean:
	rm -rf build tools/venv-bootstrap .pytest_cache .hypothesis .ruff_cache
