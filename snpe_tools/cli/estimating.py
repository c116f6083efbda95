"""The command that tells how fast a model will be, without a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snpe_tools.cli import options
from snpe_tools.cli.output import finish, table
from snpe_tools.core.errors import UsageError
from snpe_tools.core.progress import say

if TYPE_CHECKING:
    from snpe_tools.core.precision import Precision
    from snpe_tools.core.socs import Soc
    from snpe_tools.dlc import Dlc
    from snpe_tools.estimation.estimate import Estimate, Estimates

_SMALL = 0.1


def estimate(
    model: Annotated[
        Path | None, typer.Argument(help="A DLC, or an ONNX model. With --update of published figures: none.")
    ] = None,
    soc: Annotated[str, typer.Option("--soc", help="SoCs, products or devices, by commas; all by default.")] = "",
    precision: Annotated[str, typer.Option("--precision", help="To compare, such as w8a8,w8a16,fp16.")] = "",
    seq: Annotated[str, typer.Option("--seq", help="To compare, of a dynamic ONNX model, such as 128,384.")] = "",
    measured: Annotated[
        list[str] | None, typer.Option("--measured", help="Milliseconds on a device: sm8550=17.5. May be repeated.")
    ] = None,
    update: Annotated[
        Path | None,
        typer.Option(help="Learn from a newer qai-hub-models wheel, a table, or what bench --json printed of MODEL."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """How fast a model will be. Milliseconds on each SoC, with an honest error and no device."""
    if update:
        _update(update, model, as_json=as_json)
        return
    if model is None:
        raise UsageError("No model was named.", "Pass a DLC or an ONNX model.")
    from snpe_tools.core.soc_names import parse_socs
    from snpe_tools.steps.estimate import estimate_latency

    lengths = _lengths(seq)
    found = estimate_latency(
        model,
        parse_socs(soc) if soc else (),
        _precisions(precision),
        lengths=lengths,
        measured=_measured(measured or []),
    )
    for length, estimates in found.items():
        _show(estimates, f" at length {length}" if length else "")
    several = [{"length": length, **vars(estimates)} for length, estimates in found.items()]
    finish(several if lengths else vars(found[None]), as_json=as_json)


def latency(dlc: Dlc) -> tuple[list[tuple[str, str, str]], dict[str, object]]:
    """What `info` says of latency, as rows for people and as a document; a reason where nothing can be said."""
    from snpe_tools.core.errors import SnpeToolsError
    from snpe_tools.steps.estimate import estimate_open

    try:
        found = estimate_open(dlc)
    except SnpeToolsError as problem:
        return [("no estimate", "", problem.message)], {"refusal": problem.message}
    return [_brief(row) for row in found.rows], {"rows": found.rows, "source": found.source}


def _brief(row: Estimate) -> tuple[str, str, str]:
    if row.milliseconds is None or row.low is None or row.high is None:
        return row.soc, "no estimate", row.refusal
    return row.soc, f"{_ms(row.milliseconds)} ms", f"estimated; 8 of 10 within {_ms(row.low)} to {_ms(row.high)} ms"


def _update(file: Path, model: Path | None, *, as_json: bool) -> None:
    from snpe_tools.estimation.latency_model import own_model_file
    from snpe_tools.estimation.update import update as run_update
    from snpe_tools.steps.estimate import open_model, works_of

    works = None
    if model:
        with open_model(model) as dlc:
            works = works_of(dlc)
    made = run_update(file, works, model.stem if model else "")
    say(f"{own_model_file()}: {len(made.measured)} measured networks. Delete the file to return to the shipped model.")
    finish({"model": own_model_file(), "networks": len(made.measured), "source": made.source}, as_json=as_json)


def _precisions(text: str) -> list[Precision]:
    from snpe_tools.core.precision import Precision

    return [Precision.parse(name.strip()) for name in text.split(",") if name.strip()]


def _lengths(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if wrong := [part for part in parts if not part.isdecimal() or not int(part)]:
        raise UsageError(f"{wrong[0]!r} is no length.", "Write --seq 128,384.")
    return [int(part) for part in parts]


def _measured(texts: Sequence[str]) -> dict[Soc, float]:
    """SoC and milliseconds of "sm8550=17.5" texts."""
    import math

    from snpe_tools.core.soc_names import parse_socs

    found = {}
    for text in texts:
        name, _, figure = text.rpartition("=")
        try:
            milliseconds = float(figure)
        except ValueError:
            milliseconds = math.nan
        if not (name and math.isfinite(milliseconds) and milliseconds > 0):
            raise UsageError(f"{text!r} is no measurement.", "Write --measured SOC=MILLISECONDS, such as sm8550=17.5.")
        found[parse_socs(name)[0]] = milliseconds
    return found


def _show(found: Estimates, title: str) -> None:
    say(f"Estimated milliseconds of one inference{title}; 8 of 10 networks were measured within such an interval:")
    columns = ("SoC", "product", "precision", "ms", "8 of 10 within", "bound by")
    table(columns, [row for one in found.rows for row in (_row(one),)], left=3)
    for reason, socs in _refusals(found.rows).items():
        say(f"No number for {', '.join(socs)}: {reason}.")
    if found.costly:
        listed = ", ".join(f"{one.count} {one.type} {_ms(one.milliseconds)} ms" for one in found.costly)
        say(f"Operations that take longest: {listed}.")
    if found.uncosted:
        listed = ", ".join(f"{count} {kind}" for kind, count in found.uncosted.items())
        say(
            f"Without a cost model, counted as element-wise: {listed} ({100 * found.uncosted_share:.1f} % of the data)."
        )
    for one in found.witnesses:
        off = f"the model alone says {_ms(one.estimate)}"
        say(f"Measured: {one.network} in {one.precision} took {_ms(one.milliseconds)} ms on {one.soc} ({off}).")
    say(f"Source: {found.source}; an estimate, not a measurement.")


def _row(one: Estimate) -> Sequence[str]:
    name = (one.soc, one.product, one.precision)
    if one.milliseconds is None or one.low is None or one.high is None:
        return (*name, "-", "-", "-")
    bounds = ", ".join(f"{kind} {100 * share:.0f} %" for kind, share in one.bound_by.items() if share >= _SMALL)
    if one.measured:
        return (*name, _ms(one.milliseconds), "measured", bounds)
    return (*name, _ms(one.milliseconds), f"{_ms(one.low)} to {_ms(one.high)}", bounds)


def _refusals(rows: Sequence[Estimate]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.refusal:
            found.setdefault(row.refusal, []).append(f"{row.soc} in {row.precision}")
    return found


def _ms(milliseconds: float) -> str:
    """Two digits: an estimate has no more."""
    return f"{milliseconds:.0f}" if milliseconds >= 10 else f"{milliseconds:.2g}"  # noqa: PLR2004
