"""Container 4.0: files of SNPE 2.19 and 2.20, judged by what such a file says twice."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from snpe_tools import dlc
from snpe_tools.core.tensor_spec import Encoding
from snpe_tools.dlc import Node, Tensor
from snpe_tools.inspection.health import check
from tests.dlc_files import U8, encoding4, model4, node4, records40, tensor4, tensors40, write_zip

REAL = Path(__file__).parents[4] / "shared" / "data" / "dlc"


@pytest.fixture
def decoder() -> dlc.Dlc:
    path = REAL / "v4.0_decoder.dlc"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return dlc.open(path)


def _values(node: Node, name: str) -> list[int]:
    value = node.attributes[name]
    assert isinstance(value, Tensor)
    return list(value.values().ravel().tolist())


def test_encodings_are_read_without_the_byte_that_marks_them(tmp_path: Path) -> None:
    records = records40()
    with dlc.open(write_zip(tmp_path / "m.dlc", records)) as opened:
        tensors = opened.graph.tensors
        assert tensors["x"].encoding == Encoding(8, (0.25,), (-128,))
        assert tensors["w"].encoding == Encoding(8, (0.5, 0.25), (0, 0), axis=0)
        assert tensors["y"].encoding is None
        assert check(opened) == []


def test_scalars_have_64_bits(tmp_path: Path) -> None:
    largest = float(np.finfo(np.float32).max)
    nodes = [node4("clip", "Neuron", ["x"], ["y"], max_value=largest, min_value=-largest, axis=-1)]
    tensors = tensors40(
        [tensor4("x", 0, U8, [4], encoding4([1.0], [0])), tensor4("y", 1, U8, [4], encoding4([1.0], [0]))]
    )
    with dlc.open(write_zip(tmp_path / "m.dlc", {"model": model4(nodes, tensors, minor=0)})) as opened:
        assert opened.graph.nodes[0].attributes == {"max_value": largest, "min_value": -largest, "axis": -1}


def test_every_weight_has_the_bytes_of_its_shape(decoder: dlc.Dlc) -> None:
    with decoder as opened:
        parameters = [tensor for node in opened.graph.nodes for tensor in node.tensors()]
        for tensor in (*opened.graph.with_role("static"), *parameters):
            assert tensor.data is not None
            assert len(tensor.data) == tensor.spec.nbytes(native=True)
        assert check(opened) == []


def test_a_transpose_permutes_its_input_to_its_output(decoder: dlc.Dlc) -> None:
    """The shapes of both sides say what the permutation does."""
    with decoder as opened:
        graph = opened.graph
        nodes = [node for node in graph.nodes if node.type == "Transpose"]
        assert len(nodes) == 4
        for node in nodes:
            before, after = graph.tensors[node.inputs[0]].shape, graph.tensors[node.outputs[0]].shape
            assert tuple(before[axis] for axis in _values(node, "perm")) == after


def test_a_reshape_states_the_shape_of_its_output(decoder: dlc.Dlc) -> None:
    with decoder as opened:
        for node in opened.graph.nodes:
            if node.type == "Reshape":
                assert tuple(_values(node, "shape")) == opened.graph.tensors[node.outputs[0]].shape


def test_a_convolution_fits_its_shapes(decoder: dlc.Dlc) -> None:
    with decoder as opened:
        graph = opened.graph
        (conv,) = (node for node in graph.nodes if node.type == "Conv2d")
        data, kernel, out = (graph.tensors[name].shape for name in (*conv.inputs, *conv.outputs))
        strides, dilations, pads = (_values(conv, name) for name in ("stride", "dilation", "pad_amount"))
        assert kernel[2] * int(str(conv.attributes["group"])) == data[3]
        for axis in (0, 1):
            reach = dilations[axis] * (kernel[axis] - 1) + 1
            padded = data[axis + 1] + pads[2 * axis] + pads[2 * axis + 1]
            assert math.floor((padded - reach) / strides[axis]) + 1 == out[axis + 1]


def test_a_clip_without_an_upper_bound_has_the_largest_float(decoder: dlc.Dlc) -> None:
    with decoder as opened:
        assert opened.graph.nodes[0].attributes["max_value"] == float(np.finfo(np.float32).max)
