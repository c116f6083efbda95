"""A whole quantized graph, computed by rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import snpe_tools.dlc as dlc_format
from snpe_tools.arithmetic.grid import NoRule
from snpe_tools.arithmetic.rules import Compute, lookups, rule_of
from snpe_tools.arithmetic.tables import read_tables
from snpe_tools.core.errors import UsageError
from snpe_tools.core.socs import Soc
from snpe_tools.core.tensor_spec import Array, TensorSpec
from snpe_tools.dlc import Graph

_LISTED = 5


@dataclass(frozen=True)
class Step:
    """One node: what computes it, from which tensors, and which tensors nobody needs afterwards."""

    node: str
    compute: Compute
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    done: tuple[str, ...] = ()


class Network:
    """The only graph of a DLC, ready to compute.

    Args:
        dlc: the file; it is read once and closed.
        soc: whose tables are read from the emulator.

    Attributes:
        inputs, outputs: of the graph.
        operations: how many nodes of each type.

    Raises:
        UsageError: some operation has no rule; all of them are named.
        DlcError: the file cannot be read.
        ConversionError, QnnError, ExecutionError: the emulator cannot be asked for a table.
    """

    def __init__(self, dlc: Path, soc: Soc) -> None:
        with dlc_format.open(dlc) as file:
            graph = file.graph
            self.inputs: list[TensorSpec] = [tensor.spec for tensor in graph.inputs]
            self.outputs: list[TensorSpec] = [tensor.spec for tensor in graph.outputs]
            self.operations: Counter[str] = graph.op_types()
            self._steps = _last_uses(_steps(graph, dlc, soc), [spec.name for spec in self.outputs])
            used = {name for step in self._steps for name in step.inputs}
            constants = [tensor for tensor in graph.tensors.values() if tensor.role == "static" and tensor.name in used]
            self._constants = {tensor.name: tensor.values().copy() for tensor in constants}

    def execute(self, inputs: Mapping[str, Array], keep: Sequence[str] = ()) -> dict[str, Array]:
        """One inference.

        Args:
            inputs: real or stored values by name.
            keep: tensors between the nodes to give as well.

        Returns:
            Stored values of every output, as the emulator gives them.
        """
        values = self._constants | {spec.name: spec.to_native(inputs[spec.name]) for spec in self.inputs}
        kept = dict[str, Array]()
        for step in self._steps:
            results = step.compute(*(values[name] for name in step.inputs))
            listed = results if isinstance(results, tuple) else (results,)
            values |= dict(zip(step.outputs, listed, strict=True))
            kept |= {name: values[name] for name in step.outputs if name in keep}
            for name in step.done:
                del values[name]
        return kept | {spec.name: values[spec.name].reshape(spec.shape) for spec in self.outputs}


def _steps(graph: Graph, dlc: Path, soc: Soc) -> list[Step]:
    tables = read_tables(lookups(graph), soc)
    steps, refused = [], list[str]()
    for node in graph.nodes:
        try:
            compute, inputs = rule_of(graph, node, tables)
            steps.append(Step(node.name, compute, inputs, node.outputs))
        except NoRule as why:
            refused.append(f"{node.type} {node.name!r}: {why}")
    if refused:
        listed = "".join(f"\n    {line}" for line in refused[:_LISTED])
        more = f"\n    and {len(refused) - _LISTED} more" if len(refused) > _LISTED else ""
        message = f"{dlc}: {len(refused)} of {len(graph.nodes)} operations have no integer rule yet.{listed}{more}"
        raise UsageError(message, "Run it on the emulator: leave out --fast.")
    return steps


def _last_uses(steps: Sequence[Step], outputs: Sequence[str]) -> list[Step]:
    """The steps, each with the tensors that can be forgotten after it."""
    last = {name: index for index, step in enumerate(steps) for name in (*step.outputs, *step.inputs)}
    done: dict[int, list[str]] = {}
    for name, index in last.items():
        if name not in outputs:
            done.setdefault(index, []).append(name)
    return [
        Step(step.node, step.compute, step.inputs, step.outputs, tuple(done.get(index, ())))
        for index, step in enumerate(steps)
    ]
