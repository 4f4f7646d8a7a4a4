# The verbs of the book. `make help` lists them; each is a thin call of `python -m press`, which has --help of its own.
PYTHON ?= python3
VENV   := .venv
READY  := $(VENV)/.ready
RUN    := $(VENV)/bin/python
PRESS  := $(RUN) -m press
# More workers than cores only slow each other down.
JOBS   ?= 2

SHELL       := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup book test html pdf tangle stitch proofread data train execute serve new-chapter quarto lint types check lock bench clean

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## create .venv from the lock file (the other verbs do it when needed)

# The stamp is made last, so that an interrupted or failed set-up is done again.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "make: Python 3.11 or newer is needed – install it, or name one: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up $(VENV) from requirements.lock (once; about two minutes)"
	@rm -f $(READY)
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "make: no virtual environment could be made – install Python's venv module (Debian: python3-venv)" >&2; exit 1; }
	@$(RUN) -m pip install --disable-pip-version-check --progress-bar off -r requirements.lock 2>$(VENV)/pip.log \
	  | awk -v all="$$(wc -l < requirements.lock)" \
	    '/^Collecting/ { printf "\r  %d of %d packages", ++n, all; fflush() } \
	     /^Installing collected/ { printf "\r  installing %d packages …   ", n; fflush() } END { print "" }' \
	  || { grep '^ERROR' $(VENV)/pip.log >&2; echo "make: set-up failed – check the network and the free space, then run again" >&2; exit 1; }
	@$(RUN) -m pip install --disable-pip-version-check -qq --no-deps --no-build-isolation --editable .
	@touch $(READY)

book: $(READY) ## make everything: package, notebooks, HTML and PDF; print where they are
	@$(PRESS) book --jobs $(JOBS)

test: $(READY) ## run all tests; the last line says how many passed
	@OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(RUN) -m pytest -n $(JOBS) $(ARGS)

html: $(READY) ## weave the site into _book/
	@$(PRESS) html --jobs $(JOBS)

pdf: $(READY) ## weave the PDF into _book/
	@$(PRESS) pdf --jobs $(JOBS)

tangle: $(READY) ## write the package and its tests from the chapters
	@$(PRESS) tangle

stitch: $(READY) ## carry edits of tangled files back into the chapters
	@$(PRESS) stitch

proofread: $(READY) ## check every labelled equation (CHAPTER=02, EQ=eq-name for one, line by line)
	@$(PRESS) proofread --jobs $(JOBS) $(if $(CHAPTER),--chapter $(CHAPTER)) $(if $(EQ),--eq $(EQ))

data: $(READY) ## fetch the data sets into the cache (DATA="mnist emoji" for some)
	@$(RUN) -m agm.data $(DATA)

train: $(READY) ## make the trained models of the book, skipping fresh ones (MODEL=digits, PRESET=small, REPLAY=1)
	@OMP_WAIT_POLICY=PASSIVE $(RUN) -m agm.artifacts $(MODEL) $(if $(PRESET),--preset $(PRESET)) $(if $(REPLAY),--replay)

execute: $(READY) ## execute stale chapters into notebooks/ (CHAPTER=02 for one, ALL=1 for all)
	@$(PRESS) execute --jobs $(JOBS) $(if $(CHAPTER),--chapter $(CHAPTER)) $(if $(ALL),--all)

serve: $(READY) ## live preview: save a chapter, the page reloads
	@$(PRESS) serve $(if $(PORT),--port $(PORT))

new-chapter: $(READY) ## scaffold a chapter: make new-chapter PART=01-foundations SLUG=03-name TITLE="A title"
	@$(PRESS) new-chapter "$(PART)" "$(SLUG)" "$(TITLE)"

quarto: $(READY) ## hand the book over to Quarto, with the results of notebooks/
	@$(PRESS) quarto $(ARGS)

lint: $(READY) ## check chapters, code style and types
	@$(PRESS) lint
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy

check: $(READY) ## fail when the committed package or notebooks are not what the chapters make
	@$(PRESS) check

lock: ## resolve pyproject.toml anew into requirements.lock
	@$(PYTHON) -m venv --clear .press/lock && .press/lock/bin/python -m pip install --quiet "torch==2.13.0" ".[jax,book,test]"
	@.press/lock/bin/python -m pip freeze --exclude agm | sed 's/+cpu$$//' > .press/lock.txt && mv .press/lock.txt requirements.lock

bench: $(READY) ## time the press on a synthetic book of 56 chapters, and the training loop
	@$(RUN) benchmarks/press_speed.py
	@OMP_WAIT_POLICY=PASSIVE $(RUN) benchmarks/training_speed.py

clean: ## delete what can be made again (not the notebooks, not the data cache)
	@rm -rf _book _book-quarto _freeze .press
