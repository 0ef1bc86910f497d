# make demo   say what it will do, install, run mini_cs from recordings to a published student, print the table
# make test   install, lint, run every test
# make lint   ruff and shellcheck alone
# make docs   the site of docs/, into docs/site
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := demo
.PHONY: demo plan-of-demo test lint docs install clean

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

# What make demo will do, and about how long each part takes on two cores that have nothing else to do.
define DEMO_PLAN
make demo: the whole road, from recordings to a published student, in a small synthetic Mandarin-English world.
Nothing is asked and no GPU is needed; about 10 minutes on two quiet cores after the installation. It does

  install     2 min     8 GB of packages into tools/venv, once; seconds where they are there
  1 data      1 min     espeak-ng speaks 1.5 h of lectures, a dev set and three test sets
  2 label     2 min     the teacher transcribes the lectures
  3 validate  1.5 min   a smaller model hears the same chunks; distances between the two
  4 select    0.5 min   what is trusted, and a page on which to see and hear it
  5 train     3 min     two students: of all labels, and of those that are trusted
  6 decode    1 min     teacher, validator and students on the test sets
  7 score     0.5 min   error rates, RESULTS.md, a page
  8 publish   1 min     exports for other programs, checked

Ctrl-C stops it; make demo goes on from there.
endef
export DEMO_PLAN

# Options of the recipe go into ARGS: make demo ARGS="--lecture_hours 0.5"
demo: plan-of-demo install
	@$(DEMO)/run.sh $(ARGS)

plan-of-demo:
	@printf '%s\n\n' "$$DEMO_PLAN"

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

# What the site needs more than everything else does is installed when it is first built.
docs: install
	@"$(BIN)/python" -c 'import material' 2>/dev/null || tools/install.sh --extra docs
	@NO_MKDOCS_2_WARNING=1 "$(BIN)/mkdocs" build --quiet --strict --config-file tools/mkdocs.yml
	@rm -rf docs/site && mv build/docs docs/site
	@echo "docs: docs/site/index.html"

clean:
	rm -rf build docs/site tools/venv-bootstrap .pytest_cache .hypothesis .ruff_cache
