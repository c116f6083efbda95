"""DLC with caches → a context binary, and the ONNX file by which ONNX Runtime loads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import snpe_tools.dlc as dlc_format
from snpe_tools.core.errors import UsageError
from snpe_tools.core.files import whole_file
from snpe_tools.core.socs import Soc
from snpe_tools.dlc import Cache, Dlc, Graph, Tensor
from snpe_tools.inspection.loose import listed, mapping, text

if TYPE_CHECKING:
    import onnx

_CHUNK = 1 << 22
_ELEMENT_TYPES = {"Float_32": 1, "uInt_8": 2, "uFxp_8": 2, "Int_8": 3, "sFxp_8": 3, "uInt_16": 4, "uFxp_16": 4,
                  "Int_16": 5, "sFxp_16": 5, "Int_32": 6, "Int_64": 7, "Bool_8": 9, "Float_16": 10, "uInt_32": 12,
                  "uInt_64": 13}  # fmt: skip
"""Types of inputs and outputs as onnx.TensorProto numbers them."""
_PROVIDER, _DOMAIN = "QNNExecutionProvider", "com.microsoft"
_IR_VERSION, _OPSET = 10, 21


@dataclass(frozen=True)
class ExtractedContext:
    """A context binary.

    Attributes:
        file: where it is.
        bytes: its size.
        soc: the SoC that it was compiled for.
        built_by: version of the compiler, "" where the DLC does not say.
        graphs: names of the graphs inside, as far as the DLC says.
    """

    file: Path
    bytes: int
    soc: str
    built_by: str
    graphs: tuple[str, ...]


def extract_context(dlc: Path, soc: Soc, target: Path) -> ExtractedContext:
    """Write the compiled cache of one SoC as a file of its own: what qnn-net-run and applications load.

    Raises:
        UsageError: the DLC has no cache for this SoC; the message names those that it has.
        DlcError: the file is not a readable DLC.
        StorageError: no space.
    """
    with dlc_format.open(dlc) as opened:
        cache = _cache_of(opened, soc)
        data = opened.container.data(cache.record.name)
        with whole_file(target) as temporary, temporary.open("wb") as stream:
            for start in range(0, len(data), _CHUNK):
                stream.write(data[start : start + _CHUNK])
        graphs = tuple(text(mapping(graph).get("graphName")) for graph in listed(cache.details.get("graphs")))
        return ExtractedContext(target, cache.record.size, soc.name, text(cache.details.get("buildId")), graphs)


def _cache_of(dlc: Dlc, soc: Soc) -> Cache:
    found = [cache for cache in dlc.caches if cache.soc == soc.name]
    if found:
        return found[0]
    names = ", ".join(cache.soc for cache in dlc.caches if cache.soc)
    has = f"it has those of {names}" if names else "it has none"
    raise UsageError(
        f"{dlc.container.path} has no compiled cache for {soc.name}; {has}.",
        f"Compile one: snpe-tools prepare {dlc.container.path.name} -o OUT.dlc --soc {soc.name}.",
    )


def write_epcontext(dlc: Path, soc: Soc, target: Path) -> ExtractedContext:
    """Write an ONNX file with one EPContext node, and beside it the context binary that the node names.

    ONNX Runtime with its QNN provider loads the pair as a model: same names, shapes and types as the graph in the DLC.

    Args:
        dlc: has a cache for `soc`, and one graph.
        soc: whose cache.
        target: the ONNX file; the binary is `<name>.<soc>.bin` beside it.

    Raises:
        UsageError: no cache for this SoC.
        DlcError: not a readable DLC, or one of several graphs.
    """
    import onnx

    made = extract_context(dlc, soc, target.with_name(f"{target.stem}.{soc.name}.bin"))
    with dlc_format.open(dlc) as opened:
        model = _model(opened.graph, made)
    with whole_file(target) as temporary:
        onnx.save(model, str(temporary))
    return made


def _model(graph: Graph, made: ExtractedContext) -> onnx.ModelProto:
    """The model; attributes as ONNX Runtime's own EPContext models have them."""
    from onnx import helper

    node = helper.make_node(
        "EPContext",
        [tensor.name for tensor in graph.inputs],
        [tensor.name for tensor in graph.outputs],
        name=graph.name,
        domain=_DOMAIN,
        main_context=1,
        embed_mode=0,
        ep_cache_context=made.file.name,
        source=_PROVIDER,
        ep_sdk_version=made.built_by,
        partition_name=made.graphs[0] if made.graphs else graph.name,
    )
    inputs, outputs = ([_value(tensor) for tensor in side] for side in (graph.inputs, graph.outputs))
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_DOMAIN, 1)]
    body = helper.make_graph([node], graph.name, inputs, outputs)
    return helper.make_model(body, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="snpe-tools")


def _value(tensor: Tensor) -> onnx.ValueInfoProto:
    from onnx import helper

    kind = _ELEMENT_TYPES.get(tensor.dtype.name)
    if kind is None:
        raise UsageError(f"ONNX has no type for {tensor.name!r}, which is {tensor.dtype}.", "Use the DLC itself.")
    return helper.make_tensor_value_info(tensor.name, kind, tensor.shape)
