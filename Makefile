# make demo   install, then run the demo recipe, mini_cs, from recordings to a published student
# make test   install, lint, run all tests
# make lint   ruff and shellcheck only
# make docs   build the site of docs/ in docs/site
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
make demo: from recordings to a published student, with a small synthetic Mandarin-English corpus.
It needs no input and no GPU, and takes 5 to 11 minutes on two idle cores after the installation. On slow cores:

  install     1 min     8 GB of packages into tools/venv, once; seconds if installed
  1 data      0.5 min   espeak-ng synthesises an hour of lectures, a dev set and three test sets
  2 label     1.5 min   the teacher transcribes the lectures
  3 validate  1 min     a smaller model transcribes the same chunks; distances between the two
  4 select    0.5 min   select trusted labels, and make a page to inspect them
  5 train     3.5 min   two students: on all labels, and on the trusted ones
  6 decode    2.5 min   decode the test sets with teacher, validator and students
  7 score     0.5 min   error rates, RESULTS.md, a report page
  8 publish   1 min     exports for other programs, verified

Ctrl-C stops it; make demo resumes it.
endef
export DEMO_PLAN

# Options of the recipe go into ARGS: make demo ARGS="--lecture_hours 0.5"
demo: plan-of-demo install
	@$(DEMO)/run.sh $(ARGS)

plan-of-demo:
	@printf '%s\n\n' "$$DEMO_PLAN"

# A recipe's symbolic links to its template's scripts are looked at once, where they lead.
lint: install
	@"$(BIN)/ruff" check .
	@git ls-files -s -z -- '*.sh' ':(glob).ci/run' | grep -zv ^120000 | cut -zf 2 | xargs -0 "$(BIN)/shellcheck" -x -P .
	@echo "lint: ruff and shellcheck found nothing"

# Options of pytest go into ARGS: make test ARGS="-k audio -x". One worker more than there are cores, since the tests
# of the cluster and of whole recipes wait for processes of their own.
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
