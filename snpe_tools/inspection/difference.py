"""How two DLCs differ: operations, tensors, encodings, the content of weights, caches and who wrote them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snpe_tools.core.tensor_spec import Encoding
from snpe_tools.dlc.model import Dlc, Graph, Node, Tensor
from snpe_tools.inspection.aimet import plain_name
from snpe_tools.inspection.describe import real_range
from snpe_tools.inspection.history import compiled_caches, written_by
from snpe_tools.inspection.records_difference import metadata_changes, other_records, unread_bytes
from snpe_tools.inspection.weights_difference import Release, WeightChange, compare_weight

_SAME_MEANING: Mapping[tuple[str, str], tuple[set[str | int], ...]] = {("Neuron", "type"): ({"relu", 1},)}
"""Values of a parameter that mean one thing in two containers: 2.5 is read to words, 3.0 has numbers. Files of one
model in both say which; other functions of a Neuron were not seen in both."""


@dataclass(frozen=True)
class Changed:
    """A value that differs: what it belongs to, which property, before and after."""

    name: str
    what: str
    before: str
    after: str


@dataclass(frozen=True)
class EncodingChange:
    """A tensor whose encoding differs.

    Attributes:
        factor: the largest ratio of two scales of the same channel, 1 or more; infinite when one has no encoding.
    """

    name: str
    factor: float
    before: str
    after: str


@dataclass
class Difference:
    """Everything that differs between two DLCs; `same` when nothing but the record of who wrote them does.

    Attributes:
        records: records that are no part of the graphs, compared as bytes.
        unread: what the reader does not understand, where both files do not have the same bytes.
    """

    graphs: list[Changed] = field(default_factory=list)
    ops_removed: list[str] = field(default_factory=list)
    ops_added: list[str] = field(default_factory=list)
    ops: list[Changed] = field(default_factory=list)
    tensors_removed: list[str] = field(default_factory=list)
    tensors_added: list[str] = field(default_factory=list)
    tensors: list[Changed] = field(default_factory=list)
    encodings: list[EncodingChange] = field(default_factory=list)
    weights: list[WeightChange] = field(default_factory=list)
    weights_equal: int = 0
    caches: list[Changed] = field(default_factory=list)
    records: list[Changed] = field(default_factory=list)
    unread: list[Changed] = field(default_factory=list)
    provenance: list[Changed] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether both files compute the same and hold the same caches; dates and commands may differ."""
        ignored = {"weights_equal", "provenance"}
        return not any(value for name, value in vars(self).items() if name not in ignored)


def difference(first: Dlc, second: Dlc) -> Difference:
    """Compare two open DLCs: what was read by its meaning, every value of every weight, and the rest as bytes."""
    found = Difference()
    for before, after in _pairs(first, second, found):
        _compare_ops(before, after, found)
        _compare_tensors(before, after, found, (first.container.release, second.container.release))
    found.encodings.sort(key=lambda change: -change.factor)
    found.weights.sort(key=lambda change: -change.largest)
    _compare_records(first, second, found)
    found.provenance += _provenance(first, second)
    return found


def _compare_records(first: Dlc, second: Dlc, found: Difference) -> None:
    """Caches, records of unknown content, and what was not understood; each is compared as bytes."""
    found.caches += _changes(_caches(first), _caches(second), "cache")
    known = {change.name for change in found.caches}
    compiled = {cache.record.name for dlc in (first, second) for cache in dlc.caches}
    for name, before, after in other_records(first, second):
        if name in compiled:
            found.caches += [] if name in known else [Changed(name, "content", before, after)]
        else:
            found.records.append(Changed(name, "content", before, after))
    apart = dict(unread_bytes(first, second))
    lines = [{line for graph in dlc.graphs for line in graph.unread} for dlc in (first, second)]
    if "model" in apart or first.version != second.version:
        found.unread += [Changed(line, "not understood", *("present" if line in side else "absent" for side in lines))
                         for line in sorted(lines[0] | lines[1])]  # fmt: skip
    if found.same:
        found.unread += [Changed(f"record {name}", "bytes", "all that was read is equal", what)
                         for name, what in apart.items()]  # fmt: skip


def _pairs(first: Dlc, second: Dlc, found: Difference) -> Iterator[tuple[Graph, Graph]]:
    """Graphs of the same name, or the only ones of both files."""
    before = {graph.name: graph for graph in first.graphs}
    after = {graph.name: graph for graph in second.graphs}
    if len(before) == len(after) == 1:
        (one,), (other,) = before.values(), after.values()
        if one.name != other.name:
            found.graphs.append(Changed(one.name, "name", one.name, other.name))
        yield one, other
        return
    found.graphs += [Changed(name, "graph", "present", "missing") for name in before if name not in after]
    found.graphs += [Changed(name, "graph", "missing", "present") for name in after if name not in before]
    yield from ((before[name], after[name]) for name in before if name in after)


def _compare_ops(before: Graph, after: Graph, found: Difference) -> None:
    old, new = _numbered(before.nodes), _numbered(after.nodes)
    found.ops_removed += [f"{old[name].type} {name}" for name in old if name not in new]
    found.ops_added += [f"{new[name].type} {name}" for name in new if name not in old]
    for name in (name for name in old if name in new):
        found.ops += _op_changes(name, old[name], new[name])


def _numbered(nodes: Sequence[Node]) -> dict[str, Node]:
    """Nodes by name; of several with one name, each further one gets its number."""
    named: dict[str, Node] = {}
    for index, node in enumerate(nodes):
        named[node.name if node.name not in named else f"{node.name} #{index}"] = node
    return named


def _op_changes(name: str, old: Node, new: Node) -> Iterator[Changed]:
    if old.type != new.type:
        yield Changed(name, "type", old.type, new.type)
    for what, before, after in (("inputs", old.inputs, new.inputs), ("outputs", old.outputs, new.outputs)):
        if [plain_name(tensor) for tensor in before] != [plain_name(tensor) for tensor in after]:
            yield Changed(name, what, ", ".join(before), ", ".join(after))
    for key in dict.fromkeys([*old.attributes, *new.attributes]):
        first, second = (_attribute(node.attributes.get(key)) for node in (old, new))
        if first != second and repr(first) != repr(second) and not _means_the_same(old.type, key, (first, second)):
            yield Changed(name, key, _shown(first), _shown(second))


def _means_the_same(kind: str, key: str, values: tuple[Any, Any]) -> bool:
    """Whether two containers say one thing in two ways."""
    return any({*values} == pair for pair in _SAME_MEANING.get((kind, key), ())) if _are_plain(values) else False


def _are_plain(values: tuple[Any, Any]) -> bool:
    return all(isinstance(value, str | int) for value in values)


def _attribute(value: Any) -> Any:  # noqa: ANN401 - any attribute
    """A value that compares by content; the names of parameter tensors say nothing."""
    if not isinstance(value, Tensor):
        return value
    return (value.shape, value.dtype.name, bytes(value.data or b""))


def _shown(value: Any) -> str:  # noqa: ANN401 - any attribute
    if isinstance(value, tuple):
        return f"{value[1]} {list(value[0])} {value[2][:16].hex(' ')}"
    return "none" if value is None else str(value)


def _compare_tensors(before: Graph, after: Graph, found: Difference, release: tuple[Release, Release]) -> None:
    pairs = _tensor_pairs(before.tensors, after.tensors)
    taken = set(pairs.values())
    found.tensors_removed += [name for name in before.tensors if name not in pairs]
    found.tensors_added += [name for name in after.tensors if name not in taken]
    for name, other in pairs.items():
        old, new = before.tensors[name], after.tensors[other]
        found.tensors += _tensor_changes(old, new)
        if old.encoding != new.encoding:
            found.encodings.append(_encoding_change(old, new))
        if old.data is not None and new.data is not None:
            change = compare_weight(old, new, release)
            found.weights += [change] if change else []
            found.weights_equal += change is None
            if (rest := _rest(old)) != _rest(new):
                found.unread.append(Changed(old.name, "bytes beyond its shape", str(len(rest)), str(len(_rest(new)))))


def _rest(tensor: Tensor) -> bytes:
    """The bytes of a complete weight that its shape does not need."""
    data = tensor.data or memoryview(b"")
    return bytes(data[tensor.spec.nbytes(native=True) :]) if tensor.is_complete else b""


def _tensor_pairs(old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> dict[str, str]:
    """Tensors of the same name; then those whose names are the same but for what quantization adds."""
    plain = {plain_name(name): name for name in new if name not in old}
    pairs: dict[str, str] = {}
    for name in old:
        other = name if name in new else plain.pop(plain_name(name), None)
        if other is not None:
            pairs[name] = other
    return pairs


def _tensor_changes(old: Tensor, new: Tensor) -> Iterator[Changed]:
    for what, before, after in (
        ("shape", list(old.shape), list(new.shape)),
        ("dtype", old.dtype.name, new.dtype.name),
        ("role", old.role, new.role),
        ("data", "present" if old.data is not None else "missing", "present" if new.data is not None else "missing"),
    ):
        if before != after:
            yield Changed(old.name, what, str(before), str(after))


def _encoding_change(old: Tensor, new: Tensor) -> EncodingChange:
    return EncodingChange(old.name, _factor(old.encoding, new.encoding), encoding_text(old), encoding_text(new))


def _factor(old: Encoding | None, new: Encoding | None) -> float:
    if old is None or new is None or not old.scales or not new.scales:
        return float("inf")
    before, after = np.abs(np.asarray(old.scales)), np.abs(np.asarray(new.scales))
    if len(before) != len(after):
        before, after = before.max(keepdims=True), after.max(keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.maximum(before / after, after / before)
    return float(np.nan_to_num(ratios, nan=1.0, posinf=np.inf).max())


def encoding_text(tensor: Tensor) -> str:
    """An encoding in a line: its width, granularity, scale, offset and real range."""
    encoding, ends = tensor.encoding, real_range(tensor)
    if encoding is None or ends is None:
        return "none"
    low, high = min(encoding.scales), max(encoding.scales)
    scale = f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
    offsets = sorted(set(encoding.offsets))
    offset = str(offsets[0]) if len(offsets) == 1 else f"{offsets[0]} to {offsets[-1]}"
    along = "" if encoding.axis is None else f" x {len(encoding.scales)} along axis {encoding.axis}"
    return f"{encoding.bits}-bit{along}, scale {scale}, offset {offset}, {ends[0]:.4g} to {ends[1]:.4g}"


def _caches(dlc: Dlc) -> dict[str, str]:
    caches = zip(dlc.caches, compiled_caches(dlc), strict=True)
    return {item.record: f"{item.bytes} bytes, built by {item.built_by or 'unknown'}" for _, item in caches}


def _changes(before: Mapping[str, str], after: Mapping[str, str], what: str) -> Iterator[Changed]:
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name, "missing"), after.get(name, "missing")
        if old != new:
            yield Changed(name, what, old, new)


def _provenance(first: Dlc, second: Dlc) -> Iterator[Changed]:
    versions = [f"{dlc.version[0]}.{dlc.version[1]}" for dlc in (first, second)]
    yield from _changes({"container": versions[0]}, {"container": versions[1]}, "version")
    written = [{entry.stage: entry for entry in written_by(dlc)} for dlc in (first, second)]
    for what in ("version", "command", "date"):
        before, after = ({stage: getattr(entry, what) for stage, entry in side.items()} for side in written)
        yield from _changes(before, after, what)
    yield from (Changed(key, "metadata", *sides) for key, *sides in metadata_changes(first, second))
