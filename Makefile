# Bare `make` lists what there is.
# Everything happens in .venv, which `lab` and `test` create; a second run finds it and is quick.

VENV  := .venv
BIN   := $(VENV)/bin
# Seconds that one cell of a notebook may take. Past that the whole notebook has failed.
CELL_TIMEOUT ?= 180
INSTALL := sh .ci/install.sh $(BIN)/python
OLD   := .venv-oldest

.DEFAULT_GOAL := help
.PHONY: help lab lite test lint format bench notebooks update test-oldest clean browser

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

lab: $(VENV)/installed  ## start JupyterLab with a Ray beside it, on the welcome notebook
	@$(BIN)/labkit lab $(ARGS)

lite: $(VENV)/installed-dev  ## build the course as a static page in dist/lite: Python runs in the browser's tab
	@sh .ci/node.sh
	$(BIN)/labkit lite build $(ARGS)

test: $(VENV)/installed-dev browser  ## run every test: units, both engines, notebooks, browser
	@sh .ci/test.sh $(BIN)/python $(CELL_TIMEOUT) $(ARGS)

lint: $(VENV)/installed-dev  ## check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy labkit/runtime $(wildcard labkit/explore)

format: $(VENV)/installed-dev  ## let ruff repair style and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/installed-dev browser  ## measure every speed claim beside its peer
	$(INSTALL) --editable '.[dev,bench]'
	$(BIN)/labkit bench $(ARGS)

notebooks: $(VENV)/installed-dev  ## generate and run the lecture notebooks from their sources
	$(BIN)/python notebooks/build.py $(ARGS)

update: $(VENV)/installed-dev  ## renew lock.txt, say what changed, and run the tests
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/python .ci/lock.py
	@$(MAKE) test

test-oldest:  ## run the simulator's tests with the oldest versions that pyproject.toml allows
	@PYTHON="$(or $(PYTHON),python3.11 python3)" sh .ci/venv.sh $(OLD)
	$(OLD)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(OLD)/bin/uv pip install --quiet --python $(OLD)/bin/python --resolution lowest-direct --editable '.[dev,nbgrader]'
	$(OLD)/bin/python -m pytest -m "not ray and not browser" --ignore=tests/test_binder.py $(ARGS)

clean:  ## remove .venv and what the tools left behind
	rm -rf $(VENV) $(OLD) build dist *.egg-info test-results .pytest_cache .hypothesis .mypy_cache .ruff_cache .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -name .ipynb_checkpoints -type d -prune -exec rm -rf {} +

browser: $(VENV)/installed-dev
	@sh .ci/browser.sh $(BIN)/python

# The stamps: older than these files means that the dependencies may have changed.
$(VENV)/installed: pyproject.toml lock.txt .ci/venv.sh .ci/install.sh
	@sh .ci/venv.sh $(VENV)
	$(INSTALL) --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml lock.txt .ci/venv.sh .ci/install.sh
	@sh .ci/venv.sh $(VENV)
	$(INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/installed
