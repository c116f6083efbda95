"""Graphs of other people: each is quantized, and computes what the float graph computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from snpe_tools import quantize
from snpe_tools.core.errors import OnnxError, TensorError, UsageError
from snpe_tools.core.precision import Precision
from snpe_tools.core.raw_files import write_inputs
from snpe_tools.graph.loading import input_specs, load, save
from snpe_tools.quantization.forms import balance_batch_norms, spread_batch_norms
from snpe_tools.quantization.names import make_room, restore, restored_encodings
from snpe_tools.quantization.simulator import QuantizationOptions
from tests.conftest import make_model

NUMBERS = np.random.default_rng(5)
Constants = dict[str, np.ndarray]
W8A16 = QuantizationOptions(Precision.parse("w8a16"))
FLOAT = TensorProto.FLOAT


def _node(kind: str, inputs: list[str], outputs: list[str], **more: object) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, outputs, name=f"{kind}_{outputs[0]}", **more)


def _quantized(model: onnx.ModelProto, folder: Path, **values: np.ndarray) -> float:
    """SQNR in dB of the quantized model, the worst output."""
    save(model, folder / "m.onnx")
    shapes = {spec.name: spec.shape for spec in input_specs(model)}
    drawn = {name: values.get(name, NUMBERS.normal(size=(4, *shape))) for name, shape in shapes.items()}
    arrays: Constants = {name: array.astype(np.float32) for name, array in drawn.items()}
    listed = write_inputs(folder / f"raws_{len(list(folder.iterdir()))}", arrays, input_specs(model))
    made = quantize(folder / "m.onnx", listed, folder / "q.onnx", W8A16)
    return 999.0 if made.sqnr_db is None else made.sqnr_db


def _run(model: onnx.ModelProto, **feed: np.ndarray) -> list[np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [np.asarray(found) for found in session.run(None, feed)]


@pytest.mark.parametrize("activation", ["Relu", "LeakyRelu"])
def test_an_output_that_an_activation_reads_keeps_its_own_range(activation: str, tmp_path: Path) -> None:
    nodes = [_node("MatMul", ["x", "w"], ["h"]), _node(activation, ["h"], ["y"])]
    constants: Constants = {"w": NUMBERS.normal(size=(8, 8)).astype(np.float32)}
    model = make_model(nodes, {"x": (FLOAT, (2, 8))}, {"h": (2, 8), "y": (2, 8)}, constants)
    assert _quantized(model, tmp_path) > 35
    h, y = _run(load(tmp_path / "q.onnx"), x=np.full((2, 8), -1, np.float32))
    assert h.min() < -1, "its negative half is there"
    assert y.shape == h.shape


def test_what_is_padded_with_belongs_to_the_range(tmp_path: Path) -> None:
    constants: Constants = {"pads": np.array([0, 1, 0, 1], np.int64), "fifty": np.array(50, np.float32)}
    model = make_model([_node("Pad", ["x", "pads", "fifty"], ["y"])], {"x": (FLOAT, (1, 6))}, {"y": (1, 8)}, constants)
    assert _quantized(model, tmp_path) > 80
    (y,) = _run(load(tmp_path / "q.onnx"), x=np.zeros((1, 6), np.float32))
    assert y[0, [0, -1]].tolist() == pytest.approx([50, 50], abs=0.01)


def _norm_and_conv() -> onnx.ModelProto:
    gains: np.ndarray = np.array([1, 50, 0.02, 3], np.float32)
    constants: Constants = {
        "g": gains,
        "b": np.array([0.5, -0.8, -0.7, 1.1], np.float32),
        "m": np.array([-0.7, -0.9, 0, 0.2], np.float32),
        "v": np.array([1.5, 1.4, 2, 0.6], np.float32),
        "w": (NUMBERS.normal(size=(4, 4, 3, 3)) / gains.reshape(1, 4, 1, 1)).astype(np.float32),
    }
    nodes = [
        _node("BatchNormalization", ["x", "g", "b", "m", "v"], ["h"]),
        _node("Relu", ["h"], ["r"]),
        _node("Conv", ["r", "w"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    ]
    return make_model(nodes, {"x": (FLOAT, (1, 4, 6, 6))}, {"y": (1, 4, 6, 6)}, constants)


def test_small_channels_of_a_batch_normalization_do_not_vanish(tmp_path: Path) -> None:
    model = _norm_and_conv()
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    assert (balance_batch_norms(copy), spread_batch_norms(copy)) == (1, 1)
    assert [node.op_type for node in copy.graph.node] == ["Conv", "Relu", "Conv"]
    x = NUMBERS.normal(size=(1, 4, 6, 6)).astype(np.float32)
    assert np.allclose(_run(copy, x=x)[0], _run(model, x=x)[0], rtol=1e-4, atol=1e-4), "the float graph stays exact"
    assert _quantized(model, tmp_path) > 35


def test_rows_of_numbers_are_normalized_by_mul_and_add() -> None:
    constants: Constants = {name: NUMBERS.uniform(0.5, 2, 3).astype(np.float32) for name in "gbmv"}
    nodes = [_node("BatchNormalization", ["x", "g", "b", "m", "v"], ["y"])]
    model = make_model(nodes, {"x": (FLOAT, (2, 3))}, {"y": (2, 3)}, constants)
    x = NUMBERS.normal(size=(2, 3)).astype(np.float32)
    wanted = _run(model, x=x)[0]
    assert spread_batch_norms(model) == 1
    assert [node.op_type for node in model.graph.node] == ["Mul", "Add"]
    assert np.allclose(_run(model, x=x)[0], wanted, atol=1e-5)


@pytest.mark.parametrize("names", [("x", "x_q", "x_scale"), ("a", "a_updated", "a_zero_point")])
def test_names_that_the_quantizer_would_invent(names: tuple[str, str, str], tmp_path: Path) -> None:
    x, first, second = names
    nodes = [
        _node("Relu", [x], [first]),
        _node("MatMul", [first, "w"], [second]),
        _node("Add", [second, x], ["y"]),
    ]
    constants: Constants = {"w": NUMBERS.normal(size=(8, 8)).astype(np.float32)}
    model = make_model(nodes, {x: (FLOAT, (2, 8))}, {"y": (2, 8), first: (2, 8)}, constants)
    assert _quantized(model, tmp_path) > 35
    found = load(tmp_path / "q.onnx")
    assert [value.name for value in found.graph.output] == ["y", first]
    assert len({name for node in found.graph.node for name in node.output}) == len(found.graph.node)


def test_renamed_tensors_get_their_names_back() -> None:
    nodes = [_node("Relu", ["x"], ["x_q"]), _node("Relu", ["x_q"], ["y"])]
    model = make_model(nodes, {"x": (FLOAT, (2,))}, {"y": (2,)})
    aliases = make_room(model)
    assert list(aliases.values()) == ["x_q"]
    model.graph.node[1].output[0] = "x_q"  # as a quantizer does
    restore(model, aliases)
    assert [list(node.output) for node in model.graph.node] == [["x_q"], ["x_q.added"]]
    (alias,) = aliases
    content = {"version": "1", "activation_encodings": [{"name": alias, "bw": 8}], "param_encodings": {alias: []}}
    restored = restored_encodings(content, aliases)
    assert restored["activation_encodings"] == [{"name": "x_q", "bw": 8}]
    assert list(restored["param_encodings"]) == ["x_q"]


def test_a_clip_without_a_lower_bound_and_a_mask_of_booleans(tmp_path: Path) -> None:
    nodes = [
        _node("MatMul", ["x", "w"], ["h"]),
        _node("Clip", ["h", "", "two"], ["c"]),
        _node("Where", ["keep", "c", "zero"], ["y"]),
    ]
    constants: Constants = {
        "w": NUMBERS.normal(size=(8, 8)).astype(np.float32),
        "two": np.array(2, np.float32),
        "zero": np.array(0, np.float32),
    }
    inputs = {"x": (FLOAT, (2, 8)), "keep": (TensorProto.BOOL, (2, 8))}
    model = make_model(nodes, inputs, {"y": (2, 8)}, constants)
    keep = NUMBERS.integers(0, 2, (4, 2, 8))
    assert _quantized(model, tmp_path, keep=keep) > 35


@pytest.mark.parametrize("slope", ["LeakyRelu", "PRelu"])
def test_a_convolution_before_a_leaky_activation_is_stored(slope: str, tmp_path: Path) -> None:
    constants: Constants = {"w": NUMBERS.normal(size=(4, 4, 1, 1)).astype(np.float32)}
    more = ["s"] if slope == "PRelu" else []
    constants |= {"s": np.full((4, 1, 1), 0.2, np.float32)} if more else {}
    nodes = [_node("Conv", ["x", "w"], ["c"], kernel_shape=[1, 1]), _node(slope, ["c", *more], ["y"])]
    model = make_model(nodes, {"x": (FLOAT, (1, 4, 5, 5))}, {"y": (1, 4, 5, 5)}, constants)
    assert _quantized(model, tmp_path) > 35
    found = {node.op_type: node for node in load(tmp_path / "q.onnx").graph.node}
    writers = {name: node.op_type for node in load(tmp_path / "q.onnx").graph.node for name in node.output}
    assert writers[found[slope].input[0]] == "DequantizeLinear"


def test_a_tied_embedding(tmp_path: Path) -> None:
    constants: Constants = {"e": NUMBERS.normal(size=(16, 8)).astype(np.float32)}
    nodes = [_node("Gather", ["e", "ids"], ["h"]), _node("Gemm", ["h", "e"], ["y"], transB=1)]
    model = make_model(nodes, {"ids": (TensorProto.INT64, (3,))}, {"y": (3, 16)}, constants)
    assert _quantized(model, tmp_path, ids=NUMBERS.integers(0, 16, (4, 3))) > 35


def test_refusals_name_the_operation_the_weight_the_raw_file_and_the_output(tmp_path: Path) -> None:
    model = _norm_and_conv()
    weight = model.graph.initializer[-1]
    broken = numpy_helper.to_array(weight).copy()
    broken[0, 0, 0, 0] = np.nan
    weight.CopyFrom(numpy_helper.from_array(broken, weight.name))
    with pytest.raises(OnnxError, match=r"1 NaN and 0 infinite numbers in the constant 'w', which Conv 'Conv_y' reads"):
        _quantized(model, tmp_path)
    listed = write_inputs(tmp_path / "raws", {"x": np.full((1, 1, 4, 6, 6), np.inf)}, input_specs(_norm_and_conv()))
    save(_norm_and_conv(), tmp_path / "m.onnx")
    with pytest.raises(TensorError, match="144 numbers are NaN or infinite"):
        quantize(tmp_path / "m.onnx", listed, tmp_path / "q.onnx", W8A16)
    for target, words in ((tmp_path / "m.onnx", "would be replaced"), (tmp_path, "is a folder")):
        with pytest.raises(UsageError, match=words):
            quantize(tmp_path / "m.onnx", listed, target, W8A16)
    other = make_model([_node("Relu", ["x"], ["y"])], {"x": (FLOAT, (2,))}, {"y": (2,)})
    other.graph.node[0].op_type, other.graph.node[0].domain = "CDist", "com.microsoft"
    other.graph.node[0].input.append("x")
    other.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    with pytest.raises(OnnxError, match=r"CDist 'Relu_y' is an operation of com\.microsoft"):
        _quantized(other, tmp_path)
