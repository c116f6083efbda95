"""Offsets of LayerNormalization on whole steps: the graph computes the same, and refuses where it could not."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from snpe_tools.graph.loading import constant_tensors
from snpe_tools.graph.session import plain_session
from snpe_tools.quantization.norm_offsets import settle_norm_offsets
from tests.conftest import make_model

STEP = 0.037
NUMBERS = np.random.default_rng(0)


def block(*, turned: bool = False, reads: str = "") -> onnx.ModelProto:
    """A LayerNormalization that a product and a residual sum behind another product read, as in a transformer.

    Args:
        turned: the first product's weight is stored transposed.
        reads: another node that reads the normalized tensor: its ONNX type, or "output" for the model's own output.
    """
    shape = (6, 4) if turned else (4, 6)
    constants = {
        "g": NUMBERS.normal(size=4), "b": NUMBERS.normal(size=4), "w1": NUMBERS.normal(size=shape),
        "b1": NUMBERS.normal(size=6), "w2": NUMBERS.normal(size=(6, 4)), "b2": NUMBERS.normal(size=4),
    }  # fmt: skip
    nodes = [
        helper.make_node("LayerNormalization", ["x", "g", "b"], ["n"], name="norm"),
        helper.make_node("Reshape", ["n", "flat"], ["rows"], name="rows"),
        helper.make_node("Gemm", ["rows", "w1", "b1"], ["h"], name="first", transB=int(turned)),
        helper.make_node("Gelu", ["h"], ["a"], name="gelu"),
        helper.make_node("Gemm", ["a", "w2", "b2"], ["f"], name="second"),
        helper.make_node("Reshape", ["f", "back"], ["moved"], name="back"),
        helper.make_node("Add", ["moved", "n"], ["y"], name="residual"),
    ]
    outputs = {"y": (1, 3, 4)}
    if reads == "output":
        outputs["n"] = (1, 3, 4)
    elif reads:
        nodes.append(helper.make_node(reads, ["n"], ["z"], name="other"))
        outputs["z"] = (1, 3, 4)
    floats = {name: value.astype(np.float32) for name, value in constants.items()}
    shapes = {"flat": np.array([3, 4], np.int64), "back": np.array([1, 3, 4], np.int64)}
    return make_model(nodes, {"x": (TensorProto.FLOAT, (1, 3, 4))}, outputs, floats | shapes)


def constant(model: onnx.ModelProto, name: str) -> np.ndarray:
    array: np.ndarray = numpy_helper.to_array(dict(constant_tensors(model))[name])
    return array


def output(model: onnx.ModelProto) -> np.ndarray:
    values = np.random.default_rng(1).normal(size=(1, 3, 4)).astype(np.float32)
    result: np.ndarray = plain_session(model).run(["y"], {"x": values})[0]
    return result


@pytest.mark.parametrize("turned", [False, True])
@given(step=st.floats(1e-3, 3))
def test_offsets_become_whole_steps_and_the_graph_computes_the_same(turned: bool, step: float) -> None:
    model = block(turned=turned)
    before = output(model)
    assert settle_norm_offsets(model, {"n": step}) == 1
    steps = constant(model, "b") / step
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
    np.testing.assert_allclose(output(model), before, atol=1e-5)


@pytest.mark.parametrize("reads", ["Relu", "Softmax", "output"])
def test_offsets_stay_where_a_reader_cannot_take_the_rest(reads: str) -> None:
    model = block(reads=reads)
    before = model.SerializeToString()
    assert settle_norm_offsets(model, {"n": STEP}) == 0
    assert model.SerializeToString() == before


def changed(name: str) -> onnx.ModelProto:
    """The block with one thing that is in the way."""
    model = block()
    nodes = {node.name: node for node in model.graph.node}
    if name == "the first product has no bias":
        del nodes["first"].input[2:]
    elif name == "the second product is scaled":
        nodes["second"].attribute.append(helper.make_attribute("beta", 2.0))
    elif name == "two products share a bias":
        nodes["second"].input[2] = "b"
    elif name == "somebody else reads the second product":
        model.graph.output.append(helper.make_tensor_value_info("f", TensorProto.FLOAT, (3, 4)))
    elif name == "the norm has no offset":
        del nodes["norm"].input[2:]
    else:
        nodes["residual"].input[0] = "n"
    return model


@pytest.mark.parametrize(
    "name",
    [
        "the first product has no bias",
        "the second product is scaled",
        "two products share a bias",
        "somebody else reads the second product",
        "the norm has no offset",
        "it is added to itself",
    ],
)
def test_offsets_stay_where_something_is_in_the_way(name: str) -> None:
    model = changed(name)
    before = model.SerializeToString()
    assert settle_norm_offsets(model, {"n": STEP}) == 0
    assert model.SerializeToString() == before


def test_only_outputs_of_8_bits_matter() -> None:
    assert settle_norm_offsets(block(), {}) == 0
