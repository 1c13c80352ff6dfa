# What a person does with this checkout. `make help` lists it.

PYTHON ?= python3
VENV   := .venv
UV     := .uv/bin/uv
READY  := $(VENV)/.ready
# Processes that test side by side, each with a RabbitMQ and a PostgreSQL of its own: more than cores, as tests wait.
N      ?= 4
# Hundreds of processes begin with the same modules: to compile them takes longer than all else that they do first.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test check bench fault docs clean

help:  ## Show this list
	@sed -n 's/^\([a-z]*\):.*##/\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: $(READY)  ## Set up, and carry real documents between five offices over a private broker
	@scripts/system-packages run
	$(VENV)/bin/python -m tests.demo

test: $(READY)  ## Set up, and run all tests against a real RabbitMQ and PostgreSQL
	@scripts/system-packages run test
	$(VENV)/bin/pytest -n $(N) --dist loadgroup

check: $(READY)  ## Format, lint, types, import rules
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy axis adapters scripts tests
	$(VENV)/bin/lint-imports

bench: $(READY)  ## Measure the way of a document against what others would do, in one run
	@scripts/system-packages run test
	@$(UV) sync --frozen --quiet --group bench
	$(VENV)/bin/python -m tests.bench $(if $(ROWS),--rows $(ROWS))

fault: $(READY)  ## Kill, cut and purge real processes, and look what is lost
	@scripts/system-packages run test
	F=$(F) SEEDS=$(SEEDS) $(VENV)/bin/pytest -v -p no:randomly -m '' -n 2 --dist load --maxschedchunk 1 tests/fault \
		$(if $(F),,tests/property/test_journey_machine.py tests/property/test_delivery_machine.py)

docs: $(READY)  ## Write the tables of docs/ that come from the code
	$(VENV)/bin/python -m scripts.tables

clean:  ## Remove what the other targets made, var/ with all demo runs included
	rm -rf $(VENV) .uv var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# uv lives in a folder of its own; the environment is exactly what uv.lock says.
$(UV):
	@scripts/system-packages python
	@echo "setting up: uv"
	@$(PYTHON) -m venv .uv && .uv/bin/pip install --quiet --disable-pip-version-check uv

$(READY): pyproject.toml uv.lock | $(UV)
	@echo "setting up: .venv from uv.lock"
	@$(UV) sync --frozen --quiet --python $(PYTHON)
	@touch $@
