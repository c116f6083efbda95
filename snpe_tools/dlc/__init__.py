"""Reads DLC files with no SDK and no vendor library: `snpe_tools.dlc.open(path)`.

    with snpe_tools.dlc.open("model.dlc") as dlc:
        for node in dlc.graph.nodes: ...
        dlc.graph.tensors["weight"].values()        # a view of the mapped file
        dlc.graph.tensors["weight"].real_values()   # dequantized

`snpe_tools.inspection` builds on it: description, health checks, differences, encodings.
"""

from __future__ import annotations

from pathlib import Path

from snpe_tools.dlc.container import Container, Record
from snpe_tools.dlc.model import Attribute, Cache, Dlc, Graph, Limits, Node, Tensor
from snpe_tools.dlc.opening import open_dlc

__all__ = ["Attribute", "Cache", "Container", "Dlc", "Graph", "Limits", "Node", "Record", "Tensor", "open"]


def open(path: str | Path) -> Dlc:  # noqa: A001 - reads as dlc.open()
    """Open a DLC of container version 2.5, 3.0, 4.0 or 4.1.

    Raises:
        DlcError: it is not a DLC, it is damaged, or its container version is unknown.
    """
    return open_dlc(Path(path))
