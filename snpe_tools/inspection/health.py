"""What a DLC holds that parses and cannot be right.

Each finding names the check, the tensor, operation or record, and what was found. An error means that the file will
not run or not answer as its author meant; a warning means that it is unusual enough to be looked at.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from snpe_tools.dlc.model import Dlc, Graph, Tensor
from snpe_tools.inspection.checksums import damaged_records
from snpe_tools.inspection.history import compiled_caches, graph_date, parse_date
from snpe_tools.inspection.loose import listed, mapping, text, whole
from snpe_tools.inspection.weights_fit import missing_weights, unfit_weights
from snpe_tools.inspection.weights_health import Complaint, check_surplus, check_weights

Level = Literal["error", "warning"]
_INTEGER_NAME = re.compile(r"(?<![a-z0-9])(u?int8|u?int16|w\d+a\d+|a\d+w\d+|quant(ized)?|q)(?![a-z0-9])", re.IGNORECASE)
_FLOAT_NAME = re.compile(r"(?<![a-z0-9])(fp16|fp32|float(16|32)?)(?![a-z0-9])", re.IGNORECASE)
_GRAVITY = (
    "checksum", "data", "no weights", "other weights", "not finite", "implausible", "undefined", "unwritten",
    "written twice", "encoding", "scale", "scale x offset", "outside", "stale cache", "surplus", "unread",
)  # fmt: skip
"""Checks, the most serious first; others follow."""
_TOLERANCE = 0.01
"""Of one step: how far a stated minimum may be from scale x offset."""


@dataclass(frozen=True)
class Finding:
    """One thing that cannot be right."""

    level: Level
    check: str
    subject: str
    what: str


def check(dlc: Dlc) -> list[Finding]:
    """All findings about a DLC, the most serious first: errors before warnings, damage before oddities."""
    found = [*_checksums(dlc), *_names(dlc), *_caches(dlc)]
    for graph in dlc.graphs:
        found += [*_wiring(graph), *_unread(graph), *_belonging(graph)]
        for tensor in graph.tensors.values():
            found += [*_encoding(tensor), *_weights(tensor, dlc)]
        for node in graph.nodes:
            found += [finding for tensor in node.tensors() for finding in (*_encoding(tensor), *_weights(tensor, dlc))]
    return sorted(found, key=lambda finding: (finding.level, _rank(finding.check)))


def _rank(name: str) -> int:
    return _GRAVITY.index(name) if name in _GRAVITY else len(_GRAVITY)


def _checksums(dlc: Dlc) -> Iterator[Finding]:
    for name, stated, found in damaged_records(dlc.container):
        what = f"its bytes have the CRC-32 {found:08x}, and {stated:08x} was written: the file was changed or damaged"
        yield Finding("error", "checksum", name, what)


def _belonging(graph: Graph) -> Iterator[Finding]:
    """Weights that are missing, and weights that are another network's."""
    for name, what in missing_weights(graph):
        yield Finding("error", "no weights", name, what)
    for name, what in unfit_weights(graph):
        yield Finding("error", "other weights", name, what)
    for name in graph.strays:
        yield Finding("error", "other weights", name, "is stored, and nothing in the graph has it")


def _names(dlc: Dlc) -> Iterator[Finding]:
    """A float graph in a file named int8, or the reverse."""
    stem = dlc.container.path.stem
    fixed = any(tensor.dtype.is_fixed_point for graph in dlc.graphs for tensor in graph.tensors.values())
    if (match := _INTEGER_NAME.search(stem)) and not fixed:
        yield Finding("error", "name", stem, f"is named {match[0]!r}, and its graph is float")
    if (match := _FLOAT_NAME.search(stem)) and dlc.is_quantized and not _INTEGER_NAME.search(stem):
        yield Finding("warning", "name", stem, f"is named {match[0]!r}, and its graph is quantized")


def _caches(dlc: Dlc) -> Iterator[Finding]:
    written = graph_date(dlc)
    known = {_compiled_name(graph.name): graph for graph in dlc.graphs}
    for cache, compiled in zip(dlc.caches, compiled_caches(dlc), strict=True):
        date = parse_date(compiled.date)
        if written and date and date < written:
            yield Finding("error", "stale cache", compiled.record,
                          f"was compiled {date:%Y-%m-%d %H:%M:%S}, before the graph was written "
                          f"({written:%Y-%m-%d %H:%M:%S})")  # fmt: skip
        for entry in listed(cache.details.get("graphs")):
            yield from _cached_graph(compiled.record, mapping(entry), known)


def _cached_graph(record: str, entry: Mapping[str, object], known: dict[str, Graph]) -> Iterator[Finding]:
    """A cache whose inputs or outputs are not the graph's was compiled from another graph."""
    name = _compiled_name(text(entry.get("graphName")))
    if name not in known:
        yield Finding("error", "stale cache", record, f"holds the graph {name!r}, which the file does not")
        return
    for role, tensors in (("input", known[name].inputs), ("output", known[name].outputs)):
        compiled = {_signature(item) for item in listed(entry.get(f"graph{role.title()}s"))}
        present = {(_compiled_name(tensor.name), tensor.shape) for tensor in tensors}
        for tensor, shape in sorted(compiled ^ present):
            where = "compiled in, but not in the graph" if (tensor, shape) in compiled else "not compiled in"
            yield Finding(
                "error", "stale cache", record, f"{role} {tensor!r} of shape {'x'.join(map(str, shape))} is {where}"
            )


def _signature(item: object) -> tuple[str, tuple[int, ...]]:
    """Name and shape of a tensor in the metadata of a cache."""
    tensor = mapping(item)
    return _compiled_name(text(tensor.get("name"))), tuple(whole(size) for size in listed(tensor.get("dimensions")))


def _compiled_name(name: str) -> str:
    """A tensor's name as the runtime changes it before it compiles."""
    return re.sub(r"\W", "_", name, flags=re.ASCII)


def _wiring(graph: Graph) -> Iterator[Finding]:
    """Outputs that no operation writes, and names that lead nowhere."""
    writers = Counter(name for node in graph.nodes for name in node.outputs)
    for tensor in graph.outputs:
        if not writers[tensor.name]:
            yield Finding("error", "unwritten", tensor.name, "is an output of the model that no operation writes")
    for name, count in writers.items():
        if count > 1:
            yield Finding("error", "written twice", name, f"is written by {count} operations")
    for name in dict.fromkeys(name for node in graph.nodes for name in node.inputs):
        found = graph.tensors.get(name)
        if found is None:
            yield Finding("error", "undefined", name, "is read by an operation, and the graph does not define it")
        elif found.role == "native" and not writers[name]:
            yield Finding("error", "unwritten", name, "is read by an operation, and no operation writes it")


def _unread(graph: Graph) -> Iterator[Finding]:
    for what in graph.unread:
        yield Finding("warning", "unread", graph.name, f"holds what this reader does not understand: {what}")


def _encoding(tensor: Tensor) -> Iterator[Finding]:
    encoding, limits = tensor.encoding, tensor.limits
    if encoding is None:
        if tensor.dtype.is_fixed_point:
            yield Finding("warning", "encoding", tensor.name, f"is {tensor.dtype} and has no encoding")
        return
    if problem := tensor.encoding_problem():
        yield Finding("error", "encoding", tensor.name, problem)
    if bad := _bad_scales(encoding.scales):
        yield Finding("error", "scale", tensor.name, f"has {len(bad)} scales that are not positive numbers: {bad[0]}")
    low = -(1 << encoding.bits - 1) if tensor.dtype.name.startswith("s") else 0
    high = low + (1 << encoding.bits) - 1
    for offset in {min(encoding.offsets, default=-low), max(encoding.offsets, default=-low)}:
        if not low <= -offset <= high:
            what = f"has zero at {-offset}, outside its {encoding.bits}-bit range"
            yield Finding("warning", "offset", tensor.name, what)
    if limits and limits.minima:
        yield from _stated_minimum(tensor, low)


def _bad_scales(scales: tuple[float, ...]) -> list[float]:
    """Scales that are not positive, finite numbers; a sum tells at once that there are none."""
    if scales and min(scales) > 0 and math.isfinite(sum(scales)):
        return []
    return [scale for scale in scales if not (scale > 0 and math.isfinite(scale))]


def _stated_minimum(tensor: Tensor, low: int) -> Iterator[Finding]:
    """`scale * offset` must equal `min`; a symmetric signed range may also end one step earlier."""
    encoding, limits = tensor.encoding, tensor.limits
    if encoding is None or limits is None:
        return
    rows = zip(encoding.scales, encoding.offsets, limits.minima, strict=False)
    wrong = [row for row in rows if not _fits(*row, low)]
    if wrong:
        scale, offset, minimum = wrong[0]
        product, more = scale * (offset + low), f" ({len(wrong)} channels)" if len(wrong) > 1 else ""
        what = f"states the minimum {minimum:.6g}, and scale {scale:.6g} x offset {offset} is {product:.6g}{more}"
        yield Finding("error", "scale x offset", tensor.name, what)


def _fits(scale: float, offset: int, minimum: float, low: int) -> bool:
    steps = {offset, offset + low, offset + low + (1 if low else 0)}
    slack = _TOLERANCE * abs(scale) + 1e-6 * abs(minimum)
    return any(abs(scale * step - minimum) <= slack for step in steps)


def _weights(tensor: Tensor, dlc: Dlc) -> Iterator[Finding]:
    if tensor.role != "static":
        return
    wanted, stored = tensor.spec.nbytes(native=True), len(tensor.data) if tensor.data is not None else 0
    if stored < wanted:
        yield Finding("error", "data", tensor.name, f"needs {wanted} bytes, and the file has {stored}")
        return
    complaints: list[Complaint] = [*check_surplus(tensor), *check_weights(tensor, dlc.container.release)]
    for level, name, what in complaints:
        yield Finding(level, name, tensor.name, what)
