"""Work on ONNX graphs: loading, int32 inputs, masks, ranges, shared constants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from snpe_tools.core.errors import InputError, OnnxError
from snpe_tools.graph.inputs import use_int32_inputs
from snpe_tools.graph.loading import input_specs, load, save
from snpe_tools.graph.mask import find_mask_constants, fold_mask, replace_mask_constants
from snpe_tools.graph.ranges import collect_ranges, outside_fp16
from snpe_tools.graph.sharing import unshare_vectors
from tests.conftest import make_model

SMALLEST = np.float32(np.finfo(np.float32).min)
S = 6


def _run(model: onnx.ModelProto, **inputs: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, inputs)[0]
    return result


def _masked_scores(kind: int = TensorProto.INT64) -> onnx.ModelProto:
    """`scores + (1 - mask) * smallest float`, as BERT's exported graph computes it."""
    node = helper.make_node
    nodes = [
        node("Unsqueeze", ["attention_mask", "axes"], ["m4"]),
        node("Cast", ["m4"], ["mf"], to=TensorProto.FLOAT),
        node("Sub", ["one", "mf"], ["inverted"]),
        node("Mul", ["inverted", "smallest"], ["added"]),
        node("Add", ["scores", "added"], ["masked"]),
        node("Softmax", ["masked"], ["out"]),
    ]
    constants = {"axes": np.array([1, 2]), "one": np.float32(1), "smallest": SMALLEST}
    inputs = {"attention_mask": (kind, (1, S)), "scores": (TensorProto.FLOAT, (1, 2, S, S))}
    return make_model(nodes, inputs, {"out": (1, 2, S, S)}, {k: np.asarray(v) for k, v in constants.items()})


def _scores() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(1, 2, S, S)).astype(np.float32)


def test_mask_constants_are_found_and_named_with_their_reader() -> None:
    found = find_mask_constants(_masked_scores())
    assert [(constant.tensor, constant.value) for constant in found] == [("smallest", float(SMALLEST))]
    assert str(found[0]).endswith("(read by Mul )")


@pytest.mark.parametrize("value", [-np.inf, -1e4, -65504.0])
def test_any_constant_at_or_below_the_limit_counts(value: float) -> None:
    nodes = [helper.make_node("Add", ["x", "c"], ["s"]), helper.make_node("Softmax", ["s"], ["y"])]
    model = make_model(nodes, {"x": (1, (2,))}, {"y": (2,)}, {"c": np.array([0, value], np.float32)})
    assert len(replace_mask_constants(model)) == 1
    assert find_mask_constants(model) == []
    assert onnx.numpy_helper.to_array(model.graph.initializer[0]).tolist() == [0, -100]
    assert _run(model, x=np.zeros(2, np.float32)).tolist() == pytest.approx([1, 0])


@pytest.mark.parametrize(
    "nodes",
    [
        [("MatMul", ["x", "c"], ["y"])],
        [("Max", ["x", "c"], ["y"])],
        [("Add", ["x", "c"], ["y"])],
        [("Where", ["m", "x", "c"], ["y"])],
        [("Add", ["x", "c"], ["s"]), ("Softmax", ["s"], ["p"]), ("Add", ["s", "p"], ["y"])],
        [("Max", ["x", "c"], ["s"]), ("Softmax", ["s"], ["y"])],
    ],
)
def test_a_constant_that_is_no_mask_stays(nodes: list[tuple[str, list[str], list[str]]]) -> None:
    constants = {"c": np.array([[0, -2e4], [1, 2]], np.float32), "m": np.array([[True, False]] * 2)}
    made = [helper.make_node(*node) for node in nodes]
    model = make_model(made, {"x": (1, (2, 2))}, {"y": (2, 2)}, constants)
    before = model.SerializeToString()
    assert replace_mask_constants(model) == []
    assert model.SerializeToString() == before


def test_integer_constants_and_ordinary_floats_are_left_alone() -> None:
    constants = {"c": np.array([-9999.0], np.float32), "shape": np.array([-99999])}
    model = make_model([helper.make_node("Add", ["x", "c"], ["y"])], {"x": (1, (1,))}, {"y": (1,)}, constants)
    assert find_mask_constants(model) == []


@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.INT32])
def test_the_folded_mask_computes_the_same(kind: int) -> None:
    original, folded = _masked_scores(kind), _masked_scores(kind)
    replace_mask_constants(folded)
    assert fold_mask(folded)
    onnx.checker.check_model(folded)
    assert [node.op_type for node in folded.graph.node] == ["Gather", "Reshape", "Add", "Softmax"]
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    for seed in range(5):
        mask = np.random.default_rng(seed).integers(0, 2, (1, S)).astype(dtype)
        mask[0, 0] = 1
        inputs = {"attention_mask": mask, "scores": _scores()}
        assert np.allclose(_run(original, **inputs), _run(folded, **inputs), atol=1e-7)


def test_a_mask_that_is_no_table_is_left_alone() -> None:
    """A causal mask depends on the query position too."""
    node = helper.make_node
    nodes = [
        node("Unsqueeze", ["attention_mask", "axes"], ["m4"]),
        node("Cast", ["m4"], ["mf"], to=TensorProto.FLOAT),
        node("Mul", ["mf", "triangle"], ["causal"]),
        node("Add", ["scores", "causal"], ["out"]),
    ]
    constants = {"axes": np.array([1, 2]), "triangle": np.tril(np.ones((S, S), np.float32))}
    inputs = {"attention_mask": (TensorProto.INT64, (1, S)), "scores": (TensorProto.FLOAT, (1, 2, S, S))}
    model = make_model(nodes, inputs, {"out": (1, 2, S, S)}, constants)
    before = model.SerializeToString()
    assert not fold_mask(model)
    assert model.SerializeToString() == before


def test_models_without_a_mask_are_left_alone() -> None:
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": (1, (2,))}, {"y": (2,)})
    assert not fold_mask(model)


def test_int64_inputs_become_int32() -> None:
    gather = make_model(
        [helper.make_node("Gather", ["table", "ids"], ["y"])],
        {"ids": (TensorProto.INT64, (1, 3))},
        {"y": (1, 3, 2)},
        {"table": np.arange(8, dtype=np.float32).reshape(4, 2)},
    )
    changed = use_int32_inputs(gather)
    assert [node.op_type for node in changed.graph.node] == ["Gather"]
    assert str(input_specs(changed)[0].dtype) == "Int_32"
    ids = np.array([[3, 0, 1]])
    assert np.array_equal(_run(gather, ids=ids), _run(changed, ids=ids.astype(np.int32)))


def test_a_graph_that_needs_int64_gets_a_cast() -> None:
    nodes = [helper.make_node("Add", ["ids", "one"], ["next"]), helper.make_node("Cast", ["next"], ["y"], to=1)]
    model = make_model(nodes, {"ids": (TensorProto.INT64, (2,))}, {"y": (2,)}, {"one": np.array([1, 1])})
    changed = use_int32_inputs(model)
    assert changed.graph.node[0].op_type == "Cast"
    assert _run(changed, ids=np.array([4, 5], np.int32)).tolist() == [5, 6]


def test_ranges_equal_numpys() -> None:
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["double"]),
        helper.make_node("Transpose", ["double"], ["moved"]),
        helper.make_node("Relu", ["moved"], ["y"]),
    ]
    model = make_model(nodes, {"x": (1, (1, 5))}, {"y": (5, 1)}, {"two": np.array(2, np.float32)})
    windows = [np.random.default_rng(seed).normal(size=(1, 5)).astype(np.float32) for seed in range(4)]
    calls: list[int] = []
    found = collect_ranges(model, ({"x": window} for window in windows), lambda: calls.append(1))
    everything = np.stack(windows)
    assert (found.windows, len(calls)) == (4, 4)
    wanted = {"x": everything, "double": 2 * everything, "moved": 2 * everything, "y": np.maximum(2 * everything, 0)}
    assert found.as_dict() == {name: (float(array.min()), float(array.max())) for name, array in wanted.items()}


def test_nan_and_infinity_are_named_not_hidden() -> None:
    model = make_model(
        [helper.make_node("Sqrt", ["x"], ["root"]), helper.make_node("Neg", ["root"], ["y"])],
        {"x": (1, (2,))},
        {"y": (2,)},
    )
    good, bad = np.ones(2, np.float32), np.array([np.inf, 1], np.float32)
    with pytest.raises(OnnxError, match="Window 1: 3 tensors are NaN or infinite, the first is 'x'"):
        collect_ranges(model, [{"x": good}, {"x": bad}])


@pytest.mark.parametrize("place", [0, 5, 63])
def test_nan_is_found_wherever_it_stands(place: int) -> None:
    """ReduceMin and ReduceMax of ONNX Runtime skip it, and Relu turns it into 0."""
    nodes = [
        helper.make_node("Sqrt", ["x"], ["root"]),
        helper.make_node("MatMul", ["root", "eye"], ["product"]),
        helper.make_node("Relu", ["product"], ["y"]),
    ]
    model = make_model(nodes, {"x": (1, (1, 64))}, {"y": (1, 64)}, {"eye": np.eye(64, dtype=np.float32)})
    window = np.ones((1, 64), np.float32)
    window[0, place] = -1
    with pytest.raises(OnnxError, match="NaN or infinite"):
        collect_ranges(model, [{"x": window}])


def test_no_window_at_all_is_an_error() -> None:
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": (1, (2,))}, {"y": (2,)})
    with pytest.raises(OnnxError, match="No window"):
        collect_ranges(model, [])


def test_ranges_beyond_fp16_are_found() -> None:
    assert list(outside_fp16({"a": (-65504, 65504), "b": (-7e4, 0), "c": (0, 1e5)})) == ["b", "c"]


def test_shared_vectors_get_a_copy_each_and_matrices_stay_shared() -> None:
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["h"]), helper.make_node("Gemm", ["h", "w", "b"], ["y"])]
    constants = {"w": np.eye(2, dtype=np.float32), "b": np.array([1, 2], np.float32)}
    model = make_model(nodes, {"x": (1, (1, 2))}, {"y": (1, 2)}, constants)
    before = _run(model, x=np.zeros((1, 2), np.float32))
    unshare_vectors(model)
    assert [node.input[1] for node in model.graph.node] == ["w", "w"]
    assert len({node.input[2] for node in model.graph.node}) == 2
    assert np.array_equal(_run(model, x=np.zeros((1, 2), np.float32)), before)


def test_a_dynamic_shape_names_the_tensor_and_the_way_out() -> None:
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": (1, ("batch", 3))}, {"y": ("batch", 3)})
    with pytest.raises(OnnxError, match=r"'x' has the dynamic shape \(batch,3\)(.|\n)*--shape"):
        input_specs(model)


def test_bad_files_are_told_apart(tmp_path: Path) -> None:
    good = tmp_path / "good.onnx"
    save(_masked_scores(), good)
    load(good)
    cut, text, empty = tmp_path / "cut.onnx", tmp_path / "text.onnx", tmp_path / "empty.onnx"
    cut.write_bytes(good.read_bytes()[:-40])
    text.write_text("hello")
    empty.touch()
    for file in (cut, text):
        with pytest.raises(OnnxError, match="is not a valid ONNX model"):
            load(file)
    with pytest.raises(InputError, match="is empty"):
        load(empty)
    with pytest.raises(InputError, match="does not exist"):
        load(tmp_path / "none.onnx")


@pytest.mark.parametrize("kind", [TensorProto.UINT8, TensorProto.INT8, TensorProto.UINT16, TensorProto.INT16])
def test_narrow_inputs_that_are_cast_to_float_become_int32(kind: int) -> None:
    cast = helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT)
    model = make_model([cast, helper.make_node("Relu", ["f"], ["y"])], {"x": (kind, (3,))}, {"y": (3,)})
    changed = use_int32_inputs(model)
    assert changed.graph.input[0].type.tensor_type.elem_type == TensorProto.INT32
    assert _run(changed, x=np.array([0, 7, 120], np.int32)).tolist() == [0, 7, 120]


def test_a_quantized_input_keeps_its_type() -> None:
    node = helper.make_node("DequantizeLinear", ["x", "scale"], ["y"])
    model = make_model([node], {"x": (TensorProto.UINT8, (3,))}, {"y": (3,)}, {"scale": np.array(0.5, np.float32)})
    assert use_int32_inputs(model).graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
