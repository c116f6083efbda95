"""The adapter that Model Explorer finds: model-explorer --extensions=snpe_tools.inspection.viewer model.dlc."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dacite import from_dict
from model_explorer import Adapter, AdapterMetadata, graph_builder

from snpe_tools.inspection.viewer.dlc_graph import dlc_graphs


class DlcAdapter(Adapter):  # type: ignore[misc]
    """Converts DLC files of every container version."""

    metadata = AdapterMetadata(
        id="snpe_tools_dlc",
        name="DLC (snpe-tools)",
        description="SNPE and QAIRT deep learning containers, read without an SDK.",
        fileExts=["dlc"],
    )

    def convert(self, model_path: str, settings: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """The graphs of the DLC at `model_path`."""
        graphs = dlc_graphs(Path(model_path))
        return {"graphs": [from_dict(graph_builder.Graph, graph) for graph in graphs]}
