"""Graphs for Model Explorer, in the form of its JSON files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from onnx import helper

from snpe_tools.core.errors import DataError, InputError
from snpe_tools.graph.loading import save
from snpe_tools.inspection.viewer.overlays import by_node, layers_overlay, profile_overlay
from snpe_tools.inspection.viewer.serving import HOST, free_port, make_view
from tests.conftest import make_model
from tests.dlc_files import TENSORS, model4, node4, records2, records41, write_zip


def _attributes(pairs: list[dict[str, str]]) -> dict[str, str]:
    return {pair["key"]: pair["value"] for pair in pairs}


def _graph(path: Path, records: dict[str, bytes]) -> dict[str, Any]:
    view = make_view([write_zip(path / "m.dlc", records)])
    json.dumps(view.graphs)
    return view.graphs["m.dlc"][0]


def test_operations_are_nested_by_their_names_and_joined_by_their_tensors(tmp_path: Path) -> None:
    nodes = [node4("/bert/layer.0/fc", "FullyConnected", ["x", "w"], ["h"]),
             node4("/bert/layer.0/t", "Transpose", ["h"], ["p"]), node4("relu", "Neuron", ["p"], ["y"])]  # fmt: skip
    graph = _graph(tmp_path, records41(model=model4(nodes, TENSORS)))
    shown = graph["nodes"]
    assert [node["namespace"] for node in shown] == ["", "bert/layer.0", "bert/layer.0", "", ""]
    assert [[edge["sourceNodeId"] for edge in node["incomingEdges"]] for node in shown] == [
        [],
        ["0"],
        ["1"],
        ["2"],
        ["3"],
    ]
    assert graph["groupNodeAttributes"][""]["cache of sm8650"] == "16 bytes, v2.42"


def test_a_node_shows_shapes_types_encodings_and_statistics_of_its_weights(tmp_path: Path) -> None:
    node = _graph(tmp_path, records41())["nodes"][1]
    assert _attributes(node["attrs"])["weight w"].endswith("; -2 to 31.75, mean 4.281, deviation 10.46")
    output = _attributes(node["outputsMetadata"][0]["attrs"])
    assert (output["tensor_name"], output["shape"], output["dtype"]) == ("h", "1x2", "uFxp_8")
    assert output["encoding"].startswith("8-bit, scale 1, offset -10")


def test_old_containers_are_shown_too(tmp_path: Path) -> None:
    labels = [node["label"] for node in _graph(tmp_path, records2())["nodes"]]
    assert labels == ["inputs", "Input", "Convolutional", "FullyConnected", "Neuron", "type 77", "outputs"]


def test_onnx_models_are_shown_and_two_files_side_by_side(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["h"], name="/a/relu"),
        helper.make_node("Neg", ["h"], ["y"], name="/a/neg"),
    ]
    save(make_model(nodes, {"x": (1, (1, 8))}, {"y": (1, 8)}, {}), tmp_path / "m.onnx")
    view = make_view([tmp_path / "m.onnx", write_zip(tmp_path / "m.dlc", records41())])
    assert list(view.graphs) == ["m.onnx", "1-m.dlc"]
    shown = view.graphs["m.onnx"][0]["nodes"]
    assert [(node["label"], node["namespace"]) for node in shown[1:3]] == [("Relu", "a"), ("Neg", "a")]
    assert _attributes(shown[1]["outputsMetadata"][0]["attrs"])["shape"] == "1x8"


def test_figures_reach_their_nodes_through_the_names_that_conversion_gives(tmp_path: Path) -> None:
    nodes = [node4("fc", "FullyConnected", ["x", "w"], ["h_q"]), node4("relu", "Neuron", ["h_q"], ["y"])]
    tensors = [*TENSORS[:2], {**TENSORS[2], 6: "h_q"}, TENSORS[4]]
    graph = _graph(tmp_path, records41(model=model4(nodes, tensors)))
    rows = [{"tensor": "h", "first": "h", "second": "h_q", "sqnr_db": 31.5}, {"tensor": "y", "sqnr_db": None}]
    (tmp_path / "layers.json").write_text(json.dumps({"layers": rows}))
    (tmp_path / "profile.json").write_text(json.dumps({"operations": [{"name": "relu", "cycles": 7}]}))
    assert by_node(layers_overlay(tmp_path / "layers.json"), graph)["test"]["results"] == {"1": {"value": 31.5}}
    assert by_node(profile_overlay(tmp_path / "profile.json"), graph)["test"]["results"] == {"2": {"value": 7.0}}


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("x")
    with pytest.raises(InputError, match=r"neither a \.dlc nor an \.onnx"):
        make_view([tmp_path / "m.txt"])
    (tmp_path / "layers.json").write_text("[]")
    with pytest.raises(DataError, match="has no list 'layers'"):
        layers_overlay(tmp_path / "layers.json")


def test_the_address_is_local() -> None:
    assert HOST == "127.0.0.1"
    assert 1024 <= free_port() <= 65535
