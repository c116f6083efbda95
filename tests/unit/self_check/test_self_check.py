"""What a conversion is checked on, and what counts as wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from snpe_tools.core.dtypes import BY_CODE
from snpe_tools.core.raw_files import write_inputs
from snpe_tools.core.tensor_spec import Encoding, TensorSpec
from snpe_tools.graph.loading import input_specs, save
from snpe_tools.graph.quantized_io import real_inputs, real_outputs
from snpe_tools.self_check.check import activation_bits
from snpe_tools.self_check.feeds import random_feeds
from snpe_tools.self_check.listed import calibration_list
from snpe_tools.self_check.verdict import FLOAT, NARROW, bounds_for, compare_outputs
from tests.conftest import make_model

FLOAT_32, FIXED_8 = BY_CODE[0x232], BY_CODE[0x408]


def test_random_inputs_are_token_ids_masks_and_numbers_within_the_encoding() -> None:
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["ids"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "ids"], ["e"]),
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["x_q"]),
        helper.make_node("DequantizeLinear", ["x_q", "s", "z"], ["x_dq"]),
        helper.make_node("Add", ["e", "x_dq"], ["y"]),
    ]
    constants: dict[str, np.ndarray] = {
        "table": np.zeros((7, 4), np.float32),
        "s": np.array(0.5, np.float32),
        "z": np.array(128, np.uint8),
    }
    inputs = {
        "input_ids": (TensorProto.INT32, (1, 50)),
        "attention_mask": (TensorProto.INT32, (1, 50)),
        "x": (TensorProto.FLOAT, (1, 50, 4)),
    }
    both, positive = random_feeds(make_model(nodes, inputs, {"y": (1, 50, 4)}, constants))
    assert set(np.unique(both["input_ids"])) == set(range(7))
    assert both["attention_mask"].tolist() == [[1] * 50]
    assert -64 * 1.21 < both["x"].min() < -60
    assert 55 < both["x"].max() <= 63.5
    assert positive["x"].min() > 0
    again, _ = random_feeds(make_model(nodes, inputs, {"y": (1, 50, 4)}, constants))
    assert np.array_equal(again["x"], both["x"])


def test_integer_inputs_and_outputs_of_a_quantized_model_have_its_encodings() -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["d"]),
        helper.make_node("Relu", ["d"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "s", "z"], ["q"]),
        helper.make_node("Flatten", ["q"], ["y"]),
    ]
    constants: dict[str, np.ndarray] = {"s": np.array(0.25, np.float32), "z": np.array(3, np.uint8)}
    model = make_model(nodes, {"x": (TensorProto.UINT8, (1, 4))}, {"y": (1, 4)}, constants)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.UINT8
    (one,), (other,) = real_inputs(model), real_outputs(model)
    assert one.encoding == other.encoding == Encoding(8, (0.25,), (-3,))
    assert one.to_native(np.array([-0.75, 0, 0.25, 1], np.float32)).tolist() == [[0, 3, 4, 7]]
    assert other.to_real(np.array([0, 3, 4, 7], np.uint8)).tolist() == [-0.75, 0, 0.25, 1]
    assert activation_bits(model) == 8


def _one(wanted: list[float], got: list[float], spec: TensorSpec) -> str:
    (found,) = compare_outputs({"y": np.array(wanted, np.float32)}, {"y": np.array(got, np.float32)}, [spec])
    return found.judged(NARROW if spec.encoding else FLOAT)


def test_what_is_right_doubtful_and_wrong() -> None:
    real = TensorSpec("y", (2,), FLOAT_32)
    coarse = TensorSpec("y", (2,), FIXED_8, Encoding(8, (0.5,), (0,)))
    assert _one([1, 2], [1, 2], real) == "right"
    assert _one([1, 2], [1.05, 2], real) == "right"
    assert _one([1, 2], [1.1, 2], real) == "doubtful"
    assert _one([1, 2], [1.5, 2], real) == "wrong"
    assert _one([1, 2], [float("nan"), 2], real) == "wrong"
    assert _one([float("nan"), 2], [float("nan"), 2], real) == "right"
    assert _one([1, 2], [2, 2.5], coarse) == "right", "two steps of its encoding"
    assert _one([1, 20], [9, 20], coarse) == "wrong"
    assert (bounds_for(0), bounds_for(8)) == (FLOAT, NARROW)
    assert bounds_for(8, against_float=True).wrong < NARROW.wrong, "quantizing loses something, too"


def test_integers_are_counted_not_measured() -> None:
    spec = TensorSpec("y", (4,), BY_CODE[0x032])
    wanted: np.ndarray = np.array([900, 1, 2, 3], np.int32)
    (same,) = compare_outputs({"y": wanted}, {"y": wanted}, [spec])
    (near,) = compare_outputs({"y": wanted}, {"y": np.array([900, 0, 0, 0])}, [spec])
    assert (str(same), same.judged(FLOAT)) == ("equal", "right")
    assert (str(near), near.judged(FLOAT)) == ("25 % equal", "wrong")


@pytest.mark.parametrize("native", [True, False])
def test_the_calibration_list_is_the_one_that_the_provenance_names(tmp_path: Path, native: bool) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    model = make_model(nodes, {"x": (TensorProto.FLOAT, (1, 4))}, {"y": (1, 4)})
    save(model, tmp_path / "q.onnx")
    assert calibration_list(tmp_path / "q.onnx") is None
    listed = write_inputs(tmp_path / "raws", {"x": np.ones((3, 1, 4))}, input_specs(model), native=native)
    record = {"inputs": {"list": {"path": str(listed)}}, "notes": {"native": native}}
    (tmp_path / "q.onnx.provenance.json").write_text(json.dumps(record))
    found = calibration_list(tmp_path / "q.onnx")
    assert found is not None
    assert (found.inputs.path, found.native) == (listed, native)
    listed.unlink()
    assert calibration_list(tmp_path / "q.onnx") is None
