"""LayerNormalization and RMSNormalization that exporters write in parts, as one operation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snpe_tools.graph.rewrites.editing import Graph, Replacement, attribute
from snpe_tools.graph.rewrites.region import Floats, compute, depends_on

if TYPE_CHECKING:
    import onnx

RMS_OPSET = 23
_KINDS = {"Add", "Cast", "Div", "Identity", "Mul", "Neg", "Pow", "ReduceMean", "Reciprocal", "Sqrt", "Sub"}
_CLOSE = 2e-5
_SNAP = 2e-5
_POINTS = 12
"""Points for each line that is fitted."""
_SQUARE, _INVERSE_ROOT = 2, -0.5


class _Found(NamedTuple):
    """The parts of a norm: what it reads, the axes that it averages over, what keeps it from dividing by zero."""

    source: str
    axes: tuple[int, ...]
    epsilon: float
    centred: bool


def layer_norm(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """X minus its mean, over its deviation, times gamma, plus beta, in any order."""
    found = _parts(graph, node)
    return _replacement(graph, node, found) if found and found.centred else None


def rms_norm(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """X over its root mean square, times gamma, in any order."""
    found = _parts(graph, node)
    return _replacement(graph, node, found) if found and not found.centred else None


def _replacement(graph: Graph, node: onnx.NodeProto, found: _Found) -> Replacement | None:
    shape = graph.shape(found.source)
    if shape is None or not found.axes:
        return None
    axes = tuple(sorted(axis % len(shape) for axis in found.axes))
    trailing = axes == tuple(range(len(shape) - len(axes), len(shape)))
    if not trailing and len(axes) > 1:
        return None
    for region in reversed(list(depends_on(graph, found.source, _KINDS, node))):
        fitted = _fit(graph, region, found, shape, axes)
        if fitted:
            nodes = _nodes(graph, region[-1], found, len(shape), axes, fitted)
            what = "LayerNormalization" if found.centred else "RMSNormalization"
            return Replacement(region[-1], nodes, f"a {what} in parts; in one, the HTP keeps it in integers")
    return None


def _parts(graph: Graph, node: onnx.NodeProto) -> _Found | None:
    """From the square root up to what is normalized."""
    inverse = node.op_type == "Pow" and graph.scalar(node.input[1]) == _INVERSE_ROOT
    added = graph.writer.get(node.input[0]) if node.op_type == "Sqrt" or inverse else None
    if added is None or added.op_type != "Add":
        return None
    for mean, epsilon in (tuple(added.input), tuple(added.input)[::-1]):
        small, averaged = graph.scalar(epsilon), graph.writer.get(mean)
        if small is not None and averaged is not None and averaged.op_type == "ReduceMean":
            base = _squared(graph, averaged.input[0])
            if base and attribute(averaged, "keepdims", 1):
                return _source(graph, base, reduced_axes(graph, averaged), small)
    return None


def _squared(graph: Graph, name: str) -> str:
    """x, where the tensor is its square."""
    node = graph.writer.get(name)
    if node is None:
        return ""
    power = node.op_type == "Pow" and graph.scalar(node.input[1]) == _SQUARE
    product = node.op_type == "Mul" and node.input[0] == node.input[1]
    return str(node.input[0]) if power or product else ""


def _source(graph: Graph, base: str, axes: tuple[int, ...], epsilon: float) -> _Found:
    writer = graph.writer.get(base)
    if writer is not None and writer.op_type == "Sub":
        mean = graph.writer.get(writer.input[1])
        if mean is not None and mean.op_type == "ReduceMean" and mean.input[0] == writer.input[0]:
            same = reduced_axes(graph, mean) == axes and bool(attribute(mean, "keepdims", 1))
            return _Found(writer.input[0] if same else base, axes, epsilon, centred=same)
    return _Found(base, axes, epsilon, centred=False)


def reduced_axes(graph: Graph, node: onnx.NodeProto) -> tuple[int, ...]:
    """The axes of a reduction, an attribute or an input; empty where they are not known, or all."""
    given = attribute(node, "axes")
    if given is None and len(node.input) > 1:
        array = graph.value(node.input[1])
        given = array.ravel().tolist() if array is not None else None
    return tuple(given or ())


def _fit(
    graph: Graph, region: list[onnx.NodeProto], found: _Found, shape: tuple[int, ...], axes: tuple[int, ...]
) -> tuple[Floats, Floats] | None:
    """Gamma and beta with which the region computes the norm, or None where it computes anything else."""
    random = np.random.default_rng(0)
    rows = int(np.prod(shape)) // int(np.prod([shape[axis] for axis in axes]))
    probes = [random.normal(0, 2, shape).astype(np.float32) for _ in range(max(2, -(-_POINTS // rows)))]
    got = compute(graph, region, found.source, probes)
    if any(one.shape != shape for one in got):
        return None
    wanted = [_rows(_normalized(probe, found, axes), axes) for probe in probes]
    x, y = np.concatenate(wanted), np.concatenate([_rows(one.astype(np.float64), axes) for one in got])
    gamma, beta = _line(x, y)
    if not np.isfinite(y).all() or np.abs(x * gamma + beta - y).max() > _CLOSE * max(1, np.abs(y).max()):
        return None
    if not found.centred and np.abs(beta).max() > _SNAP:
        return None
    sizes = tuple(shape[axis] for axis in axes)
    held = [array for node in region for name in node.input if (array := graph.value(name)) is not None]
    return _snapped(gamma, held).reshape(sizes), _snapped(beta, held).reshape(sizes)


def _normalized(x: Floats, found: _Found, axes: tuple[int, ...]) -> NDArray[np.float64]:
    wide = x.astype(np.float64)
    wide = wide - wide.mean(axes, keepdims=True) if found.centred else wide
    result: NDArray[np.float64] = wide / np.sqrt((wide**2).mean(axes, keepdims=True) + found.epsilon)
    return result


def _rows(array: NDArray[np.float64], axes: tuple[int, ...]) -> NDArray[np.float64]:
    """One row for each norm that is taken."""
    count = int(np.prod([array.shape[axis] for axis in axes]))
    moved = np.moveaxis(array, axes, range(array.ndim - len(axes), array.ndim))
    return moved.reshape(-1, count)


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Slope and offset of the line through each column."""
    centred = x - x.mean(0)
    slope = (centred * (y - y.mean(0))).sum(0) / np.maximum((centred**2).sum(0), 1e-12)
    return slope, y.mean(0) - slope * x.mean(0)


def _snapped(fitted: NDArray[np.float64], held: list[NDArray[np.generic]]) -> Floats:
    """The constant of the graph that was meant, in its own digits; the fitted numbers where none is near."""
    for array in [*held, np.ones(1), np.zeros(1)]:
        if np.issubdtype(array.dtype, np.floating) and array.size in {1, fitted.size}:
            spread = np.broadcast_to(array.ravel(), fitted.shape)
            if np.allclose(spread, fitted, rtol=_SNAP, atol=_SNAP):
                return spread.astype(np.float32)
    return fitted.astype(np.float32)


def _nodes(
    graph: Graph, last: onnx.NodeProto, found: _Found, rank: int, axes: tuple[int, ...], line: tuple[Floats, Floats]
) -> list[onnx.NodeProto]:
    gamma, beta = line
    stem = last.name or last.output[0]
    inputs = [graph.constant(f"{stem}_gamma", gamma)]
    kind = "LayerNormalization" if found.centred else "RMSNormalization"
    if found.centred:
        inputs.append(graph.constant(f"{stem}_beta", beta))
    if axes[-1] == rank - 1:
        settings = {"axis": -len(axes), "epsilon": found.epsilon}
        return [graph.node(kind, [found.source, *inputs], last.output, last, **settings)]
    return list(_moved(graph, last, kind, [found.source, *inputs], found.epsilon, _order(rank, axes[0])))


def _order(rank: int, axis: int) -> list[int]:
    return [one for one in range(rank) if one != axis] + [axis]


def _moved(
    graph: Graph, last: onnx.NodeProto, kind: str, inputs: list[str], epsilon: float, order: list[int]
) -> Iterator[onnx.NodeProto]:
    """The norm of another axis than the last: that axis is moved there, and back."""
    before, after = graph.fresh(f"{last.output[0]}_moved"), graph.fresh(f"{last.output[0]}_normed")
    yield graph.node("Transpose", inputs[:1], [before], last, perm=order)
    yield graph.node(kind, [before, *inputs[1:]], [after], last, axis=-1, epsilon=epsilon)
    yield graph.node("Transpose", [after], last.output, last, perm=np.argsort(order).tolist())
