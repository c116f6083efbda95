"""Shows graphs in a browser: Model Explorer's own server, on 127.0.0.1, without asking the network for anything."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snpe_tools.core.errors import InputError, SetupError
from snpe_tools.inspection.viewer.dlc_graph import dlc_graphs
from snpe_tools.inspection.viewer.onnx_graph import onnx_graphs
from snpe_tools.inspection.viewer.overlays import by_node, layers_overlay, profile_overlay

HOST = "127.0.0.1"


@dataclass(frozen=True)
class View:
    """What is shown: graphs by file name, and overlays of the first file."""

    graphs: dict[str, list[dict[str, Any]]]
    overlays: list[dict[str, Any]]


def make_view(files: Sequence[Path], layers: Path | None = None, profile: Path | None = None) -> View:
    """Read the files.

    Raises:
        InputError: a file is neither a DLC nor an ONNX model.
        DataError: an overlay cannot be read.
    """
    graphs = {f"{index}-{file.name}" if index else file.name: _graphs(file) for index, file in enumerate(files)}
    first = next(iter(graphs.values()))
    overlays = [layers_overlay(layers)] if layers else []
    overlays += [profile_overlay(profile)] if profile else []
    shown = [{key: value for graph in first for key, value in by_node(overlay, graph).items()} for overlay in overlays]
    return View(graphs, shown)


def _graphs(file: Path) -> list[dict[str, Any]]:
    if file.suffix == ".dlc":
        return dlc_graphs(file)
    if file.suffix == ".onnx":
        return onnx_graphs(file)
    raise InputError(f"{file} is neither a .dlc nor an .onnx file.", "view shows DLC files and ONNX models.")


def serve(view: View, port: int, *, browser: bool) -> None:
    """Serve until Ctrl-C; the address is printed.

    Raises:
        SetupError: Model Explorer is not installed.
    """
    try:
        from model_explorer import server
        from model_explorer.config import ModelExplorerConfig
        from model_explorer.extension_manager import ExtensionManager
    except ImportError as problem:
        raise SetupError(
            f"Model Explorer is not installed: {problem}.", "pip install 'snpe-tools[view]', or ai-edge-model-explorer."
        ) from problem
    config = ModelExplorerConfig()
    for index, (name, graphs) in enumerate(view.graphs.items()):
        config.graphs_list.append(json.dumps({"graphs": graphs}))
        config.model_sources.append({"url": f"graphs://{name}/{index}"})
    for number, overlay in enumerate(view.overlays):
        config.add_node_data(f"overlay {number}", json.dumps(overlay), model_name=next(iter(view.graphs)))
    ExtensionManager.BUILTIN_ADAPTER_MODULES = []  # graphs are converted already; some of these import for seconds
    server._check_new_version = _no_new_version  # noqa: SLF001 - it would ask PyPI and GitHub
    server.start(host=HOST, port=port or free_port(), config=config, no_open_in_browser=not browser,
                 skip_health_check=True)  # fmt: skip


def _no_new_version(*_: object) -> dict[str, str]:
    """What Model Explorer's server says when there is no newer version."""
    return dict.fromkeys(("version", "runningVersion", "releaseUrl", "desktopAppUrl"), "")


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
