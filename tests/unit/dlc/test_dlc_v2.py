"""Container 2.5: protobuf files of SNPE 1.19 to 1.22, on files written here and on real ones with their 3.0 twin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snpe_tools import dlc
from snpe_tools.core.errors import DlcError
from snpe_tools.core.tensor_spec import Encoding
from snpe_tools.dlc import Graph, Tensor
from snpe_tools.inspection.difference import difference
from snpe_tools.inspection.health import check
from snpe_tools.inspection.macs import count_macs
from tests.dlc_files import buffer2, encoding2, layer2, message, model2, records2, weight2, write_zip

REAL = Path(__file__).parents[4] / "shared" / "data" / "dlc"


def _open(path: Path, records: dict[str, bytes]) -> dlc.Dlc:
    return dlc.open(write_zip(path / "m.dlc", records))


def _real(name: str) -> Path:
    path = REAL / name
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return path


def _graph(path: Path, layers: list[bytes], buffers: list[bytes] | None = None) -> Graph:
    with _open(path, {"model": model2(layers, buffers or [])}) as opened:
        return opened.graph


def test_layers_have_types_parameters_and_weights(tmp_path: Path) -> None:
    with _open(tmp_path, records2()) as opened:
        graph = opened.graph
        _, conv, _, tanh, _ = graph.nodes
        assert [node.type for node in graph.nodes] == ["Input", "Convolutional", "FullyConnected", "Neuron", "type 77"]
        assert conv.inputs == ("x", "conv/bias", "conv/weights_0")
        assert conv.attributes == {"kernel": [3, 3], "stride": [1, 1], "pad": [1, 1], "dilation": [1, 1], "groups": 1,
                                   "padding_mode": 1, "padding_size_strategy": 3}  # fmt: skip
        assert graph.tensors["conv/bias"].values().tolist() == [1.5, -2.5]
        kernel = graph.tensors["conv/weights_0"]
        assert (kernel.dtype.name, kernel.shape) == ("uFxp_8", (3, 3, 1, 2))
        assert kernel.real_values().ravel().tolist() == pytest.approx([(step - 100) * 0.01 for step in range(18)])
        assert graph.tensors["fc/weights_0"].values().tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
        assert graph.tensors["h"].encoding == Encoding(16, (float(np.float32(0.001)),), (-10000,))
        assert tanh.attributes == {"type": "tanh", "a": 1.0, "b": 0.5, "min_clamp": 0.0, "max_clamp": 0.0}
        assert count_macs(graph).total == 2 * 18 // 2 + 4 * 8 // 4


def test_an_unknown_type_keeps_its_number_its_parameters_and_its_weights(tmp_path: Path) -> None:
    with _open(tmp_path, records2()) as opened:
        odd = opened.graph.nodes[-1]
        assert odd.inputs == ("t", "odd/weights_4_1")
        assert odd.attributes == {"field_1": 7, "field_2": 0.25, "field_3": "mode"}
        assert [tensor.shape for tensor in opened.graph.outputs] == [(1, 4), (7,)]
        assert opened.graph.unread == ("layer 'odd': the type 77; its parameters are shown by number",)


def test_what_no_file_had_is_listed(tmp_path: Path) -> None:
    layers = [
        layer2("x", 60, [4], ["x"], ["x"]),
        layer2("r", 163, [2, 2], ["x"], ["y"], (9, message((1, 1))), (14, 5)),
    ]
    graph = _graph(tmp_path, layers, [buffer2("y", [4, 1])])
    assert graph.unread == (
        "layer 'r': field 9, 2 values",
        "layer 'r': field 14, 1 values",
        "layer 'r': states the shape (2, 2), and its buffer (4, 1)",
    )


def test_a_permutation_and_an_axis_have_their_names(tmp_path: Path) -> None:
    layers = [
        layer2("x", 60, [1, 2, 3], ["x"], ["x"], (40, message((1, 0), (2, 1), (3, 0), (4, 0)))),
        layer2("p", 155, [1, 3, 2], ["x"], ["p"], (115, message((1, 0), (1, 2), (1, 1)))),
        layer2("c", 30, [1, 3, 4], ["p", "p"], ["y"], (25, message((1, 2)))),
    ]
    nodes = _graph(tmp_path, layers).nodes
    assert [dict(node.attributes) for node in nodes] == [
        {"field_2": 1, "field_3": 0, "field_4": 0},
        {"order": [0, 2, 1]},
        {"axis": 2},
    ]


def test_a_weight_with_too_few_bytes_is_named(tmp_path: Path) -> None:
    short = message((1, weight2([4, 2], bytes(31))), (2, weight2([4], bytes(16))))
    layers = [layer2("x", 60, [1, 2], ["x"], ["x"]), layer2("fc", 100, [1, 4], ["x"], ["y"], (70, short))]
    with _open(tmp_path, {"model": model2(layers)}) as opened:
        assert [(item.check, item.subject) for item in check(opened)] == [("data", "fc/weights_0")]


@pytest.mark.parametrize("shape", [[1] * 17, [1 << 31]])
def test_impossible_shapes_are_errors(tmp_path: Path, shape: list[int]) -> None:
    with pytest.raises(DlcError, match=r"m\.dlc: record 'model': offset \d+ holds an impossible shape"):
        _graph(tmp_path, [layer2("x", 60, shape, ["x"], ["x"])])


def test_the_container_twins_are_equal_tensor_by_tensor() -> None:
    """One model as SNPE 1.19 (2.5) and SNPE 1.25 (3.0) wrote it."""
    with dlc.open(_real("v2.5_pair.dlc")) as old, dlc.open(_real("v3.0_pair.dlc")) as new:
        assert (old.version, new.version) == ((2, 5), (3, 0))
        first, second = old.graph, new.graph
        assert list(first.tensors) == list(second.tensors)
        assert len(first.with_role("static")) == 14
        for name, tensor in first.tensors.items():
            assert _content(tensor) == _content(second.tensors[name])
        assert list(map(_wiring, first.nodes)) == list(map(_wiring, second.nodes))
        assert count_macs(first) == count_macs(second)
        assert count_macs(first).total == 120 * 120 + 120 * 80 + 4 * 80 * 80 + 80
        assert first.unread == ()
        assert check(old) == []
        assert difference(old, new).same


def _content(tensor: Tensor) -> Any:
    return tensor.shape, tensor.dtype, tensor.role, tensor.encoding, bytes(tensor.data or b"")


def _wiring(node: dlc.Node) -> Any:
    return node.name, node.type, node.inputs, node.outputs


def test_a_real_file_with_two_inputs() -> None:
    with dlc.open(_real("v2.5_two_inputs_concat.dlc")) as opened:
        graph = opened.graph
        assert dict(graph.op_types()) == {"FullyConnected": 5, "Neuron": 4, "Input": 2, "Concat": 1}
        assert [(tensor.name, tensor.shape) for tensor in graph.inputs] == [
            ("input_a:0", (500, 1)),
            ("input_b:0", (500, 1)),
        ]
        assert [(tensor.name, tensor.shape) for tensor in graph.outputs] == [("dense_5/BiasAdd:0", (500, 1))]
        assert graph.unread == ()
        assert all(_spread(tensor) for tensor in graph.with_role("static"))


def _spread(tensor: Tensor) -> bool:
    """Whether values look like those of a trained network: finite, and neither huge nor all zero."""
    values = tensor.real_values()
    return bool(np.isfinite(values).all() and 0 < np.abs(values).max() < 10)


SIZES = st.lists(st.integers(0, 6), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(shape=SIZES, scale=st.floats(2**-20, 2**20, width=32), offset=st.integers(-255, 0), data=st.data())
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, shape: list[int], scale: float, offset: int, data: st.DataObject
) -> None:
    elements = int(np.prod(shape))
    stored = data.draw(st.binary(min_size=elements, max_size=elements))
    entry = encoding2(8, scale * offset, scale * (offset + 255), scale, float(offset))
    own = message((1, weight2(shape, stored, entry)), (2, weight2(shape, bytes(4 * elements))))
    graph = _graph(tmp_path_factory.mktemp("any"), [layer2("fc", 100, shape, ["x"], ["y"], (70, own), encoding=entry)])
    weight, bias = graph.tensors["fc/weights_0"], graph.tensors["fc/bias"]
    assert (weight.shape, bytes(weight.data or b"")) == (tuple(shape), stored)
    assert weight.encoding == graph.tensors["y"].encoding == Encoding(8, (float(np.float32(scale)),), (offset,))
    assert (bias.dtype.name, bias.shape) == ("Float_32", tuple(shape))
