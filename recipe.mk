# Made from snpe_tools/project/settings.py by `make variables`; change it there.
MODEL ?= minilm-qa
PRECISION ?=
SOC ?=
SEQ ?=
CHECKPOINT ?=
RANDOM ?=
CALIBRATION ?=
WINDOWS ?=
METHOD ?=
PER_TENSOR ?=
CHECK ?=
TRAIN ?=
TOOLCHAIN ?=
QUANTIZER ?=
SDK_TOOLS ?=
SDK_PYTHON ?=
RECIPE_OPTIONS = --model $(call quote,$(MODEL))
RECIPE_OPTIONS += $(call option,--precision,$(PRECISION))
RECIPE_OPTIONS += $(call option,--soc,$(SOC))
RECIPE_OPTIONS += $(call option,--seq,$(SEQ))
RECIPE_OPTIONS += $(call option,--checkpoint,$(CHECKPOINT))
RECIPE_OPTIONS += $(if $(call yes,$(RANDOM)),--random)
RECIPE_OPTIONS += $(call option,--calibration,$(CALIBRATION))
RECIPE_OPTIONS += $(call option,--windows,$(WINDOWS))
RECIPE_OPTIONS += $(call option,--method,$(METHOD))
RECIPE_OPTIONS += $(if $(call yes,$(PER_TENSOR)),--per-tensor)
RECIPE_OPTIONS += $(if $(filter 0 no false,$(CHECK)),--no-check)
RECIPE_OPTIONS += $(call option,--train,$(TRAIN))
RECIPE_OPTIONS += $(call option,--toolchain,$(TOOLCHAIN))
RECIPE_OPTIONS += $(call option,--quantizer,$(QUANTIZER))
RECIPE_OPTIONS += $(call option,--sdk-tools,$(SDK_TOOLS))
RECIPE_OPTIONS += $(call option,--sdk-python,$(SDK_PYTHON))
TUNE_OPTIONS = --model $(call quote,$(MODEL))
TUNE_OPTIONS += $(call option,--soc,$(SOC))
TUNE_OPTIONS += $(call option,--seq,$(SEQ))
TUNE_OPTIONS += $(call option,--checkpoint,$(CHECKPOINT))
TUNE_OPTIONS += $(if $(call yes,$(RANDOM)),--random)
TUNE_OPTIONS += $(call option,--calibration,$(CALIBRATION))
TUNE_OPTIONS += $(call option,--windows,$(WINDOWS))
TUNE_OPTIONS += $(if $(call yes,$(PER_TENSOR)),--per-tensor)
TUNE_OPTIONS += $(if $(filter 0 no false,$(CHECK)),--no-check)

help-recipe:
	@echo '  MODEL        a folder below Models/                                  (minilm-qa)'
	@echo '  PRECISION    w8a8, w8a8-mixed, w8a16, w16a16 or fp16                 (w8a16)'
	@echo '  SOC          SoCs to compile for, separated by commas                (sm8650)'
	@echo '  SEQ          tokens per window                                       (384)'
	@echo '  CHECKPOINT   checkpoint folder or hub name, for a model of your own'
	@echo '  RANDOM       1: random weights of the model'\''s architecture'
	@echo '  CALIBRATION  SQuAD JSON to calibrate on                              (shipped)'
	@echo '  WINDOWS      calibration windows, spread evenly                      (64)'
	@echo '  METHOD       calibration method: min-max, mse or percentile          (min-max)'
	@echo '  PER_TENSOR   1: one weight encoding per tensor'
	@echo '  CHECK        0: do not run each new DLC once beside its ONNX model'
	@echo '  TRAIN        questions to train the quantized model on, or "shipped" (none)'
	@echo '  TOOLCHAIN    toolchain to use: pypi or sdk                           (sdk where SNPE_ROOT is set)'
	@echo '  QUANTIZER    with the SDK, the quantizer: aimet or sdk               (aimet)'
	@echo '  SDK_TOOLS    with the SDK, its tools: snpe or qairt                  (snpe)'
	@echo '  SDK_PYTHON   with the SDK, the Python for its scripts                (by version)'
