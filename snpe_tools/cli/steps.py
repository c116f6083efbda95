"""One command for each step of the flow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snpe_tools.cli import options
from snpe_tools.cli.output import finish, seconds, size, table
from snpe_tools.core.calibration_methods import METHODS_TEXT
from snpe_tools.core.errors import UsageError
from snpe_tools.core.progress import say

if TYPE_CHECKING:
    from snpe_tools.quantization.simulator import QuantizationOptions

ModelFile = Annotated[Path, typer.Argument(help="The model file.", show_default=False)]


def export(
    checkpoint: Annotated[str, typer.Argument(help="Checkpoint folder or hub name.", show_default=False)],
    output: options.Output,
    seq: Annotated[int, typer.Option(help="Tokens per window.", min=32)] = 384,
    mask_value: Annotated[float, typer.Option(help="Added to the attention scores of padding.")] = -100.0,
    tokenizer: Annotated[str, typer.Option(help="Tokenizer folder or hub name, the checkpoint by default.")] = "",
    as_json: options.Json = False,
) -> None:
    """Checkpoint → fixed-shape ONNX. Its attention mask survives quantization."""
    from snpe_tools import export as run_export

    made = run_export(checkpoint, output, sequence_length=seq, mask_value=mask_value, tokenizer=tokenizer)
    for constant in made.mask_constants:
        say(f"  mask: {constant} → {mask_value:g}")
    say(
        f"{made.onnx}: {made.examples_checked} of {made.examples_checked} answers equal the checkpoint's; "
        f"logits differ by {made.largest_difference:.1e} at most."
    )
    finish(made, as_json=as_json)


def simplify(
    model: ModelFile,
    output: options.Output,
    shape: Annotated[list[str], typer.Option(help="Shape of a dynamic input: NAME=1,3,224,224.")] = [],  # noqa: B006
    value: Annotated[list[str], typer.Option(help="Value of an input, which becomes a constant: sr=16000.")] = [],  # noqa: B006
    as_json: options.Json = False,
) -> None:
    """Any ONNX model → fixed shapes. Simplified, int32 inputs, and what the HTP computes wrong rewritten."""
    from snpe_tools.steps.simplify import simplify as run_simplify

    made = run_simplify(model, output, options.parse_shapes(shape), values=options.parse_values(value))
    for constant in made.mask_constants:
        say(f"  mask: {constant}: raised, so that 8 and 16 bits have room for the scores")
    for change in made.changes:
        say(f"  {change}")
    same = "computes the same" if made.agreement_db is None else f"{made.agreement_db:.0f} dB from the original"
    say(f"{made.onnx}: {made.nodes_before} nodes → {made.nodes}; {same} on random inputs.")
    finish(made, as_json=as_json)


def inputs(
    model: ModelFile,
    tokenizer: Annotated[Path, typer.Option(help="tokenizer.json of the checkpoint.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write; replaced.", show_default=False)],
    data: options.Data = "",
    limit: Annotated[int | None, typer.Option(help="At most so many windows, evenly spread.", min=1)] = None,
    calibration: Annotated[
        bool, typer.Option("--for-calibration", help="Shipped calibration questions by default; no line for outputs.")
    ] = False,
    native: options.Native = False,
    as_json: options.Json = False,
) -> None:
    """Questions → raw files and list.txt. As the SNPE tools read them."""
    from snpe_tools import inputs as run_inputs
    from snpe_tools.tasks import find_task

    chosen = find_task()
    examples = chosen.load(chosen.calibration if calibration and not data else chosen.find(data))
    made = run_inputs(model, examples, tokenizer, output, limit=limit, for_calibration=calibration, native=native)
    say(f"{made.list_file}: {len(made.batch)} windows, {size(made.bytes)}.")
    finish({"list": made.list_file, "windows": len(made.batch), "bytes": made.bytes}, as_json=as_json)


def quantize(
    model: ModelFile,
    inputs: options.InputsFile,
    output: options.Output,
    precision: Annotated[str, typer.Option(help="w8a8, w8a8-mixed, w8a16 or w16a16.")] = "w8a16",
    plan: Annotated[
        Path | None, typer.Option(help="With w8a8 and w8a8-mixed: TOML file with ranges and what gets 16 bits.")
    ] = None,
    method: Annotated[str, typer.Option(help=f"{METHODS_TEXT}.")] = "min-max",
    percentile: Annotated[
        float, typer.Option(help="Share of values inside the range, for percentile.", min=50, max=100)
    ] = 99.99,
    per_channel: Annotated[bool, typer.Option("--per-channel/--per-tensor", help="Weight encodings.")] = True,
    native: options.Native = False,
    as_json: options.Json = False,
) -> None:
    """ONNX → QDQ ONNX and encodings. Calibrated on an input list; encodings in AIMET 1.0.0 and 0.6.1."""
    from snpe_tools import quantize as run_quantize

    how = _quantization(precision, method, percentile, plan, per_channel=per_channel)
    made = run_quantize(model, inputs, output, how, native=native)
    wide = f", {made.wide} of 16 bits," if plan else ""
    say(
        f"{made.qdq}: {made.activations} activation encodings{wide} from {made.windows} inferences; "
        f"{made.encodings}, {made.legacy_encodings}."
    )
    finish(made, as_json=as_json)


def _quantization(
    precision: str, method: str, percentile: float, plan: Path | None, *, per_channel: bool
) -> QuantizationOptions:
    from snpe_tools.core.precision import Precision
    from snpe_tools.quantization.plan import load_plan
    from snpe_tools.quantization.simulator import QuantizationOptions, parse_method

    mixed = load_plan(plan) if plan else None
    return QuantizationOptions(Precision.parse(precision), parse_method(method), per_channel, percentile, mixed)


def convert(
    model: ModelFile,
    output: options.Output,
    name: Annotated[str, typer.Option(help="Name of the graph, from the file's name by default.")] = "",
    soc: options.SocName = "sm8650",
    toolchain: options.Toolchain = "pypi",
    sdk_tools: options.SdkTools = None,
    sdk_python: options.SdkPython = None,
    inputs: Annotated[
        Path | None,
        typer.Option(
            "--inputs", "-i", help="Input list to check the DLC on; with the SDK, to quantize a float model with, too."
        ),
    ] = None,
    encodings: Annotated[
        Path | None,
        typer.Option("--encodings", "-e", help="With the SDK and --inputs: AIMET encodings to apply."),
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="With the SDK and --inputs: w8a8, w8a16 or w16a16.", show_default="w8a16")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Run one inference on the emulator beside the ONNX model.")
    ] = True,
    as_json: options.Json = False,
) -> None:
    """ONNX, float or QDQ → DLC that was run once. CPU fallback is off: refused operations are listed."""
    from snpe_tools import convert as run_convert
    from snpe_tools.core.soc_names import parse_socs

    chosen = options.choose_toolchain(toolchain, sdk_tools, sdk_python)
    made = run_convert(
        model,
        output,
        name=name,
        soc=parse_socs(soc)[0],
        toolchain=chosen,
        quantization=options.sdk_quantization(chosen, inputs, encodings, precision),
        inputs=inputs,
        check=check,
    )
    say(
        f"{made.dlc}: graph {made.graph}, {sum(made.operations.values())} operations, "
        f"{made.float_steps} of them Quantize or Dequantize; {made.check or 'NOT checked'}."
    )
    finish(made, as_json=as_json)


def prepare(
    dlc: ModelFile,
    output: options.Output,
    soc: options.SocName = "sm8650",
    toolchain: options.Toolchain = "pypi",
    sdk_tools: options.SdkTools = None,
    sdk_python: options.SdkPython = None,
    epcontext: Annotated[
        Path | None,
        typer.Option(help="Also write an ONNX file that ONNX Runtime loads the compiled graph by, its .bin beside it."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """DLC → DLC with an HTP cache per SoC."""
    from snpe_tools import prepare as run_prepare
    from snpe_tools.core.soc_names import parse_socs

    chosen = options.choose_toolchain(toolchain, sdk_tools, sdk_python)
    socs = parse_socs(soc)
    if epcontext and len(socs) > 1:
        raise UsageError("An EPContext file names the compiled graph of one SoC.", "Name one SoC with --soc.")
    made = run_prepare(dlc, output, socs, toolchain=chosen)
    table(("cache", "size"), [(name, size(count)) for name, count in made.caches.items()])
    if epcontext:
        from snpe_tools.steps.extract import write_epcontext

        context = write_epcontext(output, socs[0], epcontext)
        say(f"{epcontext}: loads {context.file.name}, {size(context.bytes)} for {context.soc}.")
    finish(made, as_json=as_json)


def run(
    dlc: ModelFile,
    inputs: options.InputsFile,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for Result_<i>/.", show_default=False)],
    soc: options.SocName = "sm8650",
    outputs: Annotated[str, typer.Option(help="Tensors to write, comma-separated; the list's % line by default.")] = "",
    native: options.Native = False,
    native_outputs: Annotated[bool, typer.Option(help="Write the model's own types instead of float32.")] = False,
    workers: Annotated[int, typer.Option(help="Child processes; 0 takes up to two.", min=0)] = 0,
    fast: Annotated[
        bool, typer.Option("--fast", help="Compute by integer rules instead, checked against the emulator.")
    ] = False,
    checked: Annotated[int, typer.Option(help="With --fast: inferences to compare with the emulator.", min=1)] = 2,
    as_json: options.Json = False,
) -> None:
    """Execute a DLC on the HTP emulator. The file itself; writes Result_<i>/<tensor>.raw."""
    from snpe_tools import run as run_run
    from snpe_tools.core.soc_names import parse_socs

    wanted = [name for name in outputs.split(",") if name]
    if fast:
        from snpe_tools.execution.simulated import run_simulated

        simulated = run_simulated(
            dlc,
            inputs,
            out,
            soc=parse_socs(soc)[0],
            outputs=wanted,
            native_inputs=native,
            native_outputs=native_outputs,
            checked=checked,
        )
        say(f"{simulated.folder}: {simulated.inferences} inferences, {seconds(simulated.seconds)} s each.")
        finish(simulated, as_json=as_json)
        return
    made = run_run(
        dlc,
        inputs,
        out,
        soc=parse_socs(soc)[0],
        outputs=wanted,
        native_inputs=native,
        native_outputs=native_outputs,
        workers=workers,
    )
    say(
        f"{made.folder}: {made.inferences} inferences of {', '.join(made.outputs)}; {made.not_finite} NaN/Inf; "
        f"{seconds(made.seconds)} s each on the emulator, which says nothing about a device."
    )
    finish(made, as_json=as_json)
