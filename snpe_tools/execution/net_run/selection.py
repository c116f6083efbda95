"""Which tensors `net-run` writes, and which raw files make one inference: the rules of `snpe-net-run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import snpe_tools.dlc as dlc_format
from snpe_tools.core.errors import UsageError
from snpe_tools.core.raw_files import InputList, check_list, named
from snpe_tools.core.socs import Soc, check_fit
from snpe_tools.core.tensor_spec import TensorSpec
from snpe_tools.execution.worker import Item, part_of
from snpe_tools.inspection.targets import need_of


@dataclass(frozen=True)
class DlcInterface:
    """What of a DLC a run must know.

    Attributes:
        inputs, outputs: of the graph, in the file's order.
        between: tensors between the nodes; they can be tapped.
        layers: each node's outputs.
        types: each node's QNN type.
    """

    path: Path
    graph: str
    inputs: Sequence[TensorSpec]
    outputs: Mapping[str, TensorSpec]
    between: Mapping[str, TensorSpec]
    layers: Mapping[str, Sequence[str]]
    types: Mapping[str, str]

    @property
    def last(self) -> list[str]:
        """Outputs of the last node that has any: what `snpe-net-run` writes unless it is told."""
        for names in reversed(list(self.layers.values())):
            if found := [name for name in names if name in self.outputs]:
                return found
        return list(self.outputs)[-1:]


def read_interface(dlc: Path, soc: Soc) -> DlcInterface:
    """Read it from the file.

    Raises:
        DlcError: the file is not a DLC of one graph, or is damaged.
        UsageError: a float model for a SoC without float maths.
    """
    with dlc_format.open(dlc) as model:
        check_fit(str(dlc), [soc], need_of(model))
        graph = model.graph
        return DlcInterface(
            path=dlc,
            graph=graph.name,
            inputs=[tensor.spec for tensor in graph.inputs],
            outputs={tensor.name: tensor.spec for tensor in graph.outputs},
            between={tensor.name: tensor.spec for tensor in graph.tensors.values() if tensor.role == "native"},
            layers={node.name: node.outputs for node in graph.nodes},
            types={node.name: node.type for node in graph.nodes},
        )


def choose_outputs(
    model: DlcInterface, parsed: InputList, asked: Sequence[str], *, unconsumed: bool = False, everything: bool = False
) -> list[TensorSpec]:
    """The tensors to write: those named, else those of the list's `%` and `#` lines, else the last node's.

    Args:
        asked: tensor names of the command line.
        unconsumed: all outputs of the graph.
        everything: all outputs, and all tensors between the nodes.

    Raises:
        UsageError: a name that the graph does not have.
    """
    known = {**model.between, **model.outputs}
    if everything:
        return list(known.values())
    if unconsumed:
        return list(model.outputs.values())
    names = list(asked) or [*parsed.outputs, *_of_layers(model, parsed.layers)] or model.last
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(
            f"{model.path} has no tensor {unknown[0]!r}.", f"Its outputs are {', '.join(model.outputs)}; see --debug."
        )
    return [known[name] for name in dict.fromkeys(names)]


def _of_layers(model: DlcInterface, layers: Sequence[str]) -> list[str]:
    unknown = [layer for layer in layers if layer not in model.layers]
    if unknown:
        raise UsageError(f"{model.path} has no layer {unknown[0]!r}.", "The list's # line names nodes of the graph.")
    return [name for layer in layers for name in model.layers[layer]]


def gather_items(model: DlcInterface, parsed: InputList, *, native: bool = False) -> list[Item]:
    """One item per line; of a model with a batch, whose raw files hold one element each, one item per full batch.

    Raises:
        TensorError: a line that does not fit the model.
    """
    rows = [named(line, model.inputs, parsed.path, index) for index, line in enumerate(parsed.lines)]
    batch = _batch(model.inputs, rows[0], native=native)
    check_list(parsed, [part_of(spec, batch) for spec in model.inputs] if batch > 1 else model.inputs, native=native)
    groups = [rows[first : first + batch] for first in range(0, len(rows), batch)]
    return [Item(index, group, batch) for index, group in enumerate(groups)]


def _batch(specs: Sequence[TensorSpec], row: Mapping[str, Path], *, native: bool) -> int:
    """Elements of a batch when the raw files of a line hold one each, else 1."""
    firsts = {spec.shape[0] if spec.shape else 1 for spec in specs}
    batch = firsts.pop() if len(firsts) == 1 else 1
    try:
        fits = all(row[spec.name].stat().st_size * batch == spec.nbytes(native=native) for spec in specs)
    except OSError:
        return 1  # the check of the list says which file is missing
    return batch if fits else 1
