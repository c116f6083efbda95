"""What `info` finds, on files written here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from snpe_tools import dlc
from snpe_tools.core.dtypes import BY_CODE
from snpe_tools.dlc import Graph, Node, Tensor
from snpe_tools.inspection.describe import describe, document
from snpe_tools.inspection.history import compiled_caches, written_by
from snpe_tools.inspection.macs import count_macs, node_macs
from snpe_tools.inspection.sdk_csv import rows
from snpe_tools.inspection.targets import need_of
from tests.dlc_files import (
    F32,
    U8,
    U16,
    encoding4,
    model4,
    node4,
    records3,
    records41,
    tensor4,
    write_zip,
)  # fmt: skip


def test_the_summary_counts_everything(opened: dlc.Dlc) -> None:
    found = describe(opened)
    graph = found.graphs[0]
    assert (found.version, graph.name, graph.tensors, graph.encodings) == ("4.1", "test", 5, 4)
    assert graph.operations == {"FullyConnected": 1, "Transpose": 1, "Neuron": 1}
    assert (graph.parameters, graph.bytes_by_dtype) == (8, {"sFxp_8": 8})
    assert graph.macs.total == 2 * 4
    assert list(found.records) == list(records41())
    assert found.bytes == opened.container.path.stat().st_size


def test_precision_is_told_by_elements_and_tensors(opened: dlc.Dlc) -> None:
    precision = describe(opened).graphs[0].precision
    assert [(part.kind, part.share) for part in precision.weights] == [("8-bit per-channel", 1.0)]
    assert [(part.kind, round(part.share, 3)) for part in precision.activations] == [
        ("8-bit", 0.667),
        ("float 32", 0.333),
    ]
    assert precision.float_operations == {"Neuron": 1}


def test_writers_and_caches_are_told(opened: dlc.Dlc) -> None:
    (writer,) = written_by(opened)
    assert (writer.stage, writer.tool, writer.version) == ("converter", "snpe-onnx-to-dlc", "2.42.0")
    assert (writer.command, writer.date) == ("snpe-onnx-to-dlc input_network=m.onnx", "2026-01-02 03:04:05 UTC")
    (cache,) = compiled_caches(opened)
    assert (cache.soc, cache.arch, cache.vtcm_mb, cache.shared_weights) == ("sm8650", 75, 8, 4096)
    assert (cache.bytes, cache.built_by, cache.graphs) == (len(b"compiled context"), "v2.42", ("test",))


def test_snpe_1_metadata_names_both_commands(tmp_path: Path) -> None:
    with dlc.open(write_zip(tmp_path / "m.dlc", records3())) as opened:
        stages = [(entry.stage, entry.tool, entry.version) for entry in written_by(opened)]
        assert stages == [("converter", "snpe-onnx-to-dlc", "1.56.2"), ("quantizer", "snpe-dlc-quantize", "")]
        assert describe(opened).targets[0].where == "SNPE 1.x runtimes only"


def test_a_float_operation_needs_a_float_htp(opened: dlc.Dlc, tmp_path: Path) -> None:
    refused = [target for target in describe(opened).targets if not target.runs]
    (where,) = [target.where for target in refused]
    assert where.startswith("HTP of every SoC of v68, sm7475 (v69), cq7790m (v73), ")
    assert "sm8635 (v73)" in where
    assert "sm8550" not in where
    tensors = [tensor4("x", 0, U8, [1], encoding4([1.0], [0])), tensor4("y", 1, F32, [1])]
    nodes = [node4("out", "Dequantize", ["x"], ["y"])]
    with dlc.open(write_zip(tmp_path / "i.dlc", {"model": model4(nodes, tensors)})) as integers:
        assert all(target.runs for target in describe(integers).targets)


def test_wide_weights_need_a_later_htp(tmp_path: Path) -> None:
    tensors = [
        tensor4("x", 0, U16, [1, 4], encoding4([1.0], [0], bits=16)),
        tensor4("w", 4, U16, [2, 4], encoding4([1.0], [0], bits=16)),
        tensor4("y", 1, U16, [1, 2], encoding4([1.0], [0], bits=16)),
    ]
    for kind, arch in (("FullyConnected", 73), ("Eltwise_Binary", 68)):
        model = model4([node4("n", kind, ["x", "w"], ["y"])], tensors)
        with dlc.open(write_zip(tmp_path / f"{kind}.dlc", {"model": model})) as opened:
            assert need_of(opened).arch == arch


def test_one_document_has_everything(opened: dlc.Dlc) -> None:
    found = json.loads(json.dumps(document(opened), default=str))
    graph = found["graphs"][0]
    assert [op["name"] for op in graph["ops"]] == ["fc", "t", "relu"]
    assert [tensor["name"] for tensor in graph["tensors"]] == ["x", "w", "h", "p", "y"]
    assert graph["tensors"][1]["encoding"]["scales"] == [0.5, 0.25]
    assert graph["tensors"][0]["encoding"]["stated_min"] == [-32]
    assert graph["ops"][1]["attributes"]["perm"]["values"] == [1, 0]
    assert [record["name"] for record in found["records"]] == list(records41())


def test_the_csv_has_the_sections_that_scripts_look_for(opened: dlc.Dlc) -> None:
    lines = [list(row) for row in rows(opened)]
    assert ["Input Name", "Dimensions", "Type", "Encoding Info"] in lines
    place = lines.index(["Output Name", "Dimensions", "Type", "Encoding Info"])
    assert lines[place + 1][:3] == ["y", "2,1", "Float_32"]
    assert lines[place - 1][:3] == ["x", "1,4", "uFxp_8"]
    assert lines[place - 1][3].startswith("x encoding : bitwidth 8, min -32.0")
    assert ["Total parameters: 8 (0 MB assuming single precision float)"] in lines
    assert ["Total MACs per inference: 8"] in lines
    assert ["Quantizer command: N/A"] in lines
    assert len([row for row in lines if row[0].isdigit()]) == 3


def _macs(kind: str, shapes: Mapping[str, tuple[int, ...]], static: str = "w", **attributes: Any) -> int | None:
    """Multiply-accumulates of one node that reads all but the last of `shapes`, and writes that."""
    *inputs, output = shapes
    roles = {name: "static" if name in static else "native" for name in shapes}
    tensors = {name: Tensor(name, shape, BY_CODE[F32], roles[name]) for name, shape in shapes.items()}  # type: ignore[arg-type]
    return node_macs(Node("n", kind, tuple(inputs), (output,), attributes), tensors)


@pytest.mark.parametrize(
    ("kind", "shapes", "attributes", "macs"),
    [
        ("FullyConnected", {"x": (3, 5), "w": (7, 5), "y": (3, 7)}, {}, 3 * 5 * 7),
        ("MatMul", {"a": (2, 3, 5), "b": (2, 5, 7), "y": (2, 3, 7)}, {}, 2 * 3 * 5 * 7),
        ("MatMul", {"a": (2, 5, 3), "b": (2, 5, 7), "y": (2, 3, 7)}, {"transpose_in0": True}, 2 * 3 * 5 * 7),
        ("Conv2d", {"x": (1, 8, 8, 3), "w": (3, 3, 3, 16), "y": (1, 8, 8, 16)}, {}, 8 * 8 * 16 * 27),
        ("Conv2d", {"x": (1, 8, 8, 4), "w": (3, 3, 2, 16), "y": (1, 8, 8, 16)}, {"group": 2}, 8 * 8 * 16 * 18),
        ("DepthWiseConv2d", {"x": (1, 8, 8, 16), "w": (3, 3, 1, 16), "y": (1, 8, 8, 16)}, {}, 8 * 8 * 16 * 9),
        ("TransposeConv2d", {"x": (1, 4, 4, 8), "w": (2, 2, 8, 3), "y": (1, 8, 8, 3)}, {}, 4 * 4 * 4 * 8 * 3),
        (
            "Convolutional",
            {"x": (1, 8, 8, 3), "bias": (16,), "w": (3, 3, 3, 16), "y": (1, 8, 8, 16)},
            {},
            8 * 8 * 16 * 27,
        ),
        ("Reshape", {"x": (3, 5), "y": (15,)}, {}, 0),
        ("Mystery", {"x": (3, 5), "w": (5, 7), "y": (3, 7)}, {}, None),
    ],
)
def test_multiply_accumulates(
    kind: str, shapes: dict[str, tuple[int, ...]], attributes: dict[str, Any], macs: int | None
) -> None:
    assert _macs(kind, shapes, "w bias", **attributes) == macs


def test_unknown_operations_are_counted_as_unknown() -> None:
    nodes = tuple(Node(str(index), "Mystery", ("x",), ("y",), {}) for index in range(3))
    assert count_macs(Graph("g", nodes, {})).uncounted == {"Mystery": 3}
