"""The command lines of the SDK's tools: which flags, with which values, and why each.

Long option names only: `-s` is a symbol's value to snpe-onnx-to-dlc and an input's shape to qairt-converter. All paths
are relative to one folder, which is the tools' working folder: input lists count from there, and hold no blanks.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from snpe_tools.core.errors import UsageError
from snpe_tools.core.socs import Soc
from snpe_tools.toolchains import Conversion, Quantization
from snpe_tools.toolchains.sdk.environment import Sdk

_WIDE, _FIRST_MOVED = 16, 3
CALIBRATION = "calibration.txt"


@dataclass(frozen=True)
class Option:
    """A flag, its values, and why it is there."""

    flag: str
    values: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Command:
    """A call of one tool; `output` is the file it writes."""

    tool: str
    options: tuple[Option, ...]
    output: str

    @property
    def arguments(self) -> list[str]:
        """The tool and its arguments."""
        return [self.tool, *(word for option in self.options for word in (option.flag, *option.values))]

    def script(self, launcher: Sequence[Path]) -> str:
        """The command as shell lines to paste, under a comment for each flag."""
        lines = [shlex.join([option.flag, *option.values]) for option in self.options]
        width = max(map(len, lines))
        reasons = [f"#   {line:{width}}   {option.why}" for line, option in zip(lines, self.options, strict=True)]
        start = shlex.join(map(str, launcher))
        return "\n".join([f"# {self.tool}", *reasons, " \\\n    ".join([start, *lines])])


@dataclass(frozen=True)
class Names:
    """The files of a conversion in the working folder."""

    onnx: str
    encodings: str
    floating: str
    target: str

    @classmethod
    def of(cls, job: Conversion) -> Names:
        """Their names; the quantizer's output, or else the converter's, is named as the user's DLC.

        The other DLC's name is longer than that one, so that no tool reads the file it writes.
        """
        floating = f"{job.target.stem}.float.dlc" if job.quantization else job.target.name
        return cls(job.onnx.name, f"{job.graph}.encodings", floating, job.target.name)


def conversion_commands(sdk: Sdk, job: Conversion) -> list[Command]:
    """Convert, and quantize where that is asked for.

    Raises:
        UsageError: a calibration method that the quantizer does not have, or a mixed precision without encodings.
    """
    names, asked = Names.of(job), job.quantization
    if asked and asked.options.precision.mixed and not asked.encodings:
        raise UsageError(
            f"The SDK's quantizer knows one width for all activations, and {asked.options.precision} has two.",
            "Pass the encodings that `snpe-tools quantize` wrote: --encodings FILE.",
        )
    convert, quantize = (
        (_qairt_converter, _qairt_quantizer) if sdk.family == "qairt" else (_snpe_converter, _snpe_quantizer)
    )
    return [convert(job, names), *([quantize(sdk, names, asked)] if asked else [])]


def preparation_command(dlc: str, target: str, socs: Sequence[Soc], outputs: Sequence[str]) -> Command:
    """Compile for SoCs. It never gets an input list, of which it would only read the header: it cannot quantize."""
    options = (
        Option("--input_dlc", (dlc,), "compiled as it is: nothing is quantized here"),
        Option("--output_dlc", (target,), "the same DLC with a cache per SoC"),
        Option("--htp_socs", (",".join(soc.name for soc in socs),), "the tool's default is a single one, by version"),
        Option("--set_output_tensors", (",".join(sorted(outputs)),), "as net-run asks; others make the cache useless"),
    )
    return Command("snpe-dlc-graph-prepare", options, target)


def _snpe_converter(job: Conversion, names: Names) -> Command:
    options = [
        Option("--input_network", (names.onnx,), "float model with int32 inputs"),
        *_inputs("--input_dim", job),
        *_outputs("--out_node", job),
        *_layout(job),
        *_overrides(job.quantization, names, "stores our encodings; the quantizer applies them with --override_params"),
        Option("--output_path", (names.floating,), "float DLC"),
    ]
    return Command("snpe-onnx-to-dlc", tuple(options), names.floating)


def _qairt_converter(job: Conversion, names: Names) -> Command:
    options = [
        Option("--input_network", (names.onnx,), "float model with int32 inputs"),
        *_inputs("--source_model_input_shape", job),
        *_outputs("--out_tensor_node", job),
        *_overrides(job.quantization, names, "our encodings, applied at once"),
        Option("--float_bitwidth", ("32",), "stated, since its default changes to 16 when there are encodings"),
        Option("--output_path", (names.floating,), "DLC; what has no encoding is float"),
    ]
    return Command("qairt-converter", tuple(options), names.floating)


def _inputs(flag: str, job: Conversion) -> Iterator[Option]:
    for spec in job.inputs:
        yield Option(flag, (spec.name, ",".join(map(str, spec.shape))), "no shape may stay open")


def _outputs(flag: str, job: Conversion) -> Iterator[Option]:
    return (Option(flag, (spec.name,), "an output of the model") for spec in job.outputs)


def _layout(job: Conversion) -> Iterable[Option]:
    """The older converter moves channels last in tensors of three axes or more; raws would have to follow."""
    if all(len(spec.shape) < _FIRST_MOVED for spec in (*job.inputs, *job.outputs)):
        return []
    return [Option("--preserve_io", ("layout",), "raws keep the axes of the ONNX model")]


def _overrides(asked: Quantization | None, names: Names, why: str) -> Iterable[Option]:
    return [Option("--quantization_overrides", (names.encodings,), why)] if asked and asked.encodings else []


def _snpe_quantizer(sdk: Sdk, names: Names, asked: Quantization) -> Command:
    # The wrapper does the same where the native tool is missing, as long as it is not told to prepare.
    tool = "snpe-dlc-quant" if sdk.has("snpe-dlc-quant") else "snpe-dlc-quantize"
    chosen = (
        [Option("--override_params", (), "without it the stored encodings are ignored")]
        if asked.encodings
        else _snpe_calibration(sdk, asked)
    )
    return Command(tool, (*_quantizer_files(names), *_bits(asked), *chosen), names.target)


def _snpe_calibration(sdk: Sdk, asked: Quantization) -> list[Option]:
    method = asked.options.method
    if method not in {"min-max", "mse"}:
        raise UsageError(
            f"snpe-dlc-quant has no {method} calibration.",
            "Take QUANTIZER=aimet (--quantizer aimet), METHOD=mse, or SDK_TOOLS=qairt where the SDK has them.",
        )
    enhanced = [
        Option(flag, tuple(values), "smallest error instead of every value")
        for flag, *values in (sdk.dialect.enhanced if method == "mse" else ())
    ]
    per_channel = Option(sdk.dialect.per_channel, (), "an encoding per output channel of a weight")
    return enhanced + ([per_channel] if _wants_per_channel(asked) else [])


def _wants_per_channel(asked: Quantization) -> bool:
    """Per channel as asked, except with 16-bit weights, where it was found to make results on devices much worse."""
    return asked.options.per_channel and asked.options.precision.weights < _WIDE


def _qairt_quantizer(_: Sdk, names: Names, asked: Quantization) -> Command:
    chosen = [] if asked.encodings else _qairt_calibration(asked)
    return Command("qairt-quantizer", (*_quantizer_files(names), *_bits(asked), *chosen), names.target)


def _qairt_calibration(asked: Quantization) -> list[Option]:
    method, per_channel = asked.options.method, _wants_per_channel(asked)
    options = [
        Option("--act_quantizer_calibration", (method,), "how observed values become a range"),
        Option("--act_quantizer_schema", ("asymmetric",), "activations need not be centred on zero"),
        Option("--param_quantizer_schema", ("symmetric" if per_channel else "asymmetric",), "weights, as the HTP does"),
    ]
    if method == "percentile":
        options.append(Option("--percentile_calibration_value", (f"{asked.options.percentile:g}",), "share kept"))
    if per_channel:
        options.append(Option("--use_per_channel_quantization", (), "an encoding per output channel of a weight"))
    return options


def _quantizer_files(names: Names) -> tuple[Option, ...]:
    return (
        Option("--input_dlc", (names.floating,), "a float DLC: a quantized one must never be fed back"),
        Option("--input_list", (CALIBRATION,), "float32 raws; their ranges become encodings where there is none yet"),
        Option("--output_dlc", (names.target,), "the quantized DLC"),
    )


def _bits(asked: Quantization) -> tuple[Option, ...]:
    precision = asked.options.precision
    return (
        Option("--weights_bitwidth", (str(precision.weights),), f"{precision}"),
        Option("--act_bitwidth", (str(precision.activations),), f"{precision}"),
        Option("--bias_bitwidth", ("32",), "stated, since the default is 8"),
    )


def environment_script(sdk: Sdk, folder: Path) -> str:
    """Shell lines that give pasted commands the environment that ours run in."""
    own = {name: shlex.quote(value) for name, value in sdk.environment.items()}
    for name in ("PATH", "LD_LIBRARY_PATH"):
        own[name] = f'{shlex.quote(sdk.environment[name].split(":", 1)[0])}:"${{{name}:-}}"'
    return "\n".join([*(f"export {name}={value}" for name, value in own.items()), f"cd {shlex.quote(str(folder))}"])
