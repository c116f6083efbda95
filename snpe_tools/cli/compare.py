"""compare: two models on the same inputs, output by output or tensor by tensor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snpe_tools.cli import options
from snpe_tools.cli.output import decibel, finish, table
from snpe_tools.cli.providing import provide
from snpe_tools.core.errors import DivergenceError
from snpe_tools.core.progress import say

if TYPE_CHECKING:
    from snpe_tools.layerwise.comparison import LayerComparison, LayerDifference
    from snpe_tools.steps.compare import OutputDifference

_SHOWN_NAMES = 3


def compare(
    first: Annotated[Path, typer.Argument(help="ONNX, QDQ ONNX or DLC: what is right.", show_default=False)],
    second: Annotated[Path, typer.Argument(help="ONNX, QDQ ONNX or DLC: what is judged.", show_default=False)],
    inputs: options.InputsFile,
    layers: Annotated[bool, typer.Option("--layers", help="Every tensor that both models have.")] = False,
    limit: Annotated[int, typer.Option(help="With --layers: inferences; 0 takes all of the list.", min=0)] = 4,
    threshold: Annotated[float, typer.Option(help="With --layers: SQNR in dB below which a tensor diverges.")] = 20.0,
    top: Annotated[int, typer.Option(help="With --layers: ops shown that lose most.", min=1)] = 10,
    all_layers: Annotated[bool, typer.Option("--all", help="With --layers: show every tensor, in order.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="With --layers: JSON file to write, for `report`.")
    ] = None,
    min_sqnr: Annotated[
        float | None,
        typer.Option(help="Gate: exit code 10 where an output, or with --layers a tensor, is below so many dB."),
    ] = None,
    soc: options.SocName = "",
    device: Annotated[
        str,
        typer.Option(
            "--device",
            help="Where DLC files run: host (the emulator), adb:SERIAL or ssh://user@host:port; host,adb:SERIAL names "
            "one for each model.",
        ),
    ] = "host",
    runtime: options.Runtime = "",
    fetch: options.Fetch = False,
    device_root: options.DeviceRoot = "",
    timeout: options.Timeout = 0,
    native: options.Native = False,
    as_json: options.Json = False,
) -> None:
    """Two models on the same inputs. Their outputs, or with --layers every tensor between."""
    from snpe_tools.core.soc_names import parse_socs
    from snpe_tools.core.socs import DEFAULT
    from snpe_tools.devices.transports.address import parse_targets
    from snpe_tools.execution.on_device import DeviceOptions
    from snpe_tools.execution.targets import parse_places

    asked = parse_socs(soc)[0] if soc else None
    meant = asked or DEFAULT
    how = DeviceOptions(soc=asked, runtime=runtime, root=device_root, timeout=timeout)
    places = parse_places(device, how)
    provide(parse_targets(device).devices, how, fetch=fetch)
    if layers:
        from snpe_tools.core.files import write_json
        from snpe_tools.steps.compare_layers import compare_layers

        compared = compare_layers(
            first, second, inputs, soc=meant, native=native, limit=limit, threshold_db=threshold, places=places
        )
        if output:
            write_json(output, compared)
        _show_layers(compared, top, everything=all_layers)
        finish(compared, as_json=as_json)
        gate(compared.layers, min_sqnr)
        return
    from snpe_tools.steps.compare import compare as run_compare

    found = run_compare(first, second, inputs, soc=meant, native=native, places=places)
    _show_outputs(found)
    finish(found, as_json=as_json)
    gate(found, min_sqnr)


def gate(found: Sequence[OutputDifference | LayerDifference], least: float | None) -> None:
    """Refuse what is below `least` dB, or not finite where the first model's is; None asks for nothing.

    Raises:
        DivergenceError: something is.
    """
    if least is None:
        return
    bad = [
        item
        for item in found
        if item.not_finite[1] > item.not_finite[0] or (item.sqnr_db is not None and not item.sqnr_db >= least)
    ]
    if bad:
        first = bad[0]
        name = getattr(first, "output", "") or getattr(first, "tensor", "")
        raise DivergenceError(
            f"{len(bad)} of {len(found)} are below {least:g} dB or not finite; the first is {name!r}: "
            f"{decibel(first.sqnr_db)} dB, {first.not_finite[1]} NaN/Inf.",
            "`compare --layers` shows which operation loses it.",
        )


def _show_outputs(found: list[OutputDifference]) -> None:
    rows = [
        (
            item.output,
            f"{item.cosine:.6f}",
            decibel(item.sqnr_db),
            f"{item.largest:.3g}",
            f"{item.mean:.3g}",
            f"{item.equal:.1f} %",
            str(sum(item.not_finite)),
        )
        for item in found
    ]
    table(("output", "cosine", "SQNR dB", "largest error", "mean error", "equal", "NaN/Inf"), rows)


def _show_layers(found: LayerComparison, top: int, *, everything: bool) -> None:
    if everything:
        _show_all(found)
    say(f"\nOps of {found.second} that lose most against {found.first} ({found.inferences} inferences):")
    table(
        ("op", "tensor", "likely cause", "SQNR dB: reads", "writes"), [_op_row(row) for row in found.worst(top)], left=3
    )
    say("")
    for model, where in zip((found.first, found.second), found.runtimes, strict=True):
        say(f"{model} ran on {where}.")
    say(f"\n{found.verdict()}")
    matched = f"{len(found.layers)} tensors matched, {found.renamed} of them under other names"
    say(f"{matched}, {found.moved} with moved axes.")
    for count, words in (
        (found.reshaped, "have other shapes in the two (axes that cannot be told apart)"),
        (found.first_only, f"are in {found.first} only"),
        (found.second_only, f"are in {found.second} only"),
    ):
        if count:
            more = ", …" if len(count) > _SHOWN_NAMES else ""
            say(f"{len(count)} {words}, and were not compared: {', '.join(count[:_SHOWN_NAMES])}{more}")


def _op_row(row: LayerDifference) -> tuple[str, ...]:
    reads = decibel(row.input_db) if row.inputs_compared or row.input_db is not None else "not compared"
    return row.op, row.tensor, row.cause, reads, decibel(row.sqnr_db)


def _show_all(found: LayerComparison) -> None:
    columns = (f"tensor of {found.first}", f"of {found.second}", "op", "shape", "cosine", "SQNR dB", "largest error",
               "mean error", "equal", "NaN/Inf", "range", "encoding")  # fmt: skip
    table(columns, [_row(row) for row in found.layers], left=3)


def _row(row: LayerDifference) -> tuple[str, ...]:
    grid = row.grid
    return (
        row.first,
        row.second if row.second != row.first else "the same",
        row.op,
        "x".join(map(str, row.shape)),
        f"{row.cosine:.6f}",
        decibel(row.sqnr_db),
        f"{row.largest:.3g}",
        f"{row.mean:.3g}",
        f"{row.equal:.1f} %",
        str(sum(row.not_finite)),
        f"{row.low:.3g} … {row.high:.3g}",
        f"{grid.low:.3g} … {grid.high:.3g}, {grid.bits} bits" if grid else "float",
    )
