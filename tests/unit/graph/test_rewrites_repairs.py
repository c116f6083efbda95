"""Repairs before conversion: recurrent nodes unrolled, picking operations, QDQ forms that the HTP reads wrong."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from snpe_tools.graph.equality import agreement
from snpe_tools.graph.rewrites import repair_for_conversion
from snpe_tools.graph.session import plain_session
from tests.conftest import make_model

FLOAT = TensorProto.FLOAT
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
Case = tuple[str, tuple[int, ...], dict[str, int]]
"""An operation, whether it has a bias, initial states and peepholes, and its attributes."""
STEPS, BATCH, WIDTH, HIDDEN = 4, 2, 3, 5


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def recurrent(kind: str, direction: str, extras: Mapping[str, bool], **attributes: object) -> onnx.ModelProto:
    """A recurrent node with random weights, and all its outputs as outputs of the graph."""
    random, gates, ways = np.random.default_rng(0), GATES[kind], 1 + (direction == "bidirectional")
    shapes = {
        "W": (ways, gates * HIDDEN, WIDTH),
        "R": (ways, gates * HIDDEN, HIDDEN),
        "B": (ways, 2 * gates * HIDDEN),
        "h": (ways, BATCH, HIDDEN),
        "c": (ways, BATCH, HIDDEN),
        "P": (ways, 3 * HIDDEN),
    }
    held = {name: random.normal(size=shapes[name]).astype(np.float32) for name in ("W", "R", "B", "P")}
    used = [name if extras.get(name, name in "WR") else "" for name in ("W", "R", "B", "-", "h", "c", "P")]
    states = {name: (FLOAT, shapes[name]) for name in used if name in {"h", "c"}}
    outputs = {"Y": (STEPS, ways, BATCH, HIDDEN), "Yh": shapes["h"], **({"Yc": shapes["c"]} if kind == "LSTM" else {})}
    inputs = ["x", *(used if kind == "LSTM" else used[:5])]
    node = helper.make_node(
        kind, inputs, list(outputs), name="cell", hidden_size=HIDDEN, direction=direction, **attributes
    )
    constants = {name: held[name] for name in used if name in held}
    return make_model([node], {"x": (FLOAT, (STEPS, BATCH, WIDTH)), **states}, outputs, constants)


BITS = [*itertools.product([0, 1], repeat=3)]
LSTMS: list[Case] = [("LSTM", one, {}) for one in BITS]
GRUS: list[Case] = [("GRU", (bias, state, 0), {"linear_before_reset": after}) for bias, state, after in BITS]
RNNS: list[Case] = [("RNN", (*one, False), {}) for one in itertools.product([False, True], repeat=2)]


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("kind", "extras", "attributes"), [*LSTMS, *GRUS, *RNNS])
def test_a_recurrent_node_is_unrolled(
    kind: str, extras: tuple[int, ...], attributes: dict[str, int], direction: str
) -> None:
    bias, state, peep = map(bool, extras)
    more = {"B": bias, "h": state, "c": state and kind == "LSTM", "P": peep}
    model = recurrent(kind, direction, more, **attributes)
    made, changes = repair_for_conversion(model)
    assert not set(GATES) & set(kinds(made))
    assert [change.rewrite for change in changes] == ["unroll"]
    assert agreement(model, made) > 90


@pytest.mark.parametrize("attributes", [{"clip": 1.0}, {"activations": ["Relu", "Tanh", "Tanh"]}, {"input_forget": 1}])
def test_what_cannot_be_unrolled_stays(attributes: dict[str, object]) -> None:
    made, changes = repair_for_conversion(recurrent("LSTM", "forward", {}, **attributes))
    assert kinds(made) == ["LSTM"]
    assert not changes


def test_outputs_that_nobody_wants_are_not_made() -> None:
    model = recurrent("GRU", "forward", {"B": True})
    model.graph.node[0].output[0] = ""
    del model.graph.output[0]
    made, changes = repair_for_conversion(model)
    assert len(changes) == 1
    assert "Concat" not in kinds(made)
    assert agreement(model, made) > 90


@settings(max_examples=40)
@given(
    st.sampled_from(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]),
    st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]),
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.tuples(st.integers(1, 15), st.integers(1, 15)),
)
def test_nearest_picks_the_same_elements(mode: str, near: str, size: tuple[int, int], wanted: tuple[int, int]) -> None:
    settings_ = {"mode": "nearest", "coordinate_transformation_mode": mode, "nearest_mode": near}
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], **settings_)
    shape = {"y": (1, 2, *wanted)}
    model = make_model([node], {"x": (FLOAT, (1, 2, *size))}, shape, {"sizes": np.array([1, 2, *wanted])})
    made, _ = repair_for_conversion(model)
    assert agreement(model, made) == np.inf
    plain = [one for one in made.graph.node if one.op_type == "Resize"]
    assert all(b"asymmetric" in one.SerializeToString() and b"floor" in one.SerializeToString() for one in plain)


@pytest.mark.parametrize("mode", ["edge", "wrap", "reflect", "constant"])
def test_padding_of_an_input(mode: str) -> None:
    node = helper.make_node("Pad", ["x", "pads"], ["y"], mode=mode)
    model = make_model([node], {"x": (FLOAT, (2, 3, 4))}, {"y": (2, 6, 5)}, {"pads": np.array([0, 1, 1, 0, 2, 0])})
    made, changes = repair_for_conversion(model)
    assert kinds(made) == (["Gather", "Gather"] if mode in {"edge", "wrap"} else ["Pad"])
    assert len(changes) == (mode in {"edge", "wrap"})
    assert agreement(model, made) == np.inf


def quantized(kind: str, axis: int, bias_scale: float, **attributes: int) -> onnx.ModelProto:
    """A QDQ product with an int8 weight that has scales along `axis`, and an int32 bias."""
    random = np.random.default_rng(0)
    shape = (4, 3, 3, 3) if kind == "Conv" else (6, 4)
    sizes = shape[::-1] if attributes.get("transB") else shape
    scales = random.uniform(0.001, 0.02, sizes[axis]).astype(np.float32)
    bias = [] if kind == "MatMul" else ["bd"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]),
        helper.make_node("DequantizeLinear", ["wq", "ws", "wz"], ["wd"], axis=axis),
        helper.make_node("DequantizeLinear", ["bq", "bs"], ["bd"]),
        helper.make_node(kind, ["xd", "wd", *bias], ["p"], name="product", **attributes),
        helper.make_node("QuantizeLinear", ["p", "ys", "xz"], ["yq"]),
        helper.make_node("DequantizeLinear", ["yq", "ys", "xz"], ["y"]),
    ]
    constants: dict[str, np.ndarray] = {
        "xs": np.array(0.02, np.float32),
        "ys": np.array(0.1, np.float32),
        "xz": np.array(128, np.uint8),
        "wq": random.integers(-127, 128, sizes).astype(np.int8),
        "ws": scales,
        "wz": np.zeros(len(scales), np.int8),
        "bq": random.integers(-1000, 1000, 4).astype(np.int32),
        "bs": np.array(bias_scale, np.float32),
    }
    given_shape, made_shape = ((1, 3, 5, 5), (1, 4, 3, 3)) if kind == "Conv" else ((2, 6), (2, 4))
    return make_model(nodes, {"x": (FLOAT, given_shape)}, {"y": made_shape}, constants)


@pytest.mark.parametrize(
    ("kind", "axis", "attributes"), [("MatMul", 0, {}), ("Gemm", 0, {}), ("Gemm", 1, {"transB": 1})]
)
def test_scales_along_the_summed_axis_move_to_the_outputs(kind: str, axis: int, attributes: dict[str, int]) -> None:
    model = quantized(kind, axis, 0.001, **attributes)
    made, changes = repair_for_conversion(model)
    assert "weight-by-output" in {change.rewrite for change in changes}
    assert agreement(model, made) > 25
    assert repair_for_conversion(made)[1] == ()


@pytest.mark.parametrize(("kind", "axis", "attributes"), [("Conv", 0, {}), ("Gemm", 1, {}), ("Gemm", 0, {"transB": 1})])
def test_a_bias_gets_the_scale_of_input_times_weight(kind: str, axis: int, attributes: dict[str, int]) -> None:
    model = quantized(kind, axis, 0.001, **attributes)
    made, changes = repair_for_conversion(model)
    assert [change.rewrite for change in changes] == ["bias-scale"]
    assert agreement(model, made) > 40
    assert repair_for_conversion(made)[1] == ()


def test_an_int8_gamma_becomes_uint8() -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["gq", "gs", "gz"], ["g"]),
        helper.make_node("LayerNormalization", ["x", "g"], ["y"]),
    ]
    constants: dict[str, np.ndarray] = {
        "gq": np.array([-128, 0, 3, 127], np.int8),
        "gs": np.array(0.01, np.float32),
        "gz": np.array(-5, np.int8),
    }
    model = make_model(nodes, {"x": (FLOAT, (2, 4))}, {"y": (2, 4)}, constants)
    made, changes = repair_for_conversion(model)
    assert [change.rewrite for change in changes] == ["unsigned-gamma"]
    assert {tensor.data_type for tensor in made.graph.initializer} == {FLOAT, TensorProto.UINT8}
    assert agreement(model, made) == np.inf


def sandwich(
    node: onnx.NodeProto,
    shape: tuple[int, ...],
    steps: tuple[float, float],
    zeros: tuple[int, int],
    kind: type[np.generic],
) -> onnx.ModelProto:
    """An operation of x between Q/DQ pairs, opset 21; its own constants are named "low" and "high"."""
    nodes = []
    for name, target, number in (("x", "xd", 0), ("r", "y", 1)):
        encoding = [f"s{number}", f"z{number}"]
        nodes += [
            helper.make_node("QuantizeLinear", [name, *encoding], [f"{name}q"]),
            helper.make_node("DequantizeLinear", [f"{name}q", *encoding], [target]),
        ]
    nodes.insert(2, node)
    constants: dict[str, np.ndarray] = {f"s{one}": np.array(steps[one], np.float32) for one in (0, 1)}
    constants |= {f"z{one}": np.array(zeros[one], kind) for one in (0, 1)}
    constants |= {"low": np.array(0, np.float32), "high": np.array(2, np.float32)}
    model = make_model(nodes, {"x": (FLOAT, shape)}, {"y": shape}, constants)
    model.opset_import[0].version = 21
    return model


@pytest.mark.parametrize(("step", "zero", "changed"), [(3e-5, 40000, True), (3e-5, 65535, True), (2e-4, 30000, False)])
def test_a_narrow_log_gets_wider_steps(step: float, zero: int, changed: bool) -> None:
    node = helper.make_node("Log", ["xd"], ["r"], name="log")
    model = sandwich(node, (1, 64), (1e-4, step), (0, zero), np.uint16)
    made, changes = repair_for_conversion(model)
    assert [change.rewrite for change in changes] == ["wide-log"] * changed
    assert repair_for_conversion(made)[1] == ()
    x = np.linspace(0.5, 1, 64, dtype=np.float32).reshape(1, 64)
    wanted, got = (plain_session(one).run(None, {"x": x})[0] for one in (model, made))
    assert np.abs(wanted - got).max() < 2e-4


@pytest.mark.parametrize(
    ("node", "zero", "kinds_"),
    [
        (helper.make_node("Relu", ["xd"], ["r"]), 0, ["Identity"]),
        (helper.make_node("Clip", ["xd", "low"], ["r"]), 0, ["Identity"]),
        (helper.make_node("Clip", ["xd", "low", "high"], ["r"]), 0, ["Min"]),
        (helper.make_node("Relu", ["xd"], ["r"]), 9, ["Relu"]),
        (helper.make_node("Clip", ["xd", "high"], ["r"]), 0, ["Clip"]),
    ],
)
def test_a_bound_that_the_encoding_has_is_left_out(node: onnx.NodeProto, zero: int, kinds_: list[str]) -> None:
    model = sandwich(node, (3, 8), (0.02, 0.02), (zero, zero), np.uint8)
    made, _ = repair_for_conversion(model)
    assert [kind for kind in kinds(made) if "Linear" not in kind] == kinds_
    assert agreement(model, made) == np.inf


@pytest.mark.parametrize(
    ("rows", "kind", "flat"), [(10, np.uint16, True), (8, np.uint16, False), (10, np.uint8, False)]
)
def test_a_wide_product_of_odd_rows_is_flat(rows: int, kind: type[np.generic], flat: bool) -> None:
    node = helper.make_node("Mul", ["xd", "xd"], ["r"])
    model = sandwich(node, (1, 2, rows, 3), (0.02, 0.04), (100, 0), kind)
    made, changes = repair_for_conversion(model)
    assert [change.rewrite for change in changes] == ["flat-product"] * flat
    assert agreement(model, made) == np.inf
    assert repair_for_conversion(made)[1] == ()


def test_scales_that_only_a_float_operation_reads_are_a_float_constant() -> None:
    model = quantized("MatMul", 1, 0.001)
    model.graph.node[4].input[0] = "x"
    made, changes = repair_for_conversion(model)
    assert "float-weight" in {change.rewrite for change in changes}
    assert agreement(model, made) > 100


def joined(scale: float) -> onnx.ModelProto:
    """Two 8-bit parts, the second with steps `scale` times as large, in one 8-bit output."""
    nodes = []
    for name, step in (("a", "s"), ("b", "t")):
        nodes += [
            helper.make_node("QuantizeLinear", [name, step, "z"], [f"{name}q"]),
            helper.make_node("DequantizeLinear", [f"{name}q", step, "z"], [f"{name}d"]),
        ]
    nodes += [
        helper.make_node("Concat", ["ad", "bd"], ["c"], axis=1),
        helper.make_node("QuantizeLinear", ["c", "t", "z"], ["cq"]),
        helper.make_node("DequantizeLinear", ["cq", "t", "z"], ["cd"]),
        helper.make_node("Transpose", ["cd"], ["y"], perm=[1, 0]),
    ]
    steps: dict[str, np.ndarray] = {
        "s": np.array(0.01, np.float32),
        "t": np.array(0.01 * scale, np.float32),
        "z": np.array(9, np.uint8),
    }
    return make_model(nodes, dict.fromkeys("ab", (FLOAT, (2, 3))), {"y": (6, 2)}, steps)


@pytest.mark.parametrize(("scale", "apart"), [(100, True), (2, False)])
def test_parts_of_different_ranges_keep_their_encodings(scale: float, apart: bool) -> None:
    made, changes = repair_for_conversion(joined(scale))
    assert [change.rewrite for change in changes] == ["parts-apart"] * apart
    values = {"a": np.full((2, 3), 0.37, np.float32), "b": np.full((2, 3), 30 if apart else 0.4, np.float32)}
    got = plain_session(made).run(None, values)[0]
    assert np.abs(got[:3] - 0.37).max() < (1e-6 if apart else 0.02)
