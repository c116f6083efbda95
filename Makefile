# Thin: the environment, and aliases of `snpe-tools`. `make help` lists everything.

PYTHON      ?= $(or $(shell command -v python3.11),python3)
MODEL       ?= minilm-qa
PRECISION   ?=
SOC         ?=
SEQ         ?=
CALIBRATION ?=
WINDOWS     ?=
METHOD      ?=
PER_TENSOR  ?=
CHECK       ?=
CHECKPOINT  ?=
RANDOM      ?=
DATA        ?=
TRAIN       ?=
QUESTIONS   ?=
MAX_DROP    ?=
BUDGET      ?=
SEARCH      ?=
WORKERS     ?=
TOOLCHAIN   ?=
QUANTIZER   ?=
SDK_TOOLS   ?=
SDK_PYTHON  ?=
DRY_RUN     ?=
DEVICE      ?=
SHARD       ?=
PROFILE     ?=
TIMEOUT     ?=
# Where pip finds PyTorch without CUDA; PyPI's own Linux build needs several GB of it.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

VENV := .venv
BIN  := $(VENV)/bin
quote = '$(subst ','\'',$(1))'
yes = $(filter-out 0 no false,$(1))
option = $(if $(strip $(2)),$(1) $(call quote,$(2)))
RECIPE_OPTIONS = --model $(call quote,$(MODEL)) $(call option,--precision,$(PRECISION)) $(call option,--soc,$(SOC)) \
	$(call option,--seq,$(SEQ)) $(call option,--calibration,$(CALIBRATION)) $(call option,--windows,$(WINDOWS)) \
	$(call option,--method,$(METHOD)) $(call option,--checkpoint,$(CHECKPOINT)) $(call option,--data,$(DATA)) \
	$(call option,--train,$(TRAIN)) \
	$(call option,--toolchain,$(TOOLCHAIN)) $(call option,--quantizer,$(QUANTIZER)) \
	$(call option,--sdk-tools,$(SDK_TOOLS)) $(call option,--sdk-python,$(SDK_PYTHON)) $(if $(call yes,$(RANDOM)),--random) \
	$(if $(call yes,$(PER_TENSOR)),--per-tensor) $(if $(filter 0 no false,$(CHECK)),--no-check)
SCORE_OPTIONS = $(call option,--questions,$(QUESTIONS)) $(call option,--max-drop,$(MAX_DROP)) \
	$(call option,--workers,$(WORKERS)) $(call option,--device,$(DEVICE)) $(call option,--profile,$(PROFILE)) \
	$(call option,--timeout,$(TIMEOUT)) \
	$(if $(call yes,$(SHARD)),--shard)

.PHONY: help venv dlc tune accuracy device report notebook doctor test lint types check clean

help:
	@echo 'make dlc         checkpoint -> ONNX -> raw inputs -> quantized -> DLC -> DLC with HTP caches'
	@echo 'make tune        the fewest operations in 16 bits that keep F1: a plan for PRECISION=w8a8-mixed'
	@echo 'make accuracy    F1 of every stage on the same questions; refuses a model that lost too much'
	@echo 'make device      the same on a device: push, run, pull, F1; DEVICE=adb or DEVICE=ssh://user@host'
	@echo 'make report      the last scores as one HTML page: Models/<model>/report.html'
	@echo 'make notebook    the notebooks in a browser on this machine'
	@echo 'make doctor      what this machine has, and what to do for what it lacks'
	@echo 'make venv        the pinned environment in .venv'
	@echo 'make test        all tests        make check    lint, types and tests'
	@echo 'make clean       remove what was built; recipes, checkpoints and the environment stay'
	@echo
	@echo 'Variables, as in `make dlc MODEL=mobilebert RANDOM=1 SOC=sm8550,sm8650`:'
	@echo '  MODEL        a folder below Models/                                  (minilm-qa)'
	@echo '  PRECISION    w8a8, w8a8-mixed, w8a16, w16a16 or fp16                 (w8a16)'
	@echo '  SOC          SoCs to compile for, comma-separated; also "Galaxy S24"   (sm8650)'
	@echo '  SEQ          tokens per window                                       (384)'
	@echo '  CHECKPOINT   checkpoint folder or hub name, for a model of your own'
	@echo '  RANDOM       1: random weights of the model'\''s architecture'
	@echo '  CALIBRATION  SQuAD JSON to calibrate on                              (shipped)'
	@echo '  WINDOWS      calibration windows                                     (64)'
	@echo '  METHOD       min-max, mse or percentile                              (min-max)'
	@echo '  PER_TENSOR   1: one weight encoding per tensor instead of one per channel'
	@echo '  CHECK        0: a new DLC is not run beside its ONNX model           (it is, once, on the emulator)'
	@echo '  TRAIN        to train the quantized model: questions, or "shipped"   (none: ranges are only observed)'
	@echo '  DATA         questions: SQuAD v1.1/v2.0 JSON, or squad               (shipped)'
	@echo '  QUESTIONS    questions for every stage: a number, or all             (a fixed sample on the emulator)'
	@echo '  MAX_DROP     F1 that a stage may lose against float                  (1.0; tune: 0.5)'
	@echo '  SEARCH       for tune: questions to search with, SQuAD JSON or rows  (shipped)'
	@echo '  BUDGET       for tune: minutes after which no new trial begins       (20)'
	@echo '  WORKERS      emulator processes                                      (up to 2)'
	@echo '  TOOLCHAIN    who makes the DLC: pypi, or sdk (SNPE, QAIRT)           (sdk where SNPE_ROOT is set)'
	@echo '  QUANTIZER    with the SDK, who finds encodings: aimet or sdk         (aimet)'
	@echo '  SDK_TOOLS    with the SDK: its snpe or its qairt tools               (snpe)'
	@echo '  SDK_PYTHON   with the SDK: the Python for its scripts                (found by version)'
	@echo '  DRY_RUN      1: print the commands of the SDK, to paste, and why each flag is there'
	@echo '  DEVICE       where the DLC runs: host (the emulator), adb, adb:SERIAL, ssh://user@host:port; several by commas'
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
	@$(BIN)/snpe-tools tune --model $(call quote,$(MODEL)) $(call option,--checkpoint,$(CHECKPOINT)) \
		$(call option,--seq,$(SEQ)) $(call option,--soc,$(SOC)) $(call option,--calibration,$(CALIBRATION)) \
		$(call option,--windows,$(WINDOWS)) $(if $(call yes,$(PER_TENSOR)),--per-tensor) \
		$(if $(call yes,$(RANDOM)),--random) $(call option,--data,$(SEARCH)) \
		$(call option,--questions,$(QUESTIONS)) $(call option,--max-drop,$(MAX_DROP)) $(call option,--budget,$(BUDGET)) \
		$(call option,--eval,$(DATA))

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

clean:
	@find Models -mindepth 2 -maxdepth 2 -type f ! -name recipe.toml ! -name README.md ! -name w8a8-mixed.toml -delete
	@find Models -mindepth 2 -maxdepth 2 -type d -name '*.sdk' -exec rm -r {} +
	@find raw_inputs -mindepth 1 -maxdepth 1 -type d -exec rm -r {} +
