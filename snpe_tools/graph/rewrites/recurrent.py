"""LSTM, GRU and RNN, unrolled into the operations of each step.

ONNX Runtime QNN writes an Lstm that no HTP library opens ("Attribute 'hidden_size' not present"). The equations and the
order of gates are those of the ONNX operators' documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snpe_tools.graph.rewrites.editing import Graph, Replacement, attribute

if TYPE_CHECKING:
    import onnx

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
LONGEST = 512
"""Steps that are unrolled at most: each is about ten operations."""
_DEFAULTS = {"LSTM": [b"Sigmoid", b"Tanh", b"Tanh"], "GRU": [b"Sigmoid", b"Tanh"], "RNN": [b"Tanh"]}
_DIRECTIONS = {b"forward": (False,), b"reverse": (True,), b"bidirectional": (False, True)}
_X, _W, _R, _B, _LENGTHS, _H, _C, _P = range(8)
Weights = NDArray[np.float32]
Step = Callable[[str, str, str], tuple[str, str]]
"""From a step's share of the input, the hidden state and the cell: the next state and cell."""


@dataclass(frozen=True)
class Layer:
    """A recurrent node: its sizes, its constants, and the graph that it is part of."""

    graph: Graph
    node: onnx.NodeProto
    steps: int
    batch: int
    width: int
    hidden: int

    def name(self, index: int) -> str:
        """The input at this place, empty where it is left out."""
        return str(self.node.input[index]) if len(self.node.input) > index else ""

    def array(self, index: int, direction: int) -> Weights | None:
        """One direction's part of a constant input that may be left out."""
        return self.weights(index, direction) if self.name(index) else None

    def weights(self, index: int, direction: int) -> Weights:
        """One direction's part of a constant input."""
        weights: Weights = np.asarray(self.graph.value(self.name(index)), np.float32)[direction]
        return weights

    def output(self, index: int) -> str:
        """The output at this place, empty where nobody wants it."""
        return str(self.node.output[index]) if len(self.node.output) > index else ""


class Builder:
    """Collects nodes; each method returns the name of what it computes."""

    def __init__(self, graph: Graph, node: onnx.NodeProto) -> None:
        self.graph, self.node = graph, node
        self.nodes: list[onnx.NodeProto] = []
        self._stem = node.name or next(name for name in node.output if name)

    def constant(self, array: NDArray[np.generic]) -> str:
        """A constant of the graph."""
        return self.graph.constant(f"{self._stem}_constant", array)

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        """One node of one output."""
        target = self.graph.fresh(f"{self._stem}_{kind.lower()}")
        self.nodes.append(self.graph.node(kind, inputs, [target], self.node, **attributes))
        return target

    def split(self, name: str, sizes: Sequence[int], axis: int) -> list[str]:
        """A tensor in parts."""
        if len(sizes) == 1:
            return [name]
        targets = [self.graph.fresh(f"{self._stem}_part") for _ in sizes]
        held = self.constant(np.array(sizes, np.int64))
        self.nodes.append(self.graph.node("Split", [name, held], targets, self.node, axis=axis))
        return targets

    def reshape(self, name: str, shape: Sequence[int]) -> str:
        """A tensor in another shape."""
        return self.op("Reshape", name, self.constant(np.array(shape, np.int64)))

    def concat(self, names: Sequence[str], axis: int) -> str:
        """Several tensors in one."""
        return names[0] if len(names) == 1 else self.op("Concat", *names, axis=axis)

    def write(self, name: str, target: str) -> None:
        """Let a tensor be one of the outputs."""
        if target:
            self.nodes.append(self.graph.node("Identity", [name], [target], self.node))


def unrolled(graph: Graph, node: onnx.NodeProto) -> Replacement | None:
    """The node's steps as operations of their own, where its weights are constant and its length is fixed."""
    layer = _layer(graph, node) if node.op_type in GATES else None
    if layer is None:
        return None
    build = Builder(graph, node)
    x = build.op("Transpose", layer.name(_X), perm=[1, 0, 2]) if _batch_first(node) else layer.name(_X)
    flat = build.reshape(x, [layer.steps * layer.batch, layer.width])
    backward = _DIRECTIONS[attribute(node, "direction", b"forward")]
    runs = [_run(build, layer, flat, number, reverse=one) for number, one in enumerate(backward)]
    _write(build, layer, runs)
    return Replacement(node, build.nodes, f"the HTP opens no {node.op_type}; unrolled into its {layer.steps} steps")


def _batch_first(node: onnx.NodeProto) -> bool:
    return bool(attribute(node, "layout", 0))


def _layer(graph: Graph, node: onnx.NodeProto) -> Layer | None:
    """What can be unrolled: default activations, no clipping, constant weights, sequences of full length."""
    shape, weight, again = graph.shape(node.input[_X]), graph.value(node.input[_W]), graph.value(node.input[_R])
    if shape is None or weight is None or again is None:
        return None
    steps, batch = (shape[1], shape[0]) if _batch_first(node) else shape[:2]
    layer = Layer(graph, node, steps, batch, shape[2], again.shape[-1])
    directions = len(_DIRECTIONS[attribute(node, "direction", b"forward")])
    wanted = [one.lower() for one in _DEFAULTS[node.op_type] * directions]
    activations = [one.lower() for one in attribute(node, "activations", wanted)]
    special = attribute(node, "clip") or attribute(node, "input_forget", 0) or activations != wanted
    lengths = graph.value(layer.name(_LENGTHS)) if layer.name(_LENGTHS) else np.array([steps])
    constant = all(not layer.name(one) or graph.value(layer.name(one)) is not None for one in (_B, _P))
    whole = lengths is not None and bool((lengths == steps).all())
    return layer if not special and constant and whole and steps <= LONGEST else None


@dataclass(frozen=True)
class _Run:
    """One direction: its hidden state after each step, in the order of the input, and the last states."""

    hidden: list[str]
    last: str
    cell: str


def _run(build: Builder, layer: Layer, flat: str, number: int, *, reverse: bool) -> _Run:
    gates = GATES[layer.node.op_type] * layer.hidden
    bias = layer.array(_B, number)
    forward, again = np.zeros((2, gates), np.float32) if bias is None else bias.reshape(2, gates)
    apart = layer.node.op_type == "GRU" and bool(attribute(layer.node, "linear_before_reset", 0))
    added = forward.copy()
    together = 2 * layer.hidden if apart else gates
    added[:together] += again[:together]
    product = build.op("Gemm", flat, build.constant(layer.weights(_W, number)), build.constant(added), transB=1)
    parts = build.split(product, [layer.batch] * layer.steps, 0)
    state, cell = (_initial(build, layer, index, number) for index in (_H, _C))
    step = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}[layer.node.op_type](build, layer, number, again)
    hidden = [""] * layer.steps
    for index in range(layer.steps)[:: -1 if reverse else 1]:
        state, cell = step(parts[index], state, cell)
        hidden[index] = state
    return _Run(hidden, state, cell)


def _initial(build: Builder, layer: Layer, index: int, number: int) -> str:
    """The state before the first step, (batch, hidden)."""
    name, shape = layer.name(index), (layer.batch, layer.hidden)
    if not name:
        return build.constant(np.zeros(shape, np.float32))
    held = layer.graph.value(name)
    if held is not None:
        return build.constant((held[:, number] if _batch_first(layer.node) else held[number]).astype(np.float32))
    directions = len(_DIRECTIONS[attribute(layer.node, "direction", b"forward")])
    axis = 1 if _batch_first(layer.node) else 0
    return build.reshape(build.split(name, [1] * directions, axis)[number], shape)


def _write(build: Builder, layer: Layer, runs: Sequence[_Run]) -> None:
    """The node's outputs: all hidden states, the last ones, and the last cells of an LSTM."""
    first = _batch_first(layer.node)
    if layer.output(0):
        shape = [layer.steps, 1, layer.batch, layer.hidden]
        ways = build.concat([build.reshape(build.concat(run.hidden, 0), shape) for run in runs], 1)
        build.write(build.op("Transpose", ways, perm=[2, 0, 1, 3]) if first else ways, layer.output(0))
    for index, names in ((1, [run.last for run in runs]), (2, [run.cell for run in runs])):
        if layer.output(index):
            last = build.concat([build.reshape(name, [1, layer.batch, layer.hidden]) for name in names], 0)
            build.write(build.op("Transpose", last, perm=[1, 0, 2]) if first else last, layer.output(index))


def _lstm(build: Builder, layer: Layer, number: int, _: Weights) -> Step:
    """Gates in the order input, output, forget, cell."""
    size, again = layer.hidden, build.constant(layer.weights(_R, number))
    peeped = layer.array(_P, number)
    peeps = [build.constant(one) for one in peeped.reshape(3, size)] if peeped is not None else []

    def step(part: str, state: str, cell: str) -> tuple[str, str]:
        total = build.op("Add", part, build.op("Gemm", state, again, transB=1))
        if peeps:
            i, o, f, g = build.split(total, [size] * 4, 1)
            i, f = (_peeping(build, gate, cell, peep) for gate, peep in ((i, peeps[0]), (f, peeps[2])))
        else:
            gates, g = build.split(total, [3 * size, size], 1)
            i, o, f = build.split(build.op("Sigmoid", gates), [size] * 3, 1)
        cell = build.op("Add", build.op("Mul", f, cell), build.op("Mul", i, build.op("Tanh", g)))
        o = _peeping(build, o, cell, peeps[1]) if peeps else o
        return build.op("Mul", o, build.op("Tanh", cell)), cell

    return step


def _peeping(build: Builder, gate: str, cell: str, peep: str) -> str:
    return build.op("Sigmoid", build.op("Add", gate, build.op("Mul", cell, peep)))


def _gru(build: Builder, layer: Layer, number: int, bias: Weights) -> Step:
    """Gates in the order update, reset, hidden."""
    size, weight = layer.hidden, layer.weights(_R, number)
    apart = bool(attribute(layer.node, "linear_before_reset", 0))
    held = np.concatenate([np.zeros(2 * size, np.float32), bias[2 * size :]])
    names = [build.constant(one) for one in ([weight, held] if apart else [weight[: 2 * size], weight[2 * size :]])]

    def step(part: str, state: str, cell: str) -> tuple[str, str]:
        given, fresh = build.split(part, [2 * size, size], 1)
        if apart:
            product = build.op("Gemm", state, *names, transB=1)
            gates, again = build.split(product, [2 * size, size], 1)
        else:
            gates, again = build.op("Gemm", state, names[0], transB=1), ""
        update, reset = build.split(build.op("Sigmoid", build.op("Add", given, gates)), [size, size], 1)
        if apart:
            again = build.op("Mul", reset, again)
        else:
            again = build.op("Gemm", build.op("Mul", reset, state), names[1], transB=1)
        fresh = build.op("Tanh", build.op("Add", fresh, again))
        kept = build.op("Mul", update, build.op("Sub", state, fresh))
        return build.op("Add", fresh, kept), cell

    return step


def _rnn(build: Builder, layer: Layer, number: int, _: Weights) -> Step:
    again = build.constant(layer.weights(_R, number))

    def step(part: str, state: str, cell: str) -> tuple[str, str]:
        return build.op("Tanh", build.op("Add", part, build.op("Gemm", state, again, transB=1))), cell

    return step
