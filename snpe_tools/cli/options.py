"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snpe_tools.cli.recipe_options import sentence
from snpe_tools.core.errors import UsageError
from snpe_tools.project.settings import BY_FIELD

if TYPE_CHECKING:
    from snpe_tools.toolchains import Quantization
    from snpe_tools.toolchains import Toolchain as ToolchainProtocol

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Native = Annotated[bool, typer.Option("--native", help="Raw files hold the model's own types instead of float32.")]
SocName = Annotated[str, typer.Option("--soc", metavar="NAME", help="SoC whose HTP is meant, such as sm8650.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="File to write.", show_default=False)]
InputsFile = Annotated[
    Path, typer.Option("--inputs", "-i", help="Input list that names the raw files.", show_default=False)
]

Model = Annotated[str, typer.Option("--model", help="Folder below Models/.")]
Root = Annotated[Path, typer.Option("--root", help="Folder that holds Models/ and raw_inputs/.")]


def _of_step(field: str) -> Any:  # noqa: ANN401 - as typer declares options
    """The option of a recipe's setting, for a single step."""
    setting = BY_FIELD[field]
    return typer.Option(f"--{setting.option}", help=sentence(setting.words))


Toolchain = Annotated[str | None, _of_step("toolchain")]
SdkTools = Annotated[str | None, _of_step("sdk_tools")]
SdkPython = Annotated[str | None, _of_step("sdk_python")]
Device = Annotated[
    str,
    typer.Option("--device", help="Where: host (the emulator), adb:SERIAL, ssh://user@host:port; several by commas."),
]
OneDevice = Annotated[
    str, typer.Option("--device", help="adb, adb:SERIAL or ssh://user@host:port.", show_default=False)
]
Runtime = Annotated[
    str, typer.Option("--runtime", help="On devices: snpe, qnn, board or native; the first that there is.")
]
Fetch = Annotated[
    bool, typer.Option("--fetch", help="Fetch the runtime that a device lacks here, and accept its licence.")
]
Profile = Annotated[str, typer.Option("--profile", help="On devices: performance profile, such as burst.")]
DeviceRoot = Annotated[str, typer.Option("--device-root", help="Folder on the device for all that is put there.")]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout", help="On devices: seconds that a run may take; 0: 15 minutes, and 2 for each inference.", min=0
    ),
]
Data = Annotated[str, typer.Option("--data", help='Questions: SQuAD JSON, "squad", or "" for the shipped ones.')]


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
