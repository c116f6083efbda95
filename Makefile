# Thin: the environment, and aliases of `snpe-tools`. `make help` lists everything.

PYTHON      ?= $(or $(shell command -v python3.11),python3)
DATA        ?=
QUESTIONS   ?=
MAX_DROP    ?=
BUDGET      ?=
SEARCH      ?=
WORKERS     ?=
DRY_RUN     ?=
DEVICE      ?=
SHARD       ?=
FETCH       ?=
RUNTIME     ?=
PROFILE     ?=
TIMEOUT     ?=
# Where pip finds PyTorch without CUDA; PyPI's own Linux build needs several GB of it.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

VENV := .venv
BIN  := $(VENV)/bin
quote = '$(subst ','\'',$(1))'
yes = $(filter-out 0 no false,$(1))
option = $(if $(strip $(2)),$(1) $(call quote,$(2)))
include recipe.mk
RECIPE_OPTIONS += $(call option,--data,$(DATA))
SCORE_OPTIONS = $(call option,--questions,$(QUESTIONS)) $(call option,--max-drop,$(MAX_DROP)) \
	$(call option,--workers,$(WORKERS)) $(call option,--device,$(DEVICE)) $(call option,--profile,$(PROFILE)) \
	$(call option,--timeout,$(TIMEOUT)) \
	$(call option,--runtime,$(RUNTIME)) $(if $(call yes,$(SHARD)),--shard) $(if $(call yes,$(FETCH)),--fetch)

.DEFAULT_GOAL := help
.PHONY: help help-commands help-recipe help-variables venv dlc tune accuracy device report notebook doctor runner test lint types check variables clean

help: help-commands help-recipe help-variables

help-commands:
	@echo 'make dlc         checkpoint -> ONNX -> raw inputs -> quantized -> DLC -> DLC with HTP caches'
	@echo 'make tune        the fewest operations in 16 bits that keep F1: a plan for PRECISION=w8a8-mixed'
	@echo 'make accuracy    F1 of every stage on the same questions; refuses a model that lost too much'
	@echo 'make device      the same on a device: push, run, pull, F1; DEVICE=adb or DEVICE=ssh://user@host'
	@echo 'make report      the last scores as one HTML page: Models/<model>/report.html'
	@echo 'make notebook    the notebooks in a browser on this machine'
	@echo 'make doctor      what this machine has, and what to do for what it lacks'
	@echo 'make runner      the native runner for phones and boards, built with ziglang; a wheel packs it'
	@echo 'make venv        the pinned environment in .venv'
	@echo 'make test        all tests        make check    lint, types and tests'
	@echo 'make clean       remove what was built; recipes, checkpoints and the environment stay'
	@echo
	@echo 'Variables, as in `make dlc MODEL=mobilebert RANDOM=1 SOC=sm8550,sm8650`:'

help-variables:
	@echo '  DATA         questions: SQuAD v1.1/v2.0 JSON, or squad               (shipped)'
	@echo '  QUESTIONS    questions for every stage: a number, or all             (a fixed sample on the emulator)'
	@echo '  MAX_DROP     F1 that a stage may lose against float                  (1.0; tune: 0.5)'
	@echo '  SEARCH       for tune: questions to search with, SQuAD JSON or rows  (shipped)'
	@echo '  BUDGET       for tune: minutes after which no new trial begins       (20)'
	@echo '  WORKERS      emulator processes                                      (up to 2)'
	@echo '  DRY_RUN      1: print the commands of the SDK, to paste, and why each flag is there'
	@echo '  DEVICE       where the DLC runs: host (the emulator), adb, adb:SERIAL, ssh://user@host:port; several by commas'
	@echo '  FETCH        1: fetch the runtime that a phone needs, and accept its licence'
	@echo '  RUNTIME      what runs the DLC there: snpe, qnn, board or native      (the first that there is)'
	@echo '  SHARD        1: split the questions over the devices'
	@echo '  PROFILE      performance profile on devices, such as burst           (the runtime'\''s own)'
	@echo '  TIMEOUT      seconds that a run on a device may take                 (15 minutes, and 2 per inference)'

venv: $(VENV)/.ready

$(VENV)/.ready: requirements.lock pyproject.toml
	@echo 'Installing the pinned environment into $(VENV): about 3 GB, a few minutes.'
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --extra-index-url $(TORCH_INDEX) $$(grep '^torch==' requirements.lock)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement requirements.lock
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

dlc: venv
	@$(BIN)/snpe-tools build $(RECIPE_OPTIONS) $(if $(call yes,$(DRY_RUN)),--dry-run)

tune: venv
	@$(BIN)/snpe-tools tune $(TUNE_OPTIONS) $(call option,--data,$(SEARCH)) $(call option,--questions,$(QUESTIONS)) \
		$(call option,--max-drop,$(MAX_DROP)) $(call option,--budget,$(BUDGET)) $(call option,--eval,$(DATA))

accuracy: venv
	@$(BIN)/snpe-tools score $(RECIPE_OPTIONS) $(SCORE_OPTIONS)

device: venv
	@$(if $(strip $(DEVICE)),,echo 'Which device? DEVICE=adb, DEVICE=adb:SERIAL or DEVICE=ssh://user@host:port;' \
	  '$(BIN)/snpe-tools devices lists what is attached.' >&2; exit 2)
	@$(BIN)/snpe-tools score $(RECIPE_OPTIONS) $(SCORE_OPTIONS)

report: venv
	@$(BIN)/snpe-tools report --model $(call quote,$(MODEL))

notebook: venv
	@MODEL=$(call quote,$(MODEL)) $(BIN)/jupyter lab --ServerApp.ip=127.0.0.1 --ServerApp.root_dir="$(CURDIR)" --LabApp.default_url=/lab/tree/accuracy/accuracy_analyzer.ipynb

runner: venv
	@$(BIN)/python -m snpe_tools.board.native

doctor: venv
	@$(BIN)/snpe-tools doctor

test: venv
	@$(BIN)/python -m pytest

lint: venv
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo

types: venv
	@$(BIN)/mypy

check: lint types test

# Not a rule for the file itself: `include` would run it in a clone that has no environment yet.
variables:
	@$(BIN)/python -m snpe_tools.project.makefile >recipe.mk.part && mv recipe.mk.part recipe.mk

clean:
	@find Models -mindepth 2 -maxdepth 2 -type f ! -name recipe.toml ! -name README.md ! -name w8a8-mixed.toml -delete
	@find Models -mindepth 2 -maxdepth 2 -type d -name '*.sdk' -exec rm -r {} +
	@find raw_inputs -mindepth 1 -maxdepth 1 -type d -exec rm -r {} +
