"""How two DLCs differ: operations, tensors, encodings, the content of weights, caches and who wrote them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snpe_tools.dlc.model import Dlc, Graph, Node, Tensor
from snpe_tools.inspection.describe import real_range
from snpe_tools.inspection.history import compiled_caches, written_by
from snpe_tools.spec import Encoding

_BLOCK = 1 << 20
Release = Callable[[memoryview], None]


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


@dataclass(frozen=True)
class WeightChange:
    """A weight whose content differs.

    Attributes:
        elements, changed: stored values in all, and those that differ.
        largest: the largest difference of two real values.
    """

    name: str
    elements: int
    changed: int
    largest: float


@dataclass
class Difference:
    """Everything that differs between two DLCs; `same` when nothing but the record of who wrote them does."""

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
    provenance: list[Changed] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether both files compute the same and hold the same caches; dates and commands may differ."""
        ignored = {"weights_equal", "provenance"}
        return not any(value for name, value in vars(self).items() if name not in ignored)


def difference(first: Dlc, second: Dlc) -> Difference:
    """Compare two open DLCs; every value of every weight is compared."""
    found = Difference()
    for before, after in _pairs(first, second, found):
        _compare_ops(before, after, found)
        _compare_tensors(before, after, found, (first.container.release, second.container.release))
    found.encodings.sort(key=lambda change: -change.factor)
    found.weights.sort(key=lambda change: -change.largest)
    found.caches += _changes(_caches(first), _caches(second), "cache")
    found.provenance += _provenance(first, second)
    return found


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
    old, new = _named(before.nodes), _named(after.nodes)
    found.ops_removed += [f"{old[name].type} {name}" for name in old if name not in new]
    found.ops_added += [f"{new[name].type} {name}" for name in new if name not in old]
    for name in (name for name in old if name in new):
        found.ops += _op_changes(name, old[name], new[name])


def _named(nodes: Sequence[Node]) -> dict[str, Node]:
    """Nodes by name; of several with one name, each gets its number."""
    named: dict[str, Node] = {}
    for index, node in enumerate(nodes):
        named[node.name if node.name not in named else f"{node.name} #{index}"] = node
    return named


def _op_changes(name: str, old: Node, new: Node) -> Iterator[Changed]:
    for what in ("type", "inputs", "outputs"):
        before, after = getattr(old, what), getattr(new, what)
        if before != after:
            yield Changed(name, what, _shown(before), _shown(after))
    for key in dict.fromkeys([*old.attributes, *new.attributes]):
        before, after = (_attribute(node.attributes.get(key)) for node in (old, new))
        if before != after:
            yield Changed(name, key, _shown(before), _shown(after))


def _attribute(value: Any) -> Any:  # noqa: ANN401 - any attribute
    """A value that compares by content; the names of parameter tensors say nothing."""
    if not isinstance(value, Tensor):
        return value
    return (value.shape, value.dtype.name, bytes(value.data or b""))


def _shown(value: Any) -> str:  # noqa: ANN401 - any attribute
    if isinstance(value, tuple) and len(value) == 3 and isinstance(value[2], bytes):  # noqa: PLR2004
        return f"{value[1]} {list(value[0])} {value[2][:16].hex(' ')}"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else "none" if value is None else str(value)


def _compare_tensors(before: Graph, after: Graph, found: Difference, release: tuple[Release, Release]) -> None:
    old, new = before.tensors, after.tensors
    found.tensors_removed += [name for name in old if name not in new]
    found.tensors_added += [name for name in new if name not in old]
    for name in (name for name in old if name in new):
        found.tensors += _tensor_changes(old[name], new[name])
        if old[name].encoding != new[name].encoding:
            found.encodings.append(_encoding_change(old[name], new[name]))
        if old[name].data is not None and new[name].data is not None:
            _compare_weight(old[name], new[name], found, release)


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


def _compare_weight(old: Tensor, new: Tensor, found: Difference, release: tuple[Release, Release]) -> None:
    elements = old.spec.elements
    comparable = old.shape == new.shape and old.dtype == new.dtype and _complete(old) and _complete(new)
    if not comparable:
        if bytes(old.data or b"") != bytes(new.data or b""):
            found.weights.append(WeightChange(old.name, elements, elements, float("inf")))
        return
    changed, largest = 0, 0.0
    for ours, theirs, start in _blocks(old, new, release):
        if not np.array_equal(ours.view(np.uint8), theirs.view(np.uint8)):
            changed += int(np.count_nonzero(ours != theirs))
            largest = max(largest, _largest(old, new, ours, theirs, start))
    if changed:
        found.weights.append(WeightChange(old.name, elements, changed, largest))
    else:
        found.weights_equal += 1


def _complete(tensor: Tensor) -> bool:
    return tensor.data is not None and len(tensor.data) >= tensor.spec.nbytes(native=True)


def _blocks(old: Tensor, new: Tensor, release: tuple[Release, Release]) -> Iterator[tuple[Any, Any, int]]:
    """The stored values of both tensors, a block at a time, and the number of the block's first element."""
    width, size = old.dtype.numpy.itemsize, old.spec.nbytes(native=True)
    for start in range(0, size, _BLOCK):
        parts = [tensor.data[start : min(start + _BLOCK, size)] for tensor in (old, new) if tensor.data is not None]
        ours, theirs = (np.frombuffer(part, old.dtype.numpy) for part in parts)
        yield ours, theirs, start // width
        for part, done in zip(parts, release, strict=True):
            done(part)


def _largest(old: Tensor, new: Tensor, ours: Any, theirs: Any, start: int) -> float:  # noqa: ANN401 - arrays
    """The largest difference of two real values in a block."""
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(_real(old, ours, start) - _real(new, theirs, start))
    return float(np.nan_to_num(apart, nan=np.inf).max(initial=0.0))


def _real(tensor: Tensor, stored: Any, start: int) -> Any:  # noqa: ANN401 - arrays
    encoding = tensor.encoding
    if encoding is None or not encoding.scales or tensor.encoding_problem():
        return stored.astype(np.float32)
    scales, offsets = np.asarray(encoding.scales, np.float32), np.asarray(encoding.offsets, np.float32)
    if encoding.axis is None:
        return (stored + offsets[0]) * scales[0]
    inner = int(np.prod(tensor.shape[encoding.axis + 1 :], dtype=np.int64))
    channels = (np.arange(start, start + len(stored)) // max(inner, 1)) % len(scales)
    return (stored + offsets[channels]) * scales[channels]


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
