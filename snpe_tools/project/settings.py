"""How people set what a recipe holds: each setting's option, its Makefile variable and its help, in one place.

Options of commands, `make help` and `recipe.mk` are made from this table; `recipe.Recipe` has each field's type and
default. A setting of a recipe that has no row here can only be written into the recipe's file.
"""

from __future__ import annotations

from dataclasses import dataclass

from snpe_tools.core.calibration_methods import METHODS_TEXT

DEFAULT_MODEL = "minilm-qa"


@dataclass(frozen=True)
class Setting:
    """One row.

    Attributes:
        field: of `Recipe`.
        option: of commands, without its dashes. `variable`, the Makefile's, is the same in capitals.
        help: what it is, for both.
        kind: str, int or bool.
        usual: the default, as people read it.
        off: for what is on by default, the option that turns it off, without its dashes.
        tuned: `tune` takes it, too; the others mean nothing to a search.
        negated: the Makefile's variable means `off`: PER_TENSOR=1. Else 0 turns it off: CHECK=0.
    """

    field: str
    option: str
    help: str
    kind: type = str
    usual: str = ""
    off: str = ""
    negated: bool = False
    tuned: bool = True

    @property
    def words(self) -> str:
        """The help of the option."""
        if self.negated:
            return f"{self.help} (--{self.off}), or one per channel."
        return f"{self.help}{f' [{self.usual}]' if self.usual else ''}."

    @property
    def parameter(self) -> str:
        """Its name among a command's parameters."""
        return self.option.replace("-", "_")

    @property
    def variable(self) -> str:
        """Its name in the Makefile."""
        return (self.off if self.negated else self.option).replace("-", "_").upper()


SETTINGS = (
    Setting("precision", "precision", "w8a8, w8a8-mixed, w8a16, w16a16 or fp16", usual="w8a16", tuned=False),
    Setting("socs", "soc", "SoCs to compile for, separated by commas", usual="sm8650"),
    Setting("sequence_length", "seq", "tokens per window", int, "384"),
    Setting("checkpoint", "checkpoint", "checkpoint folder or hub name, for a model of your own"),
    Setting("random", "random", "random weights of the model's architecture", bool),
    Setting("calibration", "calibration", "SQuAD JSON to calibrate on", usual="shipped"),
    Setting("calibration_windows", "windows", "calibration windows, spread evenly", int, "64"),
    Setting("method", "method", f"calibration method: {METHODS_TEXT}", usual="min-max", tuned=False),
    Setting("per_channel", "per-channel", "one weight encoding per tensor", bool, off="per-tensor", negated=True),
    Setting("check", "check", "run each new DLC once beside its ONNX model", bool, off="no-check"),
    Setting("train", "train", 'questions to train the quantized model on, or "shipped"', usual="none", tuned=False),
    Setting("toolchain", "toolchain", "toolchain to use: pypi or sdk", usual="sdk where SNPE_ROOT is set", tuned=False),
    Setting("quantizer", "quantizer", "with the SDK, the quantizer: aimet or sdk", usual="aimet", tuned=False),
    Setting("sdk_tools", "sdk-tools", "with the SDK, its tools: snpe or qairt", usual="snpe", tuned=False),
    Setting("sdk_python", "sdk-python", "with the SDK, the Python for its scripts", usual="by version", tuned=False),
)
BY_FIELD = {setting.field: setting for setting in SETTINGS}
