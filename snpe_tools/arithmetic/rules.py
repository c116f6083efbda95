"""Which rule computes a node of a DLC."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from snpe_tools.arithmetic.grid import Codes, Grid, NoRule, Real, Whole
from snpe_tools.arithmetic.moves import MOVES
from snpe_tools.arithmetic.normalization import LayerNorm
from snpe_tools.arithmetic.products import FullyConnected, MatMul
from snpe_tools.arithmetic.softmax import Softmax
from snpe_tools.arithmetic.sums import Sum
from snpe_tools.arithmetic.tables import Lookup
from snpe_tools.core.tensor_spec import Array
from snpe_tools.dlc import Graph, Node, Tensor

Compute = Callable[..., Array | tuple[Array, ...]]
Tables = Mapping[Lookup, Codes]
_ADD, _SUBTRACT = 0, 18
_BIAS = 2


@dataclass(frozen=True)
class Place:
    """A node and the tensors around it."""

    graph: Graph
    node: Node

    def tensor(self, index: int) -> Tensor:
        """An input."""
        if index >= len(self.node.inputs):
            raise NoRule(f"it has {len(self.node.inputs)} inputs")
        return self.graph.tensors[self.node.inputs[index]]

    def grid(self, index: int) -> Grid:
        """Grid of an input."""
        return Grid.of(self.tensor(index))

    @property
    def target(self) -> Grid:
        """Grid of the output."""
        return Grid.of(self.output)

    @property
    def output(self) -> Tensor:
        """The first output."""
        return self.graph.tensors[self.node.outputs[0]]


def lookups(graph: Graph) -> list[Lookup]:
    """The tables that a graph needs."""
    found = []
    for node in graph.nodes:
        try:
            found += [_lookup(Place(graph, node))] if _is_table(node) else []
        except NoRule:
            continue
    return found


def rule_of(graph: Graph, node: Node, tables: Tables) -> tuple[Compute, tuple[str, ...]]:
    """What computes a node, and the names of the inputs that it takes, those of constants left out.

    Raises:
        NoRule: nothing does.
    """
    place = Place(graph, node)
    if _is_table(node):
        return _table(tables[_lookup(place)]), node.inputs
    make = _RULES.get(node.type)
    if make is not None:
        return make(place)
    if node.type in MOVES:
        return MOVES[node.type](graph, node), node.inputs[:1] if node.type != "Gather" else node.inputs
    raise NoRule(f"there is no rule for {node.type}")


def _is_table(node: Node) -> bool:
    return node.type == "Neuron" or (
        node.type == "Eltwise_Binary" and node.attributes.get("operation") not in {_ADD, _SUBTRACT}
    )


def _lookup(place: Place) -> Lookup:
    return Lookup.of(place.node, [place.grid(index) for index in range(len(place.node.inputs))], place.target)


def _table(table: Codes) -> Compute:
    if table.ndim == 1:
        return lambda codes: table[codes]
    return lambda left, right: table[left, right]


def _fully_connected(place: Place) -> tuple[Compute, tuple[str, ...]]:
    weights = place.tensor(1)
    scales, zeros = _weight_encoding(weights)
    has_bias = len(place.node.inputs) > _BIAS
    bias = _whole_bias(place.tensor(_BIAS)) if has_bias else None
    product = FullyConnected(place.grid(0), place.target, weights.values(), zeros, scales, bias)
    shape = place.output.shape
    return lambda codes: product(codes).reshape(shape), place.node.inputs[:1]


def _weight_encoding(weights: Tensor) -> tuple[Real, Whole]:
    encoding = weights.encoding
    if weights.dtype.name not in {"sFxp_8", "uFxp_8"} or encoding is None or encoding.axis not in {None, 0}:
        raise NoRule(f"its weights are {weights.dtype}, and there is a rule for 8 bits")
    return np.array(encoding.scales, np.float64), -np.array(encoding.offsets, np.int64)


def _whole_bias(bias: Tensor) -> Array:
    if bias.dtype.name != "sFxp_32":
        raise NoRule(f"its bias is {bias.dtype}, and there is a rule for sFxp_32")
    return bias.values()


def _matmul(place: Place) -> tuple[Compute, tuple[str, ...]]:
    product = MatMul(place.grid(0), place.grid(1), place.target)
    turned = [bool(place.node.attributes.get(f"transpose_in{index}")) for index in range(2)]

    def compute(left: Codes, right: Codes) -> Codes:
        return product(left.swapaxes(-1, -2) if turned[0] else left, right.swapaxes(-1, -2) if turned[1] else right)

    return compute, place.node.inputs


def _sum(place: Place) -> tuple[Compute, tuple[str, ...]]:
    sign = -1 if place.node.attributes["operation"] == _SUBTRACT else 1
    return Sum(place.grid(0), place.grid(1), place.target, sign), place.node.inputs


def _softmax(place: Place) -> tuple[Compute, tuple[str, ...]]:
    if place.node.attributes.get("axis") != len(place.output.shape) - 1:
        raise NoRule("its axis is not the last one")
    return Softmax(place.grid(0), place.target), place.node.inputs


def _layer_norm(place: Place) -> tuple[Compute, tuple[str, ...]]:
    axes = place.node.attributes.get("axes")
    if not isinstance(axes, Tensor) or axes.values().tolist() != [len(place.output.shape) - 1]:
        raise NoRule("its axis is not the last one")
    gains = place.tensor(1)
    grid = Grid.of(gains)
    has_offset = len(place.node.inputs) > _BIAS
    offsets = place.tensor(_BIAS).real_values() if has_offset else np.zeros(gains.shape)
    whole = gains.values().astype(np.int64) - grid.zero
    epsilon = float(str(place.node.attributes.get("epsilon", 0.0)))
    norm = LayerNorm(place.grid(0), place.target, whole, grid.scale, offsets.astype(np.float64), epsilon)
    return norm, place.node.inputs[:1]


_RULES: Mapping[str, Callable[[Place], tuple[Compute, tuple[str, ...]]]] = {
    "Eltwise_Binary": _sum,
    "FullyConnected": _fully_connected,
    "LayerNorm": _layer_norm,
    "MatMul": _matmul,
    "Softmax": _softmax,
}
