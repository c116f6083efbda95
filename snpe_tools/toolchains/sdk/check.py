"""Whether a DLC that a tool of the SDK wrote is what was asked for. Its exit code and its words prove nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import snpe_tools.dlc as dlc_format
from snpe_tools.core.errors import ConversionError, DlcError
from snpe_tools.core.precision import Precision
from snpe_tools.core.progress import say
from snpe_tools.core.socs import Soc
from snpe_tools.core.tensor_spec import TensorSpec
from snpe_tools.dlc.model import Dlc, Graph
from snpe_tools.inspection.aimet import load_encodings
from snpe_tools.inspection.audit import Audit, audit
from snpe_tools.inspection.history import compiled_caches
from snpe_tools.toolchains import Quantization

_SHOWN, _WIDE = 3, 16
_NAMELESS = {"aip", "backend"}
"""Caches of older SDKs do not say for which SoC they are: there the tool's summary is all there is."""
_HINT = "The file is not kept. See the log; report the SDK's version with it."


def open_result(path: Path, tool: str) -> Dlc:
    """The DLC that a tool wrote.

    Raises:
        ConversionError: it cannot be read.
    """
    try:
        return dlc_format.open(path)
    except DlcError as problem:
        raise ConversionError(
            f"{tool} reported success, and wrote a file that is no readable DLC: {problem.message}", _HINT
        ) from problem


def check_boundary(dlc: Dlc, tool: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
    """Inputs and outputs have the model's names and shapes.

    Raises:
        ConversionError: one is missing, added, or shaped otherwise.
    """
    for what, asked, found in (("input", inputs, dlc.graph.inputs), ("output", outputs, dlc.graph.outputs)):
        wanted, there = ({one.name: tuple(one.shape) for one in rows} for rows in (asked, found))
        if wanted != there:
            raise ConversionError(f"{tool} wrote a DLC with the {what}s {there}; the model has {wanted}.", _HINT)


def check_quantized(dlc: Dlc, tool: str, precision: Precision, encodings: Path | None = None) -> dict[str, int]:
    """The graph computes with the bits that were asked for; returns activations by their number of bits.

    Args:
        encodings: that the tool was given; of a mixed precision they say which widths there must be.

    Raises:
        ConversionError: it is float, or has other bits.
    """
    activations = _activation_bits(dlc.graph)
    if not dlc.is_quantized:
        raise ConversionError(
            f"{tool} reported success, and the DLC is float: nothing was quantized, whatever its name says.",
            f"{_HINT} A float DLC runs in fp16 on the HTP: slower, twice the size, and not on every SoC.",
        )
    most, wanted = activations.most_common(1)[0][0], _wanted_bits(precision, encodings)
    if most not in wanted or (precision.mixed and not wanted <= set(activations)):
        found = f"{most or 'float'} bits" if most not in wanted else f"one width, {most} bits"
        raise ConversionError(f"{tool} wrote a DLC whose activations have {found}; {precision} was asked for.", _HINT)
    weights = _weight_bits(dlc.graph)
    if precision.weights not in weights:
        raise ConversionError(
            f"{tool} wrote a DLC whose weights have {' and '.join(map(str, sorted(weights)))} bits; "
            f"{precision} was asked for.",
            _HINT,
        )
    return {str(bits or "float"): count for bits, count in activations.most_common()}


def _wanted_bits(precision: Precision, encodings: Path | None) -> set[int]:
    """The widths of activations; a plan may leave a mixed precision with one."""
    if not precision.mixed or encodings is None:
        return {precision.activations, _WIDE} if precision.mixed else {precision.activations}
    known = [one for one in load_encodings(encodings) if not one.is_parameter and not one.is_float]
    return {one.bits for one in known}


def _activation_bits(graph: Graph) -> Counter[int]:
    tensors = [tensor for tensor in graph.tensors.values() if tensor.role in {"native", "output"}]
    kept = [tensor for tensor in tensors if tensor.dtype.is_fixed_point or tensor.dtype.is_float]
    return Counter(0 if tensor.dtype.is_float else tensor.dtype.bits for tensor in kept)


def _weight_bits(graph: Graph) -> set[int]:
    """Of tensors that operations are computed with; 4-bit weights are stored in 8 bits, so the encoding counts."""
    return {
        tensor.encoding.bits if tensor.encoding else tensor.dtype.bits
        for tensor in graph.with_role("static")
        if tensor.dtype.is_fixed_point
    }


def check_encodings(dlc: Dlc, tool: str, asked: Quantization) -> dict[str, int]:
    """Our encodings are in the DLC; returns how many were applied, changed and ignored.

    Raises:
        ConversionError: fewer than half of them are.
    """
    if asked.encodings is None:
        return {}
    found = audit(dlc, load_encodings(asked.encodings))
    counts = found.counts()
    words = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    if 2 * counts["applied"] < len(found.rows):
        raise ConversionError(
            f"{tool} did not apply the encodings it was given: of {len(found.rows)}, {words}.{_first(found)}", _HINT
        )
    say(f"  encodings: of {len(found.rows)}, {words}; {len(found.unasked)} more are the SDK's own.{_first(found)}")
    return {**{str(verdict): count for verdict, count in counts.items()}, "unasked": len(found.unasked)}


def _first(found: Audit) -> str:
    rows = [row for row in found.rows if row.verdict != "applied"][:_SHOWN]
    return "".join(f"\n    {row.verdict}: {row.name}: {row.why}" for row in rows)


def check_caches(dlc: Dlc, tool: str, socs: Sequence[Soc], outputs: Sequence[str], output: str) -> dict[str, int]:
    """There is a cache for each SoC, and the graph still has its outputs; returns the caches' bytes.

    Args:
        output: what the tool said; its summary has a line for each SoC.

    Raises:
        ConversionError: a SoC has none, or the outputs are others.
    """
    caches = {cache.soc: cache.bytes for cache in compiled_caches(dlc)}
    missing = [soc.name for soc in socs if soc.name not in caches]
    if _NAMELESS & set(caches):
        missing = [name for name in missing if not re.search(rf"\b{name}\s*:\s*Success", output, re.IGNORECASE)]
    if missing:
        said = "".join(f"\n    {line}" for line in _summary(output))
        raise ConversionError(
            f"{tool} ended without an error, and the DLC has no cache for {', '.join(missing)}; it has "
            f"{', '.join(caches) or 'none at all'}.{said}",
            "Take SoCs that this SDK knows, one at a time to see which fails; a newer SoC needs a newer SDK. "
            "Without its cache a device compiles for many seconds at every start.",
        )
    found = {tensor.name for tensor in dlc.graph.outputs}
    if found != set(outputs):
        raise ConversionError(f"{tool} changed the outputs {sorted(outputs)} to {sorted(found)}.", _HINT)
    return caches


def _summary(output: str) -> Iterator[str]:
    _, _, summary = output.partition("Run Summary")
    return (line.strip() for line in summary.splitlines()[1:] if line.strip())
