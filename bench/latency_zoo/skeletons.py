"""A network's graph without its weights, as our DLC reader read it: one JSON file each, made once."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import snpe_tools.dlc as dlc_format
from latency_zoo.build import export
from snpe_tools.core.dtypes import BY_CODE
from snpe_tools.core.files import write_json
from snpe_tools.core.socs import BY_NAME
from snpe_tools.dlc.model import Graph, Node, Tensor
from snpe_tools.steps.convert import convert
from snpe_tools.steps.simplify import simplify

_TYPES = {dtype.name: dtype for dtype in BY_CODE.values()}


def skeleton_file(cache: Path, name: str) -> Path:
    """Where the skeleton of a network is kept."""
    return cache / "raw" / f"{name.replace('/', '__')}.json"


def make_skeleton(name: str, cache: Path) -> None:
    """Build a network, convert it to a DLC, read that, keep what it says of operations and shapes."""
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        folder = Path(scratch)
        export(name, folder / "exported.onnx")
        simplify(folder / "exported.onnx", folder / "simplified.onnx", {})
        made = convert(folder / "simplified.onnx", folder / "m.dlc", soc=BY_NAME["sm8750"], check=False)
        with dlc_format.open(made.dlc) as dlc:
            write_json(skeleton_file(cache, name), _document(name, dlc.graph))


def _document(name: str, graph: Graph) -> dict[str, Any]:
    nodes = [
        {
            "name": node.name, "type": node.type, "inputs": node.inputs, "outputs": node.outputs,
            "at": {key: value for key, value in node.attributes.items() if isinstance(value, int | float | str)},
        }
        for node in graph.nodes
    ]  # fmt: skip
    tensors = {key: [value.shape, value.role, value.dtype.name] for key, value in graph.tensors.items()}
    return {"name": name, "nodes": nodes, "tensors": tensors}


def read_skeleton(cache: Path, name: str) -> Graph:
    """The graph of a network, without data."""
    document = json.loads(skeleton_file(cache, name).read_text())
    tensors = {
        key: Tensor(key, tuple(shape), _TYPES[dtype], role) for key, (shape, role, dtype) in document["tensors"].items()
    }
    nodes = tuple(
        Node(node["name"], node["type"], tuple(node["inputs"]), tuple(node["outputs"]), node["at"])
        for node in document["nodes"]
    )
    return Graph(name, nodes, tensors)
