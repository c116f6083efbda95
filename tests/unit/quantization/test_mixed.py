"""Mixed precision: names of operations, plans, folded scales, converts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from snpe_tools.core.errors import RecipeError
from snpe_tools.core.precision import Precision
from snpe_tools.graph.ranges import Ranges
from snpe_tools.graph.scales import fold_scales
from snpe_tools.graph.session import plain_session
from snpe_tools.graph.twins import carried_over, of_other_shape
from snpe_tools.project.workspace import Workspace
from snpe_tools.quantization.converts import insert_converts
from snpe_tools.quantization.mixing import adjusted, lay_out
from snpe_tools.quantization.operations import Operation, find_operations, select
from snpe_tools.quantization.plan import Plan, load_plan, save_plan
from snpe_tools.quantization.reads import Reads
from snpe_tools.quantization.score_floor import MARGIN, score_floors
from snpe_tools.quantization.writing import float_path
from tests.conftest import make_model


def attention(*, divisor: float = 4.0, shared: bool = False) -> onnx.ModelProto:
    """Queries and keys from Gemms, each scaled, multiplied, and a Softmax; `shared`: keys are also read unscaled."""
    generator = np.random.default_rng(0)
    constants: dict[str, np.ndarray] = {
        "wq": generator.normal(size=(8, 8)).astype(np.float32),
        "wk": generator.normal(size=(8, 8)).astype(np.float32),
        "bq": generator.normal(size=8).astype(np.float32),
        "bk": generator.normal(size=8).astype(np.float32),
        "half": np.array(0.5, np.float32),
        "divisor": np.array(divisor, np.float32),
        "shape": np.array([4, 8], np.int64),
    }
    nodes = [
        helper.make_node("Gemm", ["x", "wq", "bq"], ["q"], name="q"),
        helper.make_node("Reshape", ["q", "shape"], ["q_moved"], name="q_moved"),
        helper.make_node("Mul", ["half", "q_moved"], ["q_scaled"], name="q_scaled"),
        helper.make_node("Gemm", ["x", "wk", "bk"], ["k"], name="k"),
        helper.make_node("Div", ["k", "divisor"], ["k_scaled"], name="k_scaled"),
        helper.make_node("Transpose", ["k_scaled"], ["k_turned"], name="k_turned", perm=[1, 0]),
        helper.make_node("MatMul", ["q_scaled", "k_turned"], ["scores"], name="scores"),
        helper.make_node("Softmax", ["scores"], ["p"], name="p"),
        helper.make_node("MatMul", ["p", "k"] if shared else ["p", "x"], ["y"], name="y"),
    ]
    return make_model(nodes, {"x": (TensorProto.FLOAT, (4, 8))}, {"y": (4, 8)}, constants)


QUANTIZED = ("x", "q", "q_scaled", "k", "k_scaled", "scores", "p", "y")


def run(model: onnx.ModelProto) -> np.ndarray:
    values = np.random.default_rng(1).normal(size=(4, 8)).astype(np.float32)
    (result,) = plain_session(model).run(["y"], {"x": values})
    return np.asarray(result)


def test_operations_have_names_that_say_what_reads_them() -> None:
    names = {operation.tensor: operation.name for operation in find_operations(attention(), QUANTIZED)}
    assert names == {
        "q": "Gemm>Mul#0",
        "q_scaled": "Mul>MatMul#0",
        "k": "Gemm>Div#0",
        "k_scaled": "Div>MatMul#0",
        "scores": "MatMul>Softmax#0",
        "p": "Softmax>MatMul#0",
        "y": "MatMul>output#0",
    }


def test_an_operation_that_is_fused_with_its_reader_is_read_through() -> None:
    """AIMET gives a product and the activation behind it one encoding."""
    found = find_operations(attention(), [name for name in QUANTIZED if name != "k"])
    assert "Gemm>Div#0" not in {operation.name for operation in found}
    assert [operation.tensor for operation in select(found, ["Div"])] == ["k_scaled"]


def test_reads_of_8_bits_see_16_bit_tensors_behind_a_convert() -> None:
    reads = Reads(attention(), operations())
    assert reads.source("q_moved") == "q", "moved at most"
    assert reads.source("wq") == reads.source("shape") == ""
    assert (reads.operation("q_moved"), reads.operation("p"), reads.operation("")) == (None, "p", "")
    assert reads.narrow(["q", "scores"]) == {("q_moved", "q_scaled"): "q", ("scores", "p"): "scores"}
    assert reads.narrow(["scores", "p"]) == {("p", "y"): "p"}
    assert reads.narrow([operation.tensor for operation in operations()]) == {}


def test_what_8_bit_readers_see_of_a_wide_tensor_is_clipped_alone() -> None:
    ranges = Ranges.from_dict({"q": (-4.0, 8.0), "p": (0.0, 1.0), "scores": (-2.0, 2.0)}, 1)
    layout = lay_out(
        operations(), Plan(wide=("Softmax",), clip={"Softmax": (1, 0.5), "Gemm>Mul": (0.5, 1)}), ranges, {}
    )
    assert layout.wide == ("p",)
    assert layout.ranges.as_dict() == {"q": (-2.0, 8.0), "p": (0.0, 1.0), "scores": (-2.0, 2.0)}
    assert layout.narrow == {"p": (0.0, 0.5)}


def test_twins_know_each_other_by_their_nodes() -> None:
    first, second = attention(), attention()
    for node in second.graph.node:
        node.output[:] = [f"{name}'" if name != "y" else name for name in node.output]
        node.input[:] = [f"{name}'" for name in node.input]
    for value in (*second.graph.initializer, *second.graph.input):
        value.name = f"{value.name}'"
    assert carried_over({"q": 1, "wq": 2, "x": 3, "unknown": 4}, first, second) == {"q'": 1, "wq'": 2, "x'": 3}
    assert of_other_shape(first, second) == set()
    longer = next(tensor for tensor in second.graph.initializer if tensor.name == "bq'")
    longer.CopyFrom(numpy_helper.from_array(np.zeros(9, np.float32), "bq'"))
    assert of_other_shape(first, second) == {"bq"}


@pytest.mark.parametrize(
    ("selector", "tensors"),
    [
        ("MatMul", ["scores", "y"]),
        ("MatMul#1", ["y"]),
        ("MatMul>output", ["y"]),
        ("Gemm>Div#0", ["k"]),
        ("Softmax", ["p"]),
    ],
)
def test_selectors(selector: str, tensors: list[str]) -> None:
    assert [operation.tensor for operation in select(operations(), [selector])] == tensors


def operations() -> list[Operation]:
    return find_operations(attention(), QUANTIZED)


@pytest.mark.parametrize("selector", ["Gelu", "MatMul#2", "Softmax>Add", "", "Add >Mul", "#1", "Mul>MatMul#7"])
def test_selectors_that_fit_nothing_are_refused(selector: str) -> None:
    with pytest.raises(RecipeError):
        select(operations(), [selector])


def test_plans_round_trip(tmp_path: Path) -> None:
    plan = Plan(wide=("Softmax", "Add#1"), fold_scales=True, clip={"Gemm>Gelu#1": (0.5, 1.0)}, weights="0f")
    save_plan(plan, tmp_path / "p.toml", "found by a test\nin two lines")
    assert load_plan(tmp_path / "p.toml") == plan
    assert "# in two lines" in (tmp_path / "p.toml").read_text()


BAD_SHARES = ("nan", "inf", "-0.5", "0", "0.0", "1.01")


@pytest.mark.parametrize(
    "text",
    [
        "wides = []",
        "wide = 3",
        "clip = {a = [1]}",
        "wide =",
        *(f"clip = {{a = [{share}, 1.0]}}" for share in BAD_SHARES),
    ],
)
def test_wrong_plans_are_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(RecipeError, match=r"p\.toml"):
        load_plan(tmp_path / "p.toml")


def test_a_missing_plan_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="snpe-tools tune"):
        load_plan(tmp_path / "none.toml")


def test_folded_scales_change_no_result() -> None:
    model, folded = attention(), attention()
    assert fold_scales(folded) == 2
    assert {node.op_type for node in folded.graph.node} == {"Gemm", "Reshape", "MatMul", "Transpose", "Softmax"}
    assert {tensor.name for tensor in folded.graph.initializer} == {"wq", "bq", "wk", "bk", "shape"}
    np.testing.assert_allclose(run(folded), run(model), rtol=1e-5)


def test_scores_that_are_divided_scale_the_queries() -> None:
    model = attention()
    (scores,) = (node for node in model.graph.node if node.name == "scores")
    scores.output[0] = "raw"
    model.graph.node.insert(7, helper.make_node("Div", ["raw", "divisor"], ["scores"], name="divided"))
    before = run(model)
    (queries,) = (node for node in model.graph.node if node.name == "q_scaled")
    assert fold_scales(model) == 2, "one factor for each product at a time"
    assert queries.name not in {node.name for node in model.graph.node}
    np.testing.assert_allclose(run(model), before, rtol=1e-5)
    assert fold_scales(model) == 1
    np.testing.assert_allclose(run(model), before, rtol=1e-5)


def test_a_scale_is_not_folded_where_the_product_is_read_unscaled() -> None:
    model, folded = attention(shared=True), attention(shared=True)
    assert fold_scales(folded) == 1
    np.testing.assert_allclose(run(folded), run(model), rtol=1e-5)


def test_shared_weights_are_folded_only_when_all_are_scaled_alike() -> None:
    for divisor, folds in ((2.0, 2), (4.0, 0)):
        model = attention(divisor=divisor)
        for node in model.graph.node:
            if node.name == "k":
                node.input[1:] = ["wq", "bq"]
        before = run(model)
        assert fold_scales(model) == folds
        np.testing.assert_allclose(run(model), before, rtol=1e-5)


@pytest.mark.parametrize(("output", "folds"), [("q_scaled", 1), ("q", 1), ("q_moved", 1), ("k_scaled", 1), ("wq", 1)])
def test_what_the_graph_outputs_stays_as_it_is(output: str, folds: int) -> None:
    model, shape = attention(), (8, 8) if output == "wq" else (4, 8)
    model.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, shape))
    values = {"x": np.random.default_rng(1).normal(size=(4, 8)).astype(np.float32)}
    before = plain_session(model).run(None, values)
    assert fold_scales(model) == folds
    onnx.checker.check_model(model)
    for found, wanted in zip(plain_session(model).run(None, values), before, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_the_float_graph_of_a_plan_never_has_its_sources_name() -> None:
    for target in ("qa.qdq.onnx", "qa.onnx"):
        assert float_path(Path("build") / target) == Path("build/qa.float.onnx")
    space, mixed = Workspace(Path(), "m"), Precision.parse("w8a8-mixed")
    assert float_path(space.qdq(mixed)) == space.quantized_float(mixed)


def test_the_floor_of_scores_lies_below_every_row_maximum() -> None:
    values = np.random.default_rng(2).normal(size=(4, 8)).astype(np.float32)
    model = attention()
    model.graph.output.append(helper.make_tensor_value_info("scores", TensorProto.FLOAT, (4, 4)))
    scores = plain_session(model).run(["scores"], {"x": values})[0]
    found = score_floors(attention(), [{"x": values}])
    assert found == {"scores": pytest.approx(scores.max(axis=-1).min() - MARGIN, abs=1e-5)}


def test_ranges_follow_the_plan() -> None:
    ranges = Ranges.from_dict({"scores": (-100.0, 8.0), "y": (-2.0, 4.0)}, 1)
    plan = Plan(clip={"MatMul>output": (0.5, 0.75)})
    found = adjusted(ranges, plan, operations(), {"scores": -12.0}).as_dict()
    assert found == {"scores": (-12.0, 8.0), "y": (-1.0, 3.0)}


def quantized_add(bits: tuple[int, int, int], zero: float = 0.5) -> onnx.ModelProto:
    """QDQ: a sum of two activations, and its result, in so many bits; ranges of length 4."""
    nodes, constants = [], {}
    for name, width in zip(("a", "b", "y"), bits, strict=True):
        full = 2**width - 1
        parts = [f"{name}_scale", f"{name}_zero"]
        constants[parts[0]] = np.array(4 / full, np.float32)
        constants[parts[1]] = np.array(round(zero * full), np.uint8 if width == 8 else np.uint16)
        nodes.append(helper.make_node("QuantizeLinear", [name, *parts], [f"{name}_q"], name=f"{name}_q"))
        target = "out" if name == "y" else f"{name}_dq"
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}_q", *parts], [target], name=f"{name}_dq"))
    nodes.insert(4, helper.make_node("Add", ["a_dq", "b_dq"], ["y"], name="sum"))
    inputs = dict.fromkeys("ab", (TensorProto.FLOAT, (64,)))
    model = make_model(nodes, inputs, {"out": (64,)}, constants)
    model.opset_import[0].version = 21
    model.ir_version = 10
    return model


@given(bits=st.tuples(*[st.sampled_from([8, 16])] * 3), zero=st.floats(0, 1), seed=st.integers(0, 1000))
def test_converts_make_every_operation_of_one_width(bits: tuple[int, int, int], zero: float, seed: int) -> None:
    model = quantized_add(bits, zero)
    generator = np.random.default_rng(seed)
    values = {name: generator.uniform(-4 * zero, 4 - 4 * zero, 64).astype(np.float32) for name in "ab"}
    before = plain_session(model).run(None, values)[0]
    wanted = sum(width != bits[2] for width in bits[:2])
    assert insert_converts(model) == wanted
    onnx.checker.check_model(model)
    writer = {name: node for node in model.graph.node for name in node.output}
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    (add,) = (node for node in model.graph.node if node.op_type == "Add")
    assert {arrays[writer[name].input[2]].dtype.itemsize * 8 for name in add.input} == {bits[2]}
    after = plain_session(model).run(None, values)[0]
    narrow = 4 / 255
    # To 16 bits nothing is lost; to 8, half a step for each side, which can move the result by one of its own.
    lost = narrow * (wanted / 2 + 1.01) if bits[2] == 8 else 1.01 * 4 / 65535
    assert np.abs(after - before).max() <= (lost if wanted else 0)


@pytest.mark.parametrize(
    ("zero", "ends"), [(0.5, (0.0, 0.0)), (0.25, (0.0, 0.0)), (0.25, (-0.0, 1e-30)), (0.0, (0.0, 0.5))]
)
def test_a_convert_to_a_range_however_narrow(zero: float, ends: tuple[float, float]) -> None:
    model = quantized_add((16, 8, 8), zero)
    values = {"a": np.linspace(*ends, 64, dtype=np.float32), "b": np.zeros(64, np.float32)}
    before = plain_session(model).run(None, values)[0]
    assert insert_converts(model, {"a": ends}) == 1
    onnx.checker.check_model(model)
    scales = {part.name: numpy_helper.to_array(part) for part in model.graph.initializer}
    assert scales["a_dq_as_uint8_scale"] >= scales["a_scale"], "the values come in no finer steps"
    np.testing.assert_allclose(plain_session(model).run(None, values)[0], before, atol=1.01 * 4 / 255)


def test_a_model_of_one_width_stays_as_it_is() -> None:
    model = quantized_add((8, 8, 8))
    before = model.SerializeToString()
    assert insert_converts(model) == 0
    assert model.SerializeToString() == before
