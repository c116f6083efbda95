"""Rewrites of foreign graphs: each computes what the original does, in whatever form an exporter wrote it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from snpe_tools.core.errors import OnnxError, UsageError
from snpe_tools.core.files import plain
from snpe_tools.graph.equality import agreement
from snpe_tools.graph.rewrites import prepare_for_htp, repair_for_conversion
from snpe_tools.graph.shapes import fix_shapes, fix_values
from snpe_tools.steps.simplify import simplify
from tests.conftest import make_model

FLOAT = TensorProto.FLOAT
Lines = Sequence[str]


def graph(
    lines: Lines,
    inputs: Mapping[str, Sequence[int]],
    outputs: Mapping[str, Sequence[int]],
    constants: Mapping[str, object] | None = None,
    opset: int = 17,
) -> onnx.ModelProto:
    """A float model from lines such as "y = Add(x, c)"."""
    nodes = []
    for line in lines:
        target, _, call = line.partition(" = ")
        kind, _, names = call.rstrip(")").partition("(")
        nodes.append(helper.make_node(kind, [name.strip() for name in names.split(",")], [target], name=f"n_{target}"))
    arrays = {name: np.asarray(value, np.float32) for name, value in (constants or {}).items()}
    model = make_model(nodes, {name: (FLOAT, shape) for name, shape in inputs.items()}, outputs, arrays)
    model.opset_import[0].version = opset
    return model


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def set_axes(model: onnx.ModelProto, axes: list[int]) -> None:
    """Give every ReduceMean (below opset 18) its axes."""
    for node in model.graph.node:
        if node.op_type == "ReduceMean":
            node.attribute.append(helper.make_attribute("axes", axes))


GAMMA, BETA = np.linspace(0.5, 2, 6), np.linspace(-1, 1, 6)
DEVIATIONS = {
    "div": ["r = Sqrt(e)", "n = Div(d, r)"],
    "reciprocal": ["s = Sqrt(e)", "r = Reciprocal(s)", "n = Mul(r, d)"],
    "one-over": ["s = Sqrt(e)", "r = Div(one, s)", "n = Mul(d, r)"],
    "power": ["r = Pow(e, half)", "n = Mul(d, r)"],
    "gamma-first": ["s = Sqrt(e)", "r = Reciprocal(s)", "rg = Mul(r, g)", "ng = Mul(d, rg)"],
}
SQUARES = {"pow": "p = Pow(d, two)", "mul": "p = Mul(d, d)"}
ENDS = {
    "both": ["ng = Mul(g, n)", "y = Add(ng, b)"],
    "gamma": ["y = Mul(n, g)"],
    "beta": ["y = Add(b, n)"],
    "tensorflow": ["ng = Mul(n, g)", "mg = Mul(zero, g)", "off = Sub(b, mg)", "y = Add(ng, off)"],
}
SCALARS = {"two": 2, "half": -0.5, "one": 1, "eps": 1e-5, "zero": 0}


@pytest.mark.parametrize(
    ("square", "deviation", "end"), [*itertools.product(SQUARES, DEVIATIONS, ["both", "gamma", "beta"])]
)
def test_a_layer_norm_in_parts_is_one_operation(square: str, deviation: str, end: str) -> None:
    tail = ["y = Add(ng, b)"] if deviation == "gamma-first" else ENDS[end]
    lines = ["m = ReduceMean(x)", "d = Sub(x, m)", SQUARES[square], "v = ReduceMean(p)", "e = Add(eps, v)"]
    model = graph(
        [*lines, *DEVIATIONS[deviation], *tail],
        {"x": (2, 3, 6)},
        {"y": (2, 3, 6)},
        {**SCALARS, "g": GAMMA, "b": BETA.reshape(1, 1, 6)},
    )
    set_axes(model, [-1])
    made, changes = prepare_for_htp(model)
    assert kinds(made) == ["LayerNormalization"]
    assert [change.rewrite for change in changes] == ["layer-norm"]
    assert agreement(model, made) > 100


@pytest.mark.parametrize(("axes", "rank"), [([1], 4), ([2, 3], 4), ([-2], 3), ([1, 2], 3)])
def test_a_norm_of_other_axes(axes: list[int], rank: int) -> None:
    shape = (2, 3, 4, 5)[:rank]
    sizes = [shape[axis] if axis in {one % rank for one in axes} else 1 for axis in range(rank)]
    lines = ["m = ReduceMean(x)", "d = Sub(x, m)", "p = Mul(d, d)", "v = ReduceMean(p)", "e = Add(v, eps)"]
    weights = np.random.default_rng(3).normal(size=(2, *sizes))
    constants = {**SCALARS, "g": weights[0], "b": weights[1]}
    model = graph([*lines, *DEVIATIONS["div"], *ENDS["both"]], {"x": shape}, {"y": shape}, constants)
    set_axes(model, axes)
    made, changes = prepare_for_htp(model)
    assert "LayerNormalization" in kinds(made)
    assert len(made.graph.node) <= 3
    assert [change.rewrite for change in changes] == ["layer-norm"]
    assert agreement(model, made) > 100


@pytest.mark.parametrize("deviation", ["div", "reciprocal", "one-over", "power", "gamma-first"])
def test_an_rms_norm_in_parts_is_one_operation(deviation: str) -> None:
    parts = [line.replace("(d, ", "(x, ").replace(", d)", ", x)") for line in DEVIATIONS[deviation]]
    tail = ["y = Identity(ng)"] if deviation == "gamma-first" else ["y = Mul(g, n)"]
    model = graph(
        ["p = Pow(x, two)", "v = ReduceMean(p)", "e = Add(v, eps)", *parts, *tail],
        {"x": (2, 3, 6)},
        {"y": (2, 3, 6)},
        {**SCALARS, "g": GAMMA},
    )
    set_axes(model, [-1])
    made, changes = prepare_for_htp(model)
    assert kinds(made)[0] == "RMSNormalization"
    assert {change.rewrite for change in changes} == {"raise-opset", "rms-norm"}
    assert agreement(model, made) > 100


def test_what_only_looks_like_a_norm_stays() -> None:
    """The variance of something else, and a mean over another axis."""
    lines = ["m = ReduceMean(x)", "d = Sub(x, m)", "p = Mul(x, x)", "v = ReduceMean(p)", "e = Add(v, eps)"]
    model = graph(
        [*lines, *DEVIATIONS["div"], *ENDS["gamma"]], {"x": (2, 3, 6)}, {"y": (2, 3, 6)}, {**SCALARS, "g": GAMMA}
    )
    set_axes(model, [-1])
    made, _ = prepare_for_htp(model)
    assert not {"LayerNormalization", "RMSNormalization"} & set(kinds(made))
    assert agreement(model, made) > 100


GELUS = {
    "torch": ["a = Div(x, root)", "f = Erf(a)", "g = Add(f, one)", "h = Mul(x, g)", "y = Mul(h, half)"],
    "half-first": ["a = Mul(x, inverse)", "f = Erf(a)", "g = Add(one, f)", "h = Mul(x, half)", "y = Mul(g, h)"],
    "inside": ["a = Mul(inverse, x)", "f = Erf(a)", "k = Mul(f, half)", "g = Add(k, half)", "y = Mul(x, g)"],
}


@pytest.mark.parametrize(
    ("form", "opset"), [*itertools.product(GELUS, [17]), ("torch", 9), ("torch", 13), ("inside", 20)]
)
def test_an_erf_gelu_is_one_gelu(form: str, opset: int) -> None:
    constants = {"root": np.sqrt(2), "inverse": 1 / np.sqrt(2), "one": 1, "half": 0.5}
    model = graph(GELUS[form], {"x": (2, 5)}, {"y": (2, 5)}, constants, opset)
    made, changes = prepare_for_htp(model)
    assert kinds(made) == ["Gelu"]
    assert "gelu" in {change.rewrite for change in changes}
    assert made.opset_import[0].version == 20
    assert agreement(model, made) > 100


@pytest.mark.parametrize("wrong", [{"root": 1.5}, {"half": 0.4}, {"one": 0.9}])
def test_another_function_of_erf_stays(wrong: dict[str, float]) -> None:
    constants = {"root": np.sqrt(2), "one": 1, "half": 0.5, **wrong}
    model = graph(GELUS["torch"], {"x": (2, 5)}, {"y": (2, 5)}, constants)
    made, _ = prepare_for_htp(model)
    assert kinds(made) == kinds(model)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_a_product_and_its_bias_are_one_gemm(batch: list[int], depth: int, width: int, swapped: bool) -> None:
    random = np.random.default_rng(depth * 10 + width)
    constants = {"w": random.normal(size=(depth, width)), "b": random.normal(size=width)}
    line = "y = Add(b, h)" if swapped else "y = Add(h, b)"
    model = graph(["h = MatMul(x, w)", line], {"x": (*batch, depth)}, {"y": (*batch, width)}, constants)
    made, changes = prepare_for_htp(model)
    assert [kind for kind in kinds(made) if kind != "Reshape"] == ["Gemm"]
    assert [change.rewrite for change in changes] == ["gemm"]
    assert agreement(model, made) > 100


def test_a_product_that_is_an_output_keeps_its_add() -> None:
    constants = {"w": np.ones((3, 2)), "b": np.ones(2)}
    model = graph(["h = MatMul(x, w)", "y = Add(h, b)"], {"x": (4, 3)}, {"h": (4, 2), "y": (4, 2)}, constants)
    made, changes = prepare_for_htp(model)
    assert kinds(made) == ["MatMul", "Add"]
    assert not changes


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 4, 3)])
def test_a_vector_as_weight_becomes_a_matrix(shape: tuple[int, ...]) -> None:
    model = graph(["y = MatMul(x, w)"], {"x": shape}, {"y": shape[:-1]}, {"w": [1, 2, 3]})
    made, changes = repair_for_conversion(model)
    assert [change.rewrite for change in changes] == ["matrix-weight"]
    assert agreement(model, made) > 100


@pytest.mark.parametrize(
    ("gamma", "beta"), [((6,), (1,)), ((1,), (6,)), ((4, 6), (1, 1)), ((1, 6), (6,)), ((1, 1), (4, 6))]
)
def test_a_broadcast_norm_vector_is_expanded(gamma: tuple[int, ...], beta: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    constants = {"g": random.normal(size=gamma), "b": random.normal(size=beta)}
    model = graph(["y = LayerNormalization(x, g, b)"], {"x": (2, 4, 6)}, {"y": (2, 4, 6)}, constants)
    made, changes = repair_for_conversion(model)
    norm = next(node for node in made.graph.node if node.op_type == "LayerNormalization")
    sizes = {tensor.name: list(tensor.dims) for tensor in made.graph.initializer}
    assert [sizes[name] for name in norm.input[1:]] == [[6], [6]]
    assert [change.rewrite for change in changes] == ["norm-vectors"]
    assert agreement(model, made) > 100


def test_a_reciprocal_becomes_a_division() -> None:
    model = graph(["s = Sigmoid(x)", "y = Reciprocal(s)"], {"x": (1, 5)}, {"y": (1, 5)})
    made, changes = repair_for_conversion(model)
    assert kinds(made) == ["Sigmoid", "Div"]
    assert str(changes[0]).startswith("reciprocal: Reciprocal 'n_y': ")
    assert agreement(model, made) > 100


def test_what_was_rewritten_once_is_not_rewritten_again() -> None:
    lines = [*GELUS["torch"][:-1], "z = Mul(h, half)", "q = MatMul(z, w)", "s = Add(q, b)", "y = Reciprocal(s)"]
    constants = {"root": np.sqrt(2), "one": 1, "half": 0.5, "w": np.ones((5, 3)), "b": np.full(3, 99)}
    once, changes = prepare_for_htp(graph(lines, {"x": (2, 4, 5)}, {"y": (2, 4, 3)}, constants))
    twice, again = prepare_for_htp(once)
    assert len(changes) == 4
    assert not again
    assert twice.SerializeToString() == once.SerializeToString()


def test_float16_and_local_functions_and_constant_nodes() -> None:
    half = [
        helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(np.eye(4, dtype=np.float16))),
        helper.make_node("Cast", ["w"], ["w32"], to=FLOAT),
        helper.make_node("Act", ["x", "w32"], ["y"], domain="mine"),
    ]
    model = make_model(half, {"x": (FLOAT, (2, 4))}, {"y": (2, 4)})
    body = [helper.make_node("MatMul", ["a", "b"], ["c"]), helper.make_node("Relu", ["c"], ["d"])]
    opsets = [helper.make_opsetid("", 20)]
    model.functions.append(helper.make_function("mine", "Act", ["a", "b"], ["d"], body, opsets))
    model.opset_import.append(helper.make_opsetid("mine", 1))
    made, _ = prepare_for_htp(model)
    assert kinds(made) == ["MatMul", "Relu"]
    assert [tensor.data_type for tensor in made.graph.initializer] == [FLOAT]
    assert not made.functions
    assert agreement(model, made) > 100
    repaired, changes = repair_for_conversion(model)
    assert not repaired.functions
    assert [change.rewrite for change in changes] == ["inline-function"]
    assert agreement(model, repaired) > 100


def test_an_open_output_gets_its_shape() -> None:
    model = graph(["y = Relu(x)"], {"x": (2, 3)}, {"y": (2, 3)})
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = -1
    made, changes = prepare_for_htp(model)
    assert [dim.dim_value for dim in made.graph.output[0].type.tensor_type.shape.dim] == [2, 3]
    assert [change.rewrite for change in changes] == ["infer-output"]


def _choosing() -> onnx.ModelProto:
    """x doubled at 16000, halved at any other rate."""

    def branch(kind: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(kind, FLOAT, (2,))
        return helper.make_graph([helper.make_node(kind, ["x", "two"], [kind])], kind, [], [out])

    nodes = [
        helper.make_node("Equal", ["sr", "rate"], ["same"]),
        helper.make_node("If", ["same"], ["y"], then_branch=branch("Mul"), else_branch=branch("Div")),
    ]
    inputs = {"x": (FLOAT, (2,)), "sr": (TensorProto.INT64, ())}
    return make_model(nodes, inputs, {"y": (2,)}, {"two": np.array(2, np.float32), "rate": np.array(16000)})


@pytest.mark.parametrize(("rate", "kind"), [(16000, "Mul"), (8000, "Div")])
def test_a_fixed_value_decides_an_if(rate: int, kind: str) -> None:
    model = _choosing()
    made = fix_shapes(fix_values(model, {"sr": [rate]}), {})
    assert kinds(made) == [kind]
    assert [value.name for value in made.graph.input] == ["x"]
    assert agreement(model, made, {"sr": [rate]}) > 100


@pytest.mark.parametrize("values", [{"rate": [1]}, {"sr": [1, 2]}, {"sr": [1.5]}])
def test_values_that_do_not_fit_are_refused(values: dict[str, list[float]]) -> None:
    with pytest.raises(OnnxError, match=r"no input 'rate'|numbers for the input"):
        fix_values(_choosing(), values)


CONTRIB = {
    "BiasGelu": (["x", "g"], {}),
    "Gelu": (["x"], {}),
    "FastGelu": (["x", "g"], {}),
    "QuickGelu": (["x"], {"alpha": 1.5}),
    "SkipLayerNormalization": (["x", "s", "g", "b", "c"], {"epsilon": 1e-5}),
    "SkipSimplifiedLayerNormalization": (["x", "s", "g", "c"], {"epsilon": 1e-5}),
    "FusedMatMul": (["x", "w"], {"transB": 1, "alpha": 0.5}),
}


@pytest.mark.parametrize("kind", list(CONTRIB))
def test_operations_of_onnx_runtime_become_onnx(kind: str) -> None:
    inputs, attributes = CONTRIB[kind]
    random = np.random.default_rng(0)
    shapes = {"x": (2, 3, 4), "s": (2, 3, 4), "g": (4,), "b": (4,), "c": (4,), "w": (5, 4)}
    held = {name: random.normal(size=shapes[name]).astype(np.float32) for name in inputs if name not in {"x", "s"}}
    given = {name: (FLOAT, shapes[name]) for name in inputs if name in {"x", "s"}}
    node = helper.make_node(kind, inputs, ["y"], domain="com.microsoft", **attributes)
    model = make_model([node], given, {"y": (2, 3, 5 if kind == "FusedMatMul" else 4)}, held)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    made, _ = prepare_for_htp(model)
    assert {one.domain for one in made.graph.node} == {""}
    assert agreement(model, made) > 100


def _normed(channels: int, spread: float) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "g": np.geomspace(1, spread, channels),
        "b": random.normal(size=channels),
        "m": random.normal(size=channels),
        "v": random.uniform(0.5, 2, channels),
    }


PRODUCTS = {
    "Conv": ((4, 3, 3, 3), (1, 3, 5, 5), (1, 4, 3, 3)),
    "ConvTranspose": ((3, 4, 2, 2), (1, 3, 5, 5), (1, 4, 6, 6)),
    "Gemm": ((3, 4), (2, 3), (2, 4)),
}


@pytest.mark.parametrize(("kind", "biased"), [*itertools.product(PRODUCTS, [False, True])])
def test_a_batch_norm_is_folded_into_what_is_before_it(kind: str, biased: bool) -> None:
    weight, given_shape, made_shape = PRODUCTS[kind]
    random = np.random.default_rng(1)
    constants = {**_normed(4, 30), "w": random.normal(size=weight), "c": random.normal(size=4)}
    lines = [f"p = {kind}(x, w{', c' if biased else ''})", "y = BatchNormalization(p, g, b, m, v)"]
    model = graph(lines, {"x": given_shape}, {"y": made_shape}, constants)
    made, changes = prepare_for_htp(model)
    assert kinds(made) == [kind]
    assert [change.rewrite for change in changes] == ["batch-norm"]
    assert agreement(model, made) > 100


@pytest.mark.parametrize(("relu", "spread"), [("Relu", 2000.0), ("LeakyRelu", 2000.0), ("", 2000.0), ("Relu", 1.5)])
def test_channels_of_a_batch_norm_before_a_convolution(relu: str, spread: float) -> None:
    constants = {**_normed(3, spread), "b": np.full(3, 0.1), "w": np.random.default_rng(1).normal(size=(2, 3, 3, 3))}
    lines = ["n = BatchNormalization(x, g, b, m, v)", *([f"r = {relu}(n)"] if relu else [])]
    model = graph([*lines, f"y = Conv({'r' if relu else 'n'}, w)"], {"x": (1, 3, 5, 5)}, {"y": (1, 2, 3, 3)}, constants)
    made, changes = prepare_for_htp(model)
    assert kinds(made) == ["Conv", *([relu] if relu else []), "Conv"]
    assert [change.rewrite for change in changes] == ["level-channels" if spread > 4 else "depthwise"]
    assert agreement(model, made) > 100


def test_a_batch_norm_alone_is_a_depthwise_convolution() -> None:
    model = graph(["y = BatchNormalization(x, g, b, m, v)"], {"x": (1, 3, 2, 2)}, {"y": (1, 3, 2, 2)}, _normed(3, 9))
    made, _ = prepare_for_htp(model)
    assert kinds(made) == ["Conv"]
    assert agreement(model, made) > 100


def test_a_target_that_is_a_folder_or_the_model_itself_is_refused(tmp_path: Path) -> None:
    onnx.save(graph(["y = Relu(x)"], {"x": (1, 3)}, {"y": (1, 3)}), tmp_path / "m.onnx")
    for target in (Path(), tmp_path, tmp_path / "m.onnx"):
        with pytest.raises(UsageError, match=r"is a folder|is read and would"):
            simplify(tmp_path / "m.onnx", target, {})


def test_what_simplify_says_of_its_result(tmp_path: Path) -> None:
    model = graph(GELUS["torch"], {"x": (2, 5)}, {"y": (2, 5)}, {"root": np.sqrt(2), "one": 1, "half": 0.5})
    onnx.save(model, tmp_path / "m.onnx")
    made = simplify(tmp_path / "m.onnx", tmp_path / "s.onnx", {})
    assert (made.nodes_before, made.nodes) == (5, 1)
    assert "gelu" in {change.rewrite for change in made.changes}
    assert made.agreement_db is None or made.agreement_db > 100
    document = json.loads(json.dumps(plain(made)))
    assert document["inputs"][0]["dtype"]["numpy"] == "float32"


def test_nothing_is_written_where_the_result_would_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx.save(graph(["y = Relu(x)"], {"x": (1, 3)}, {"y": (1, 3)}), tmp_path / "m.onnx")
    other = graph(["y = Neg(x)"], {"x": (1, 3)}, {"y": (1, 3)})
    monkeypatch.setattr("snpe_tools.steps.simplify.prepare_for_htp", lambda _: (other, ()))
    with pytest.raises(OnnxError, match="would not compute what the original does"):
        simplify(tmp_path / "m.onnx", tmp_path / "s.onnx", {})
    assert not (tmp_path / "s.onnx").exists()
