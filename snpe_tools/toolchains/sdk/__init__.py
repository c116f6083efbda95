"""The toolchain of the user's own SNPE or QAIRT SDK: its converter, quantizer and graph-prepare, called and checked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import snpe_tools.dlc as dlc_format
from snpe_tools.core.errors import UsageError
from snpe_tools.core.files import write_json, write_text
from snpe_tools.core.progress import Advance
from snpe_tools.core.raw_files import check_list, named, read_list
from snpe_tools.inspection.aimet import as_0_6_1
from snpe_tools.toolchains import Conversion, NewDlc, Preparation
from snpe_tools.toolchains.sdk.check import (
    check_boundary,
    check_caches,
    check_encodings,
    check_quantized,
    open_result,
)
from snpe_tools.toolchains.sdk.commands import (
    CALIBRATION,
    Command,
    Names,
    conversion_commands,
    preparation_command,
)
from snpe_tools.toolchains.sdk.environment import Sdk
from snpe_tools.toolchains.sdk.run import new_log, run_tool


@dataclass(frozen=True)
class SdkTools:
    """Drives one SDK."""

    sdk: Sdk
    reads_qdq = False

    @property
    def label(self) -> str:
        """Such as "QAIRT 2.31.0.250130 (snpe tools)"."""
        return f"{self.sdk.dialect.name} {self.sdk.version} ({self.sdk.family} tools)"

    def convert(self, job: Conversion, folder: Path) -> NewDlc:
        """See `Toolchain.convert`: convert, quantize where that is asked for, and check what was written."""
        commands = conversion_commands(self.sdk, job)
        lay_out(job, folder)
        log = new_log(job.target)
        for command in commands:
            run_tool(self.sdk, command, folder, log)
            with open_result(folder / command.output, command.tool) as dlc:
                check_boundary(dlc, command.tool, job.inputs, job.outputs)
        notes = self._notes(commands)
        if job.quantization:
            tool = commands[-1].tool
            with open_result(folder / job.target.name, tool) as dlc:
                notes["activation_bits"] = check_quantized(
                    dlc, tool, job.quantization.options.precision, job.quantization.encodings
                )
                notes["encodings"] = check_encodings(dlc, tool, job.quantization)
        return NewDlc(folder / job.target.name, notes)

    def prepare(self, job: Preparation, folder: Path, advance: Advance) -> NewDlc:
        """See `Toolchain.prepare`: one call for all SoCs, and each is looked for in the file."""
        (folder / job.dlc.name).symlink_to(job.dlc.absolute())
        with dlc_format.open(job.dlc) as source:
            outputs = [tensor.name for tensor in source.graph.outputs]
        name = job.target.name if job.target.name != job.dlc.name else f"prepared.{job.target.name}"
        command = preparation_command(job.dlc.name, name, job.socs, outputs)
        log = new_log(job.target)
        finished = run_tool(self.sdk, command, folder, log)
        with open_result(folder / name, command.tool) as dlc:
            check_caches(dlc, command.tool, job.socs, outputs, finished.output)
        advance(len(job.socs))
        return NewDlc(folder / name, self._notes([command]))

    def _notes(self, commands: list[Command]) -> dict[str, Any]:
        return {
            "sdk": {"root": str(self.sdk.root), "version": str(self.sdk.version), "python": str(self.sdk.python)},
            "commands": [command.arguments for command in commands],
        }


def lay_out(job: Conversion, folder: Path) -> None:
    """Put everything that the tools read into their working folder, under names without blanks.

    Raises:
        UsageError: a quantized model, which these tools would quantize a second time.
        TensorError: the calibration list does not fit the model.
    """
    if _is_qdq(job.onnx):
        raise UsageError(
            f"{job.source} is already quantized, and the SDK's converter is to get the float model.",
            "Pass the float ONNX model, with --encodings to have them applied.",
        )
    if job.quantization:
        if job.quantization.encodings:
            write_json(folder / Names.of(job).encodings, as_0_6_1(job.quantization.encodings))
        _write_list(job, job.quantization.input_list, folder)


def _is_qdq(file: Path) -> bool:
    from snpe_tools.graph.loading import load

    return any(node.op_type == "QuantizeLinear" for node in load(file).graph.node)


def _write_list(job: Conversion, source: Path, folder: Path) -> None:
    """The calibration list as the quantizer needs it.

    No header line: with one, only the tensors it names would be calibrated. Every input by its name. Paths that count
    from the working folder, through a link per folder, since a list cannot hold blanks.
    """
    listed = read_list(source)
    check_list(listed, job.inputs)
    links: dict[Path, str] = {}
    lines = []
    for index, line in enumerate(listed.lines):
        files = named(line, job.inputs, source, index)
        lines.append(" ".join(f"{spec.name}:={_linked(files[spec.name], links)}" for spec in job.inputs))
    for place, link in links.items():
        (folder / link).parent.mkdir(exist_ok=True)
        (folder / link).symlink_to(place, target_is_directory=True)
    write_text(folder / CALIBRATION, "\n".join([*lines, ""]))


def _linked(file: Path, links: dict[Path, str]) -> str:
    place = Path(os.path.abspath(file)).parent  # noqa: PTH100 - links on the way must stay as they are
    return f"{links.setdefault(place, f'raws/{len(links)}')}/{file.name}"
