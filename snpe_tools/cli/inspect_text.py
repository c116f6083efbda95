"""How the inspecting commands show what they found to people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from snpe_tools.cli.output import count, listing, show, size
from snpe_tools.core.progress import say

if TYPE_CHECKING:
    from snpe_tools.dlc import Dlc, Graph, Tensor
    from snpe_tools.inspection.audit import Audit
    from snpe_tools.inspection.describe import Description, GraphSummary
    from snpe_tools.inspection.difference import Changed, Difference
    from snpe_tools.inspection.extract import Extracted
    from snpe_tools.inspection.health import Finding
    from snpe_tools.inspection.precision import Share

_LONGEST_COMMAND = 400
_SMALLEST_SHARE = 0.005
_SHORT = 16
"""Elements of a parameter that are shown."""


def show_description(found: Description, findings: Sequence[Finding], limit: int = 0) -> None:
    """The summary of `info`; of each kind of finding at most `limit` are shown, all where it is 0."""
    show(f"{found.file}: {size(found.bytes)}, container {found.version}")
    for entry in found.written_by:
        show(f"\n{entry.stage}: {' '.join(filter(None, (entry.tool, entry.version, entry.date)))}".strip("\n"))
        if entry.command:
            show(f"  {entry.command[:_LONGEST_COMMAND]}{' …' if len(entry.command) > _LONGEST_COMMAND else ''}")
    for graph in found.graphs:
        _show_graph(graph)
    if found.caches:
        show("caches")
        listing(_cache_rows(found))
    show("runs on")
    listing(("yes" if target.runs else "no", target.where, target.why) for target in found.targets)
    show("records")
    listing((name, size(amount)) for name, amount in found.records.items())
    show("health")
    _show_findings(findings, limit)


def show_latency(rows: Sequence[Sequence[str]]) -> None:
    """Estimated milliseconds by SoC, or why there are none."""
    show("latency, without a device")
    listing(rows)


def _show_graph(graph: GraphSummary) -> None:
    operations = sum(graph.operations.values())
    show(f"graph {graph.name}: {operations} operations, {graph.tensors} tensors, {graph.encodings} encodings")
    for label, tensors in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        show(label)
        listing(_tensor_row(tensor) for tensor in tensors)
    show("operations")
    listing([[", ".join(f"{number} {kind}" for kind, number in graph.operations.items())]])
    show("parameters")
    by_type = ", ".join(f"{kind} {size(amount)}" for kind, amount in graph.bytes_by_dtype.items())
    listing([[f"{count(graph.parameters)} ({by_type or 'no weights'})"]])
    show("multiply-accumulates of one inference")
    uncounted = ", ".join(f"{number} {kind}" for kind, number in graph.macs.uncounted.items())
    listing([[count(graph.macs.total) + (f"; not counted: {uncounted}" if uncounted else "")]])
    show("precision")
    listing(_precision_rows(graph))


def _precision_rows(graph: GraphSummary) -> Iterator[Sequence[str]]:
    yield "weights", _shares(graph.precision.weights)
    yield "activations", _shares(graph.precision.activations)
    floats = graph.precision.float_operations
    if floats and len(graph.precision.activations) > 1:
        yield "in float", ", ".join(f"{number} {kind}" for kind, number in floats.items())


def _shares(shares: Iterable[Share]) -> str:
    listed = list(shares)
    large = [f"{part.kind} {100 * part.share:.0f} %" for part in listed if part.share >= _SMALLEST_SHARE]
    small = [part.kind for part in listed if part.share < _SMALLEST_SHARE]
    return ", ".join([*large, *([f"under 1 %: {', '.join(small)}"] if small else [])]) or "none"


def _cache_rows(found: Description) -> Iterator[Sequence[str]]:
    yield "record", "SoC", "arch", "VTCM", "size", "shared weights", "built by"
    for cache in found.caches:
        yield (
            cache.record,
            cache.soc,
            f"v{cache.arch}" if cache.arch else "?",
            f"{cache.vtcm_mb} MB" if cache.vtcm_mb else "?",
            size(cache.bytes),
            size(cache.shared_weights) if cache.shared_weights else "none",
            " ".join(filter(None, (cache.built_by or "?", cache.date))),
        )


def _show_findings(findings: Sequence[Finding], limit: int) -> None:
    """Findings of one kind together, in the order of their gravity."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.level, finding.check), []).append(finding)
    for (level, check), group in groups.items():
        listing((level, check, f"{finding.subject}: {finding.what}") for finding in group[: limit or None])
        if limit and len(group) > limit:
            show(f"  {level}   {check}   … {len(group) - limit} more, {len(group)} in all (--limit 0 shows all)")
    if not findings:
        listing([["nothing to report"]])


def _tensor_row(tensor: Tensor) -> Sequence[str]:
    from snpe_tools.inspection.difference import encoding_text

    return tensor.name, dimensions(tensor.shape), tensor.dtype.name, encoding_text(tensor) if tensor.encoding else ""


def dimensions(shape: Sequence[int]) -> str:
    """A shape for people: "1x384"."""
    return "x".join(map(str, shape)) or "scalar"


def show_lists(dlc: Dlc, *, ops: bool, tensors: bool, encodings: bool) -> None:
    """The lists that `info` was asked for, graph by graph."""
    for graph in dlc.graphs:
        if ops:
            show(f"operations of {graph.name}")
            _show_ops(graph)
        if tensors:
            show(f"tensors of {graph.name}")
            listing(
                (*_tensor_row(tensor)[:3], tensor.role, _tensor_row(tensor)[3]) for tensor in graph.tensors.values()
            )
        if encodings:
            show(f"encodings of {graph.name}")
            listing(_encoding_rows(graph))


def _show_ops(graph: Graph) -> None:
    for index, node in enumerate(graph.nodes):
        show(f"  {index}  {node.type}  {node.name}")
        named = [("reads", name) for name in node.inputs] + [("writes", name) for name in node.outputs]
        listing((_op_row(mark, name, graph) for mark, name in named), indent=6)
        if parameters := _parameters(node.attributes.items()):
            show(f"      with     {parameters}")


def _op_row(mark: str, name: str, graph: Graph) -> Sequence[str]:
    tensor = graph.tensors.get(name)
    return (mark, *_tensor_row(tensor)[:3]) if tensor else (mark, name, "undefined", "")


def _parameters(attributes: Iterable[tuple[str, object]]) -> str:
    from snpe_tools.dlc import Tensor

    hidden = "packageName"
    return ", ".join(
        f"{name}={_content(value) if isinstance(value, Tensor) else value}"
        for name, value in attributes
        if name != hidden
    )


def _content(tensor: Tensor) -> str:
    """The values of a short parameter, the shape of a long or damaged one."""
    if tensor.is_complete and tensor.spec.elements <= _SHORT:
        return str(tensor.values().ravel().tolist())
    return dimensions(tensor.shape)


def _encoding_rows(graph: Graph) -> Iterator[Sequence[str]]:
    for tensor in graph.tensors.values():
        encoding = tensor.encoding
        if encoding is None:
            continue
        along = f" axis {encoding.axis}" if encoding.axis is not None else ""
        for channel, (scale, offset) in enumerate(zip(encoding.scales, encoding.offsets, strict=True)):
            which = f"{along} channel {channel}".strip() if encoding.axis is not None else "tensor"
            yield (
                tensor.name,
                tensor.dtype.name,
                f"{encoding.bits}-bit",
                which,
                f"scale {scale:.9g}",
                f"offset {offset}",
            )


def show_difference(found: Difference, limit: int) -> None:
    """The summary of `diff`."""
    _section("graphs", _change_rows(found.graphs), limit)
    _section("operations removed", [[name] for name in found.ops_removed], limit)
    _section("operations added", [[name] for name in found.ops_added], limit)
    _section("operations changed", _change_rows(found.ops), limit)
    _section("tensors removed", [[name] for name in found.tensors_removed], limit)
    _section("tensors added", [[name] for name in found.tensors_added], limit)
    _section("tensors changed", _change_rows(found.tensors), limit)
    encodings = [[item.name, _factor(item.factor), f"{item.before} → {item.after}"] for item in found.encodings]
    _section("encodings changed, largest change of scale first", encodings, limit)
    weights = [[item.name, f"{item.changed} of {item.elements} values", _by(item.largest)]
               for item in found.weights]  # fmt: skip
    _section(f"weights changed ({found.weights_equal} are equal)", weights, limit)
    _section("caches", _change_rows(found.caches), limit)
    _section("other records", _change_rows(found.records), limit)
    _section("not read, and not the same bytes", _change_rows(found.unread), limit)
    _section("written by", _change_rows(found.provenance), limit)
    show("The graphs, weights and caches are the same." if found.same else "The files differ.")


def _by(largest: float) -> str:
    return f"by up to {largest:.4g}" if math.isfinite(largest) else "not finite, or of another shape"


def _factor(factor: float) -> str:
    return f"x {factor:.4g}" if math.isfinite(factor) else "one has none"


def _change_rows(changes: Iterable[Changed]) -> list[list[str]]:
    return [[item.name, item.what, f"{item.before} → {item.after}"] for item in changes]


def _section(title: str, rows: Sequence[Sequence[str]], limit: int) -> None:
    if not rows:
        return
    show(f"{title}: {len(rows)}")
    listing(rows[: limit or None])
    if limit and len(rows) > limit:
        show(f"  … {len(rows) - limit} more (--limit 0 shows all)")


def show_extracted(made: Extracted, output: Path) -> None:
    """What `encodings` wrote."""
    say(f"{output}: {made.count} encodings.")


def show_audit(found: Audit, limit: int) -> None:
    """The summary of `audit`."""
    for verdict in ("ignored", "changed"):
        rows = [[row.name, row.why] for row in found.rows if row.verdict == verdict]
        _section(verdict, rows, limit)
    _section("not asked for, yet in the DLC", [[name] for name in found.unasked], limit)
    counts = found.counts()
    show(f"{counts['applied']} of {sum(counts.values())} encodings applied, {counts['changed']} changed, "
         f"{counts['ignored']} ignored.")  # fmt: skip
