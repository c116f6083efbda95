"""The commands that look into DLC files: info, diff, encodings, audit. None needs an SDK."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snpe_tools.cli import inspect_text as text
from snpe_tools.cli import options
from snpe_tools.cli.estimating import latency
from snpe_tools.cli.output import comma_separated, finish
from snpe_tools.core.errors import DIFFERENT

DlcFile = Annotated[Path, typer.Argument(help="The DLC.", show_default=False)]


def info(
    dlc: DlcFile,
    ops: Annotated[bool, typer.Option("--ops", help="List every operation with its tensors.")] = False,
    tensors: Annotated[bool, typer.Option("--tensors", help="List every tensor.")] = False,
    encodings: Annotated[bool, typer.Option("--encodings", help="List every encoding.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV on stdout, in the shape of snpe-dlc-info -s.")] = False,
    limit: Annotated[int, typer.Option(help="Findings shown of each kind; 0 shows all.", min=0)] = 20,
    as_json: options.Json = False,
) -> None:
    """What a DLC holds and where it runs. Who wrote it, and what cannot be right in it; context binaries, too."""
    from snpe_tools.cli.contexts import is_context, show_context
    from snpe_tools.dlc import open as open_dlc
    from snpe_tools.inspection.describe import describe, document
    from snpe_tools.inspection.health import check

    if is_context(dlc):
        show_context(dlc, as_json=as_json)
        return
    with open_dlc(dlc) as opened:
        if as_csv:
            from snpe_tools.inspection.sdk_csv import rows

            comma_separated(rows(opened))
            return
        findings = check(opened)
        if as_json:
            finish({**document(opened), "health": findings, "latency": latency(opened)[1]}, as_json=True)
            return
        text.show_description(describe(opened), findings, limit)
        text.show_latency(latency(opened)[0])
        text.show_lists(opened, ops=ops, tensors=tensors, encodings=encodings)


def diff(
    first: Annotated[Path, typer.Argument(help="A DLC.", show_default=False)],
    second: Annotated[Path, typer.Argument(help="The DLC to compare it with.", show_default=False)],
    limit: Annotated[int, typer.Option(help="Lines shown of each kind; 0 shows all.", min=0)] = 20,
    as_json: options.Json = False,
) -> None:
    """How two DLCs differ. The largest change first; exit code 9 when they do, 0 when they are the same."""
    from snpe_tools.dlc import open as open_dlc
    from snpe_tools.inspection.difference import difference

    with open_dlc(first) as before, open_dlc(second) as after:
        found = difference(before, after)
    if as_json:
        finish({"same": found.same, **vars(found)}, as_json=True)
    else:
        text.show_difference(found, limit)
    if not found.same:
        raise typer.Exit(DIFFERENT)


def encodings(
    dlc: DlcFile,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; stdout by default.")] = None,
    version: Annotated[str, typer.Option("--format", help="AIMET format: 1.0.0 or 0.6.1.")] = "1.0.0",
    onnx_names: Annotated[bool, typer.Option("--onnx-names", help="Names as in the ONNX model, without _q.")] = False,
    as_json: options.Json = False,
) -> None:
    """The encodings of a DLC as an AIMET file."""
    from snpe_tools.inspection.aimet import parse_version
    from snpe_tools.inspection.extract import extract

    made = extract(dlc, output, parse_version(version), onnx_names=onnx_names)
    if output is None:
        finish(made.document, as_json=True)
    else:
        text.show_extracted(made, output)
        finish({"file": output, "format": version, "encodings": made.count}, as_json=as_json)


def audit(
    dlc: DlcFile,
    encodings: Annotated[
        Path, typer.Option("--encodings", "-e", help="AIMET encodings that were asked for.", show_default=False)
    ],
    limit: Annotated[int, typer.Option(help="Lines shown of each kind; 0 shows all.", min=0)] = 20,
    as_json: options.Json = False,
) -> None:
    """Which encodings a DLC really has. Of those that were asked for: applied, changed, ignored."""
    from snpe_tools.dlc import open as open_dlc
    from snpe_tools.inspection.aimet import load_encodings
    from snpe_tools.inspection.audit import audit as run_audit

    with open_dlc(dlc) as opened:
        found = run_audit(opened, load_encodings(encodings))
    if as_json:
        finish({"counts": found.counts(), "rows": found.rows, "unasked": found.unasked}, as_json=True)
    else:
        text.show_audit(found, limit)
