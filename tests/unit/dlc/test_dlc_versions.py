"""Every container version, on files written here and on real ones of Qualcomm's tools where they are at hand."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snpe_tools import dlc
from snpe_tools.core.errors import DlcError
from snpe_tools.core.tensor_spec import Encoding
from snpe_tools.dlc import Graph
from snpe_tools.dlc import flatbuffer as flatbuffers_reader
from snpe_tools.inspection.history import compiled_caches
from snpe_tools.inspection.macs import count_macs
from tests.dlc_files import (
    F16,
    F32,
    S8,
    U8,
    U16,
    Shared,
    all_versions,
    attribute3,
    encoding4,
    flatbuffer,
    header,
    model4,
    node3,
    node4,
    params41,
    records3,
    records40,
    records41,
    tensor4,
    write_zip,
)  # fmt: skip

REAL = Path(__file__).parents[4] / "shared" / "data" / "dlc"


def _open(path: Path, records: dict[str, bytes]) -> dlc.Dlc:
    return dlc.open(write_zip(path / "m.dlc", records))


def _shape_of(graph: Graph) -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    return [(node.name, node.type, node.inputs, node.outputs) for node in graph.nodes]


@pytest.mark.parametrize("version", all_versions())
def test_every_version_is_read_to_ops_tensors_encodings_and_weights(tmp_path: Path, version: str) -> None:
    with _open(tmp_path, all_versions()[version]) as opened:
        assert f"{opened.version[0]}.{opened.version[1]}" == version.removesuffix("-old")
        graph = opened.graph
        assert "FullyConnected" in graph.op_types()
        assert [tensor.name for tensor in graph.inputs] == ["x"]
        assert "y" in [tensor.name for tensor in graph.outputs]
        assert graph.tensors["c" if version == "2.5" else "h"].encoding == Encoding(8, (1.0,), (-10,))
        weights = graph.with_role("static")
        assert weights
        assert all(weight.is_complete and np.isfinite(weight.real_values()).all() for weight in weights)
        assert opened.metadata


def test_version_41_parameters_are_read_with_their_types(tmp_path: Path) -> None:
    with _open(tmp_path, records41()) as opened:
        _, transpose, neuron = opened.graph.nodes
        assert neuron.attributes == {"operation": 4, "alpha": 0.5, "fast": True}
        assert [tensor.values().tolist() for tensor in transpose.tensors()] == [[1, 0]]
        weight = opened.graph.tensors["w"]
        assert weight.real_values().tolist() == [[0.5, 1, 1.5, -2], [1.25, -1.5, 1.75, 31.75]]
        limits = opened.graph.tensors["x"].limits
        assert limits is not None
        assert (limits.minima, limits.maxima) == ((-32,), (31.75,))


def test_small_floats_keep_their_value(tmp_path: Path) -> None:
    """An epsilon of 1e-12 is a 64-bit number in 4.1; read as 32 bits it would be -0."""
    nodes = [node4("norm", "LayerNorm", ["x"], ["y"], epsilon=1e-12, axis=-1)]
    tensors = [tensor4("x", 0, F32, [4]), tensor4("y", 1, F32, [4])]
    with _open(tmp_path, {"model": model4(nodes, tensors)}) as opened:
        assert opened.graph.nodes[0].attributes == {"epsilon": 1e-12, "axis": -1}


def test_version_40_tensors_may_share_a_buffer(tmp_path: Path) -> None:
    with _open(tmp_path, records40()) as opened:
        tensors = opened.graph.tensors
        assert tensors["w"].values().tolist() == tensors["w2"].values().tolist() == [[1, 2, 3, -4], [5, -6, 7, 127]]
        assert [tensor.values().tolist() for tensor in opened.graph.nodes[1].tensors()] == [[1, 0]]


def test_version_3_weights_belong_to_their_layer(tmp_path: Path) -> None:
    with _open(tmp_path, records3()) as opened:
        layer = opened.graph.nodes[1]
        assert layer.inputs == ("x", "fc/bias", "fc/weights_0")
        assert layer.attributes == {"op": "FC"}
        assert opened.graph.tensors["fc/bias"].values().tolist() == [1.5, -2.5]
        assert opened.graph.tensors["fc/weights_0"].real_values().tolist() == [[0, 0, 0, 0], [0, 0, 0, 1]]
        assert [cache.soc for cache in opened.caches] == [""]
        assert [cache.soc for cache in compiled_caches(opened)] == ["unknown"]


def test_version_3_widths_follow_from_the_range(tmp_path: Path) -> None:
    entry = {"delta": 0.001, "min": -10.0, "max": 55.535, "offset": -10000.0}
    nodes = [node3("x", "Input", ["x"], ["x"], OutputDims={"0": [1]}, FxpData={"0": entry})]
    with _open(tmp_path, {"model": header(3, 0) + flatbuffer({6: nodes}, b"NETD")}) as opened:
        assert opened.graph.tensors["x"].dtype.name == "uFxp_16"


@pytest.mark.parametrize(("major", "minor"), [(1, 0), (2, 4), (3, 1), (4, 2), (5, 0)])
def test_an_unknown_version_is_an_error(tmp_path: Path, major: int, minor: int) -> None:
    with pytest.raises(DlcError, match=rf"container version {major}\.{minor} is unknown"):
        _open(tmp_path, records41(model=header(major, minor) + model4()[8:]))


def test_deep_metadata_is_kept_as_text(tmp_path: Path) -> None:
    deep = b"[" * 200 + b"]" * 200
    with _open(tmp_path, records41(**{"dlc.metadata2.3.0": deep})) as opened:
        assert opened.metadata == {"dlc.metadata2.3.0": deep.decode()}


def test_a_graph_without_layers_is_an_error(tmp_path: Path) -> None:
    for model in (
        header(3, 0) + flatbuffer({6: []}, b"NETD"),
        header(2, 5),
        header(4, 1) + flatbuffer({4: []}, b"NETD"),
    ):
        with pytest.raises(DlcError, match="record 'model' holds no"):
            _open(tmp_path, {"model": model})


def test_deep_nesting_is_an_error(tmp_path: Path) -> None:
    nested: Any = 1
    for _ in range(40):
        nested = {"a": nested}
    nodes = [{6: "n", 8: "Relu", 14: [attribute3("deep", nested)]}]
    with pytest.raises(DlcError, match=r"m\.dlc: record 'model': offset \d+ nests attributes more than 12 deep"):
        _open(tmp_path, {"model": header(3, 0) + flatbuffer({6: nodes}, b"NETD")})


@pytest.mark.parametrize(
    ("tensor", "what"),
    [
        (tensor4("t", 3, 0x999, [1]), "gives tensor 't' the unknown data type 0x999"),
        (tensor4("t", 3, F32, [-1]), "gives tensor 't' an impossible shape"),
        (tensor4("t", 3, F32, [1] * 17), "gives tensor 't' an impossible shape"),
        (tensor4("x", 3, F32, [1]), "defines the tensor 'x' a second time"),
    ],
)
def test_impossible_tensors_are_errors_with_record_and_offset(tmp_path: Path, tensor: Any, what: str) -> None:
    tensors = [tensor4("x", 0, F32, [1]), tensor]
    with pytest.raises(DlcError, match=rf"m\.dlc: record 'model': offset \d+ {what}"):
        _open(tmp_path, {"model": model4([], tensors)})


def test_encodings_and_kinds_that_are_not_understood_are_listed(tmp_path: Path) -> None:
    blocks = {4: np.uint32(5), 6: np.uint8(1)}
    tensors = [tensor4("b", 3, U8, [4], blocks), tensor4("n", 5, F32, [4])]
    with _open(tmp_path, {"model": model4([], tensors)}) as opened:
        assert opened.graph.unread == (
            "tensor 'b': an encoding of kind 5",
            "tensor 'n': the kind 5, read as a tensor between nodes",
        )


def test_fields_of_a_later_schema_are_listed_once(tmp_path: Path) -> None:
    tensors = [{**tensor4(name, 3, F32, [4]), 34: np.int32(7)} for name in "ab"]
    with _open(tmp_path, {"model": model4([{**node4("n", "Relu", ["a"], ["b"]), 14: "new"}], tensors)}) as opened:
        assert opened.graph.unread == (
            "tensors have fields beyond number 32",
            "operations have fields beyond number 12",
        )


def test_more_tables_than_any_model_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them one table, so that the record is small: refused at the limit, not read for minutes."""
    monkeypatch.setattr(flatbuffers_reader, "_MOST_TABLES", 3_000)
    nodes: list[Any] = [Shared({6: "Op"})] * 4_000
    nodes.append({4: "padding", 6: "x" * 40_000})
    with pytest.raises(DlcError, match=r"is table 3001 of the record, more than any model has"):
        _open(tmp_path, {"model": model4(nodes, [])})


def test_a_weight_longer_than_its_shape_is_cut_to_it(tmp_path: Path) -> None:
    """Real files hold fp16 weights in buffers of twice their size."""
    params, blob = params41({"w": bytes(np.array([1, 2, 3, 4], np.float16)) + bytes(8)}, None)
    records = {"model": model4([], [tensor4("w", 4, F16, [4])]), "model.params": params, "model.params.bin": blob}
    with _open(tmp_path, records) as opened:
        assert opened.graph.tensors["w"].values().tolist() == [1, 2, 3, 4]


NAMES = st.text(string.printable + "éß∑\x00\x1b\u202e", min_size=1, max_size=12)
DTYPES = st.sampled_from([F32, F16, U8, U16, S8])


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(NAMES, min_size=1, max_size=6, unique=True),
    data=st.data(),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], data: st.DataObject
) -> None:
    """Names, shapes, types, encodings and weights survive, whatever they are."""
    shapes = [data.draw(st.lists(st.integers(0, 5), max_size=4)) for _ in names]
    kinds = [data.draw(DTYPES) for _ in names]
    scales = [data.draw(st.lists(st.floats(2**-20, 2**20, width=32), min_size=1, max_size=4)) for _ in names]
    offsets = [[data.draw(st.integers(-(2**31), 2**31 - 1)) for _ in row] for row in scales]
    axes = [0 if len(row) > 1 else None for row in scales]
    encoded = [encoding4(*row) for row in zip(scales, offsets, axes, strict=True)]
    tensors = [tensor4(name, 4, kind, shape, encoding)
               for name, kind, shape, encoding in zip(names, kinds, shapes, encoded, strict=True)]  # fmt: skip
    blobs = {name: data.draw(st.binary(max_size=20)) for name in names}
    params, blob = params41(blobs, None)
    nodes = [node4(name, "Op", names, names[:1]) for name in names]
    records = {"model": model4(nodes, tensors), "model.params": params, "model.params.bin": blob}
    with _open(tmp_path_factory.mktemp("any"), records) as opened:
        graph = opened.graph
        assert list(graph.tensors) == names
        assert _shape_of(graph) == [(name, "Op", tuple(names), (names[0],)) for name in names]
        for index, (name, tensor) in enumerate(graph.tensors.items()):
            wanted = Encoding(
                8, tuple(float(np.float32(scale)) for scale in scales[index]), tuple(offsets[index]), axes[index]
            )
            assert (tensor.shape, tensor.dtype.code, tensor.encoding) == (tuple(shapes[index]), kinds[index], wanted)
            assert bytes(tensor.data or b"") == blobs[name]


def _real(name: str) -> Path:
    path = REAL / name
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return path


def test_a_real_file_of_snpe_156_quantized() -> None:
    with dlc.open(_real("test_abs_q.dlc")) as opened:
        graph = opened.graph
        assert _shape_of(graph) == [
            ("x", "Input", (), ("x",)),
            ("elementwise_unary_abs_0", "ElementwiseUnaryOp", ("x",), ("y",)),
        ]
        assert graph.tensors["x"].encoding == Encoding(8, (0.18431372940540314,), (-125,))
        assert graph.tensors["y"].encoding == Encoding(8, (0.0941176488995552,), (0,))
        assert graph.tensors["x"].shape == (3, 4, 5)
        assert [entry.modified for entry in opened.container.records.values()] == ["2022-04-04 21:59:20"] * 3


def test_a_real_file_of_qairt_242() -> None:
    with dlc.open(_real("qnn-ir-2.42-11142297670459488311_0_0.dlc")) as opened:
        graph = opened.graph
        assert list(graph.op_types()) == ["Eltwise_Binary", "Concat", "Transpose", "ResizeBilinear", "StridedSlice"]
        assert next(graph.nodes[2].tensors()).values().tolist() == [0, 2, 3, 1]
        assert count_macs(graph).uncounted == {}


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("test_abs.dlc", ["x"], ["y"]),
        ("test_concat_2d_axis_0.dlc", ["value0", "value1"], ["output"]),
        ("test_split_equal_parts_2d.dlc", ["input"], ["output_1", "output_2"]),
    ],
)
def test_real_files_of_snpe_151(name: str, inputs: list[str], outputs: list[str]) -> None:
    with dlc.open(_real(name)) as opened:
        graph = opened.graph
        assert [tensor.name for tensor in graph.inputs] == inputs
        assert [tensor.name for tensor in graph.outputs] == outputs
        assert all(tensor.shape and tensor.dtype.name == "Float_32" for tensor in graph.tensors.values())
