"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snpe_tools.core.errors import UsageError

if TYPE_CHECKING:
    from snpe_tools.project.recipe import Recipe
    from snpe_tools.toolchains import Quantization
    from snpe_tools.toolchains import Toolchain as ToolchainProtocol

DEFAULT_MODEL = "minilm-qa"

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Native = Annotated[bool, typer.Option("--native", help="Raw files hold the model's own types instead of float32.")]
SocName = Annotated[str, typer.Option("--soc", metavar="NAME", help="SoC whose HTP is meant, such as sm8650.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="File to write.", show_default=False)]
InputsFile = Annotated[
    Path, typer.Option("--inputs", "-i", help="Input list that names the raw files.", show_default=False)
]

Model = Annotated[str, typer.Option("--model", help="Folder below Models/.")]
Root = Annotated[Path, typer.Option("--root", help="Folder that holds Models/ and raw_inputs/.")]
Checkpoint = Annotated[str | None, typer.Option("--checkpoint", help="Checkpoint folder or hub name.")]
PrecisionName = Annotated[str | None, typer.Option("--precision", help="w8a8, w8a8-mixed, w8a16, w16a16 or fp16.")]
SocNames = Annotated[str | None, typer.Option("--soc", help="SoCs to compile for, such as sm8550,sm8650.")]
Sequence_ = Annotated[int | None, typer.Option("--seq", help="Tokens per window.")]
Calibration = Annotated[str | None, typer.Option("--calibration", help="SQuAD JSON to calibrate on.")]
Windows = Annotated[int | None, typer.Option("--windows", help="Calibration windows, evenly spread.")]
Method = Annotated[str | None, typer.Option("--method", help="Calibration: min-max, mse or percentile.")]
PerChannel = Annotated[bool | None, typer.Option("--per-channel/--per-tensor", help="Weight encodings.")]
Check = Annotated[
    bool | None,
    typer.Option("--check/--no-check", help="Run each new DLC once on the emulator beside its ONNX model."),
]
Toolchain = Annotated[
    str | None, typer.Option("--toolchain", help="Who makes the DLC: pypi (ONNX Runtime QNN) or sdk (SNPE, QAIRT).")
]
Quantizer = Annotated[str | None, typer.Option("--quantizer", help="With the SDK, who finds encodings: aimet or sdk.")]
SdkTools = Annotated[
    str | None, typer.Option("--sdk-tools", help="With the SDK: its snpe or its qairt converter and quantizer.")
]
SdkPython = Annotated[str | None, typer.Option("--sdk-python", help="With the SDK: the Python for its scripts.")]
Device = Annotated[
    str,
    typer.Option("--device", help="Where: host (the emulator), adb:SERIAL, ssh://user@host:port; several by commas."),
]
OneDevice = Annotated[
    str, typer.Option("--device", help="adb, adb:SERIAL or ssh://user@host:port.", show_default=False)
]
Runtime = Annotated[str, typer.Option("--runtime", help="On devices: snpe, qnn or board; the first that there is.")]
Profile = Annotated[str, typer.Option("--profile", help="On devices: performance profile, such as burst.")]
DeviceRoot = Annotated[str, typer.Option("--device-root", help="Folder on the device for all that is put there.")]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout", help="On devices: seconds that a run may take; 0: 15 minutes, and 2 for each inference.", min=0
    ),
]
Train = Annotated[
    str | None,
    typer.Option(
        "--train",
        help='Questions to train the quantized model on: SQuAD JSON, rows (.jsonl, .jsonl.xz), or "shipped".',
    ),
]
Random = Annotated[bool, typer.Option("--random", help="Random weights of the recipe's architecture.")]
Data = Annotated[str, typer.Option("--data", help='Questions: SQuAD JSON, "squad", or "" for the shipped ones.')]


_SETTINGS = {"soc": "socs", "seq": "sequence_length", "windows": "calibration_windows"}
"""Settings of a recipe whose options have shorter names."""


def chosen_recipe(given: Mapping[str, Any]) -> Recipe:
    """The recipe that a command's options ask for; what they leave out, or empty, stays as the recipe has it.

    Args:
        given: the options of the command, with `model`, `random` and `root` among them.

    Raises:
        UsageError: a value that a setting cannot have.
        RecipeError: nothing is known of the model, or its recipe is wrong.
    """
    from snpe_tools.project.recipe import Recipe, load_recipe

    named = {_SETTINGS.get(option, option): value for option, value in given.items()} | {
        "random": given["random"] or None
    }
    overrides = {key: value for key, value in named.items() if key in Recipe.model_fields and value not in {None, ""}}
    return load_recipe(given["model"], given["root"] / "Models", overrides)


def parse_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Shapes from "name=1,384" texts.

    Raises:
        UsageError: one is not of that form.
    """
    shapes = {}
    for text in texts:
        name, _, numbers = text.partition("=")
        if not name or not all(part.isdecimal() and int(part) > 0 for part in numbers.split(",")):
            raise UsageError(f"{text!r} is not a shape.", "Write --shape NAME=1,384.")
        shapes[name] = tuple(int(part) for part in numbers.split(","))
    return shapes


def parse_values(texts: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Values of inputs from "name=16000" or "name=1,2" texts; true and false are 1 and 0.

    Raises:
        UsageError: one is not of that form.
    """
    words = {"true": "1", "false": "0"}
    values = {}
    for text in texts:
        name, _, numbers = text.rpartition("=")
        try:
            values[name] = tuple(float(words.get(part.strip().lower(), part)) for part in numbers.split(","))
        except ValueError as problem:
            raise UsageError(f"{text!r} is not a value.", "Write --value NAME=16000.") from problem
        if not name:
            raise UsageError(f"{text!r} names no input.", "Write --value NAME=16000.")
    return values


def choose_toolchain(name: str | None, sdk_tools: str | None, sdk_python: str | None) -> ToolchainProtocol:
    """The toolchain that the options of one step name.

    Raises:
        UsageError: one that does not exist.
        SetupError: the SDK is asked for, and cannot be used.
    """
    from snpe_tools.toolchains.choosing import choose
    from snpe_tools.toolchains.sdk.versions import parse_family

    return choose(name or "auto", sdk_python=sdk_python or "", sdk_tools=parse_family(sdk_tools or ""))


def sdk_quantization(
    toolchain: ToolchainProtocol, inputs: Path | None, encodings: Path | None, precision: str | None
) -> Quantization | None:
    """What the SDK is to quantize with; None leaves the model as it is.

    Raises:
        UsageError: encodings without inputs, fp16 with them, or a precision or encodings without the SDK.
    """
    if toolchain.reads_qdq and (encodings or precision):
        raise UsageError(
            "ONNX Runtime QNN reads quantized models as QDQ, and quantizes nothing itself.",
            "Quantize first: snpe-tools quantize; or add --toolchain sdk.",
        )
    if toolchain.reads_qdq:
        return None
    if not inputs:
        if encodings:
            raise UsageError("--encodings needs --inputs.", "Tensors without an encoding get one from the inputs.")
        return None
    from snpe_tools.core.precision import Precision
    from snpe_tools.quantization.simulator import QuantizationOptions
    from snpe_tools.toolchains import Quantization

    bits = Precision.parse(precision or "w8a16")
    if bits.is_float:
        raise UsageError("fp16 needs no quantization.", "Leave --inputs out.")
    return Quantization(QuantizationOptions(bits), inputs, encodings)


def parse_questions(text: str) -> int | None:
    """A number of questions: "" is the default sample (None), "all" is 0.

    Raises:
        UsageError: neither a positive number nor "all".
    """
    if not text:
        return None
    if text == "all":
        return 0
    if not text.isdecimal() or not int(text):
        raise UsageError(
            f"{text!r} is not a number of questions.", "Write QUESTIONS=100 or QUESTIONS=all (--questions)."
        )
    return int(text)
