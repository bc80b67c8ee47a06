# make demo    edit the bundled sample, offline, with the bundled weights
# make samples the picture of the README, after the weights have changed
# make test    all tests but the slow ones
# make test-slow  the slow ones: batches killed again and again
# make check   format, lint, types and tests
# make help-texts  renew tests/data/help after an option has changed
# make bench   time of each stage, networks side by side

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
OUT ?= out/demo
SAMPLE := docs/samples/portrait.jpg

.PHONY: demo samples test test-slow check format help-texts bench clean

demo: $(VENV)/.runtime
	@mkdir -p $(OUT)
	$(BIN)/exprgan edit $(SAMPLE) --to happy --output $(OUT)/portrait-happy.jpg \
	  --compare $(OUT)/before-after.png --device cpu --overwrite
	@echo "The sample:        $(abspath $(SAMPLE))"
	@echo "Edited to happy:   $(abspath $(OUT)/portrait-happy.jpg)"
	@echo "Before and after:  $(abspath $(OUT)/before-after.png)"

samples: $(VENV)/.runtime
	$(BIN)/exprgan edit $(SAMPLE) --to happy --to surprise --output $(OUT) --overwrite --device cpu \
	  --compare docs/samples/before-after.jpg

test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist loadfile

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -q -m slow

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist loadfile

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

help-texts: $(VENV)/.dev
	rm -f tests/data/help/*.txt
	RENEW_HELP_TEXTS=1 $(BIN)/python -m pytest -q tests/cli/test_help.py -k committed

bench: $(VENV)/.runtime
	$(BIN)/python -m exprgan.bench.speed

clean:
	rm -rf build dist out .pytest_cache .ruff_cache .mypy_cache .hypothesis

# The stamps are renewed when the requirements change; an environment that is complete is used as it is.
define INSTALL
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -q -c constraints.txt -e "$(1)"
endef

$(VENV)/.runtime: pyproject.toml constraints.txt
	$(call INSTALL,.)
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	$(call INSTALL,.[dev])
	@touch $(VENV)/.runtime $@
