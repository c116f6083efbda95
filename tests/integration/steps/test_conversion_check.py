"""A conversion that is run once before it counts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from snpe_tools import convert
from snpe_tools.core.errors import DivergenceError
from snpe_tools.core.raw_files import write_inputs
from snpe_tools.core.socs import DEFAULT
from snpe_tools.graph.loading import input_specs, load, save
from snpe_tools.self_check.check import Subject, check
from snpe_tools.self_check.fault import find_fault
from snpe_tools.self_check.listed import calibration_list
from snpe_tools.steps.compare_layers import compare_layers
from tests.conftest import make_model


def test_convert_says_how_far_the_dlc_is_from_its_model(cnn: Path, images: Path, cnn_dlc: Path, tmp_path: Path) -> None:
    notes = json.loads(Path(f"{cnn_dlc}.provenance.json").read_text())["notes"]["check"]
    assert notes["inputs"] == f"{images}, inference 0", "the calibration list of the quantized model"
    made = convert(cnn, tmp_path / "f.dlc")
    assert made.check is not None
    assert made.check.inputs == "seeded random numbers"
    assert 45 < (made.check.sqnr_db or 999) < 90
    assert convert(cnn, tmp_path / "f.dlc", check=False).check is None
    notes = json.loads((tmp_path / "f.dlc.provenance.json").read_text())["notes"]["check"]
    assert notes == {"result": "NOT checked: left out (--no-check, CHECK=0)"}


def test_a_dlc_that_computes_something_else_is_refused_with_the_operation_named(cnn_dlc: Path, tmp_path: Path) -> None:
    qdq = cnn_dlc.with_name("cnn.w8a16.qdq.onnx")
    model = load(qdq)
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "w1_q")
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights)[::-1].copy(), "w1_q"))
    save(model, tmp_path / "other.onnx")
    subject = Subject(model, tmp_path / "other.onnx", cnn_dlc, DEFAULT)
    with pytest.raises(DivergenceError, match=r"output 'scores': .* dB") as caught:
        check(subject, calibration_list(qdq), lambda feed: find_fault(tmp_path / "other.onnx", cnn_dlc, DEFAULT, feed))
    assert "The first op that diverges (below 20 dB): Relu relu" in caught.value.message
    assert caught.value.exit_code == 10


def test_square_maps_are_matched_by_the_graph_and_an_op_that_is_wrong_is_named(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0)
    constants: dict[str, np.ndarray] = {
        "w": numbers.normal(size=(8, 8, 1, 1)).astype(np.float32),
        "v": numbers.normal(size=(8, 8, 3, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="first", kernel_shape=[1, 1]),
        helper.make_node("Sigmoid", ["c"], ["s"], name="gate"),
        helper.make_node("Mul", ["c", "s"], ["m"], name="silu"),
        helper.make_node("Conv", ["m", "v"], ["d"], name="second", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Transpose", ["d"], ["t"], name="turn", perm=[0, 3, 1, 2]),
        helper.make_node("Relu", ["t"], ["y"], name="relu"),
    ]
    model = make_model(nodes, {"x": (TensorProto.FLOAT, (1, 8, 8, 8))}, {"y": (1, 8, 8, 8)}, constants)
    save(model, tmp_path / "m.onnx")
    values = {"x": numbers.normal(size=(1, 1, 8, 8, 8)).astype(np.float32)}
    listed = write_inputs(tmp_path / "raws", values, input_specs(model))
    dlc = convert(tmp_path / "m.onnx", tmp_path / "m.dlc", inputs=listed).dlc
    found = compare_layers(tmp_path / "m.onnx", dlc, listed)
    assert {row.op for row in found.layers} >= {"Conv", "Sigmoid", "Mul"}
    assert all(row.sqnr_db is not None and row.sqnr_db > 45 for row in found.layers), "every map in its own order"
    assert found.moved >= 4

    nodes[2] = helper.make_node("Add", ["c", "s"], ["m"], name="silu")
    other = make_model(nodes, {"x": (TensorProto.FLOAT, (1, 8, 8, 8))}, {"y": (1, 8, 8, 8)}, constants)
    save(other, tmp_path / "other.onnx")
    wrong = compare_layers(tmp_path / "other.onnx", dlc, listed)
    row = next(row for row in wrong.layers if row.tensor == wrong.diverged)
    assert (row.node, row.inputs_compared) == ("silu", True)
    assert row.cause.startswith("arithmetic inside the operation: its inputs are at ")
