"""A recipe: everything that decides what is built, as TOML in `Models/<model>/recipe.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator

from snpe_tools.core.architectures import ARCHITECTURES, Architecture
from snpe_tools.core.calibration_methods import Method
from snpe_tools.core.errors import RecipeError, SnpeToolsError, UsageError
from snpe_tools.core.files import read_toml
from snpe_tools.core.precision import Precision
from snpe_tools.core.soc_names import parse_socs
from snpe_tools.core.socs import Soc
from snpe_tools.core.validation import first_fault

FILE_NAME = "recipe.toml"
DEFAULT_TASK = "question-answering"
"""Of recipes and documents that name none."""
SHIPPED_CHECKPOINT = Path("minilm-qa") / "checkpoint"


class Recipe(BaseModel):
    """What to build. Paths in it are relative to the recipe's folder.

    Attributes:
        name: folder below Models/ and first part of every artefact's name.
        task: what the model is for; a folder in `snpe_tools.tasks`.
        checkpoint: folder or hub name of a checkpoint of that task.
        tokenizer: folder or hub name of its tokenizer, the checkpoint by default.
        architecture: family, for random weights.
        random: build random weights instead of loading the checkpoint.
        sequence_length: tokens per window.
        precision: such as "w8a16"; see `snpe_tools.core.precision`.
        socs: SoCs to compile for, comma-separated.
        toolchain: who makes the DLC: "pypi" is ONNX Runtime QNN, "sdk" the tools of the SNPE or QAIRT SDK; "auto" takes
            the SDK where the environment names one.
        quantizer: with the SDK, who finds the encodings: AIMET (they are handed over), or its own quantizer.
        sdk_tools: with the SDK, its snpe-* or qairt-* tools; "" takes snpe-* where it has them.
        sdk_python: with the SDK, the Python for its scripts; found by version when "".
        mask_value: what is added to the attention scores of padding.
        calibration: examples to calibrate on, "" for the shipped set.
        calibration_windows: windows taken from it, evenly spread.
        method: how observed values become encodings.
        percentile: share of values inside the range, in percent, for method "percentile".
        per_channel: one weight encoding per output channel.
        train: examples to train the quantized model on, a file or "shipped"; "" trains nothing.
        train_examples: how many of them, drawn at random; where there are fewer, all of them several times.
        check: run one inference of a new DLC on the emulator beside its ONNX model, and refuse it where it is far off.
        emulated_examples: how many the emulator is asked by default; it takes seconds for each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][\w.-]*$")
    task: str = DEFAULT_TASK
    checkpoint: str = ""
    tokenizer: str = ""
    architecture: Architecture | Literal[""] = ""
    random: bool = False
    sequence_length: int = Field(default=384, ge=32, le=4096)
    precision: str = "w8a16"
    socs: str = "sm8650"
    toolchain: Literal["auto", "pypi", "sdk"] = "auto"
    quantizer: Literal["aimet", "sdk"] = "aimet"
    sdk_tools: Literal["", "snpe", "qairt"] = ""
    sdk_python: str = ""
    mask_value: float = Field(default=-100.0, lt=0, gt=-1e4)
    calibration: str = ""
    calibration_windows: int = Field(default=64, ge=1)
    method: Method = "min-max"
    percentile: float = Field(default=99.99, gt=50, le=100)
    per_channel: bool = True
    train: str = ""
    train_examples: int = Field(default=1536, ge=1, validation_alias=AliasChoices("train_examples", "train_questions"))
    check: bool = True
    emulated_examples: int = Field(
        default=32, ge=1, validation_alias=AliasChoices("emulated_examples", "emulated_questions")
    )

    @field_validator("precision")
    @classmethod
    def _known_precision(cls, text: str) -> str:
        return _checked(text, Precision.parse)

    @field_validator("socs")
    @classmethod
    def _known_socs(cls, text: str) -> str:
        """In the compiler's names, however the user wrote them."""
        return ",".join(map(str, _parsed(text, parse_socs)))

    @property
    def parsed_precision(self) -> Precision:
        """The precision as a value."""
        return Precision.parse(self.precision)

    @property
    def parsed_socs(self) -> tuple[Soc, ...]:
        """The SoCs as values."""
        return parse_socs(self.socs)


def _checked(text: str, parse: Any) -> str:  # noqa: ANN401 - any parser of ours
    _parsed(text, parse)
    return text


def _parsed(text: str, parse: Any) -> Any:  # noqa: ANN401 - any parser of ours, and what it makes
    try:
        return parse(text)
    except SnpeToolsError as problem:
        raise ValueError(str(problem)) from problem


def load_recipe(model: str, models: Path, overrides: Mapping[str, Any]) -> Recipe:
    """The recipe of a model, with settings from the command line on top.

    A model without a recipe file needs a checkpoint or an architecture among the overrides.

    Args:
        model: a folder's name below `models`.
        models: the Models/ folder.
        overrides: settings; None means "not given".

    Raises:
        RecipeError: an unknown key, a wrong value, or nothing known of this model.
    """
    file = models / model / FILE_NAME
    given = {key: value for key, value in overrides.items() if value is not None}
    if not file.is_file() and not given.get("checkpoint"):
        known = ", ".join(sorted(found.parent.name for found in models.glob(f"*/{FILE_NAME}"))) or "none"
        raise RecipeError(
            f"There is no recipe {file}.",
            f"Known models: {known}. For your own, pass CHECKPOINT=folder (--checkpoint).",
        )
    content = read_toml(file) if file.is_file() else {}
    for key in ("checkpoint", "tokenizer", "calibration", "train"):
        if content.get(key) and (file.parent / str(content[key])).exists():
            content[key] = str(file.parent / str(content[key]))
    recipe = _validated({"name": model, **content, **given}, file, {"name", *given})
    return _with_weights(recipe, models)


def _validated(content: Mapping[str, Any], file: Path, given: set[str]) -> Recipe:
    try:
        return Recipe.model_validate(content)
    except ValidationError as problem:
        fault = first_fault(problem)
        refused = f"{fault.place} cannot be {content.get(fault.place)!r}: {fault.words}"
        if fault.unknown:
            known = f"Known keys: {', '.join(Recipe.model_fields)}."
            raise RecipeError(f"{file}: {fault}", known) from problem
        if fault.place in given:
            raise UsageError(refused) from problem
        raise RecipeError(f"{file}: {refused}") from problem


def _with_weights(recipe: Recipe, models: Path) -> Recipe:
    """The recipe, once it has weights to build from; random weights take the shipped tokenizer if they have none."""
    if recipe.random and not recipe.architecture:
        raise RecipeError(
            f"RANDOM=1 needs an architecture in the recipe of {recipe.name}.", f"One of: {', '.join(ARCHITECTURES)}."
        )
    if not recipe.random and not recipe.checkpoint:
        raise RecipeError(
            f"The recipe of {recipe.name} names no checkpoint.", "Pass CHECKPOINT=folder (--checkpoint), or RANDOM=1."
        )
    shipped = models / SHIPPED_CHECKPOINT
    if recipe.random and not recipe.tokenizer and shipped.is_dir():
        return recipe.model_copy(update={"tokenizer": str(shipped), "checkpoint": ""})
    return recipe
