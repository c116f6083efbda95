"""Tensor by tensor: figures, matching, causes and the order of what is read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from onnx import TensorProto, helper

from snpe_tools.core.errors import UsageError
from snpe_tools.core.raw_files import read_list
from snpe_tools.core.tensor_spec import Array
from snpe_tools.layerwise import comparison
from snpe_tools.layerwise.causes import likely_cause
from snpe_tools.layerwise.comparison import compare_sources, groups
from snpe_tools.layerwise.figures import Figures
from snpe_tools.layerwise.layer import Grid, Layer, Reader
from snpe_tools.layerwise.match import Pair, match
from snpe_tools.layerwise.onnx_source import OnnxSource
from snpe_tools.steps.compare import difference
from snpe_tools.steps.compare_layers import compare_layers
from tests.conftest import make_model


@given(npst.arrays(np.float32, st.integers(1, 40), elements=st.floats(width=32)), st.data())
def test_sums_in_blocks_are_the_figures_of_the_whole(wanted: np.ndarray, data: st.DataObject) -> None:
    got = data.draw(npst.arrays(np.float32, wanted.shape, elements=st.floats(width=32)))
    figures, whole = Figures(None), difference("x", wanted, got)
    figures.add(wanted, got)
    assert figures.not_finite == whole.not_finite
    if figures.count:
        assert figures.largest == whole.largest
        assert figures.share(figures.equal) == pytest.approx(whole.equal)
        assert figures.sqnr_db == pytest.approx(whole.sqnr_db) if whole.sqnr_db is not None else not figures.noise
        assert figures.cosine == pytest.approx(whole.cosine, nan_ok=True)


def test_blocks_and_inferences_add_up() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(3, 20_000)).astype(np.float32)
    b = (a + rng.normal(size=a.shape) / 100).astype(np.float32)
    a[1, 5], b[2, 7], b[2, 8] = np.nan, np.inf, -np.inf
    figures, whole = Figures(None), difference("x", a, b)
    for one, other in zip(a, b, strict=True):
        figures.add(one, other)
    assert figures.not_finite == whole.not_finite == (1, 2)
    assert figures.sqnr_db == pytest.approx(whole.sqnr_db)
    assert figures.cosine == pytest.approx(whole.cosine)
    assert figures.absolute / figures.count == pytest.approx(whole.mean)


class _Made:
    """A source of given tensors; it notes what was read together."""

    kind = "test"
    converted = False

    def __init__(self, name: str, layers: Sequence[Layer], values: Mapping[str, Sequence[Array]]) -> None:
        self.name, self.values = name, values
        self.layers: Mapping[str, Layer] = {layer.key: layer for layer in layers}
        self.read: list[tuple[tuple[str, ...], int]] = []

    @contextmanager
    def run(self, names: Sequence[str]) -> Iterator[Reader]:
        assert set(names) <= set(self.values)

        def read(wanted: Sequence[str], index: int) -> Mapping[str, Array]:
            self.read.append((tuple(wanted), index))
            return {name: self.values[name][index] for name in wanted}

        yield read


def _layer(key: str, name: str = "", *, shape: tuple[int, ...] = (4,), inputs: tuple[str, ...] = ()) -> Layer:
    return Layer(key, name or key, "Add", f"node_{key}", shape, inputs)


def test_tensors_are_read_in_groups_and_the_noise_is_given_to_the_op_that_added_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(comparison, "GROUP_BYTES", 40)
    ones: np.ndarray = np.ones(4, np.float32)
    layers = [_layer("a"), _layer("b", inputs=("a",)), _layer("c", inputs=("b",))]
    first = _Made("first", layers, {key: [ones, ones] for key in "abc"})
    second = _Made("second", layers, {"a": [ones, ones], "b": [ones * 0.9] * 2, "c": [ones * 0.9] * 2})
    found = compare_sources(first, second, 2, threshold_db=25)
    assert first.read == [(("a", "b"), 0), (("a", "b"), 1), (("c",), 0), (("c",), 1)]
    assert [row.sqnr_db for row in found.layers] == [None, pytest.approx(20, abs=1e-5), pytest.approx(20, abs=1e-5)]
    assert [row.tensor for row in found.worst(5)] == ["b"]
    assert found.layers[1].added == pytest.approx(0.01)
    assert found.layers[2].input_db == pytest.approx(20, abs=1e-5)
    assert found.diverged == "b"
    assert compare_sources(first, second, 2, threshold_db=19).diverged == ""


def test_nan_diverges_whatever_the_threshold() -> None:
    bad = np.array([1, np.nan, 1, 1], np.float32)
    layers = [_layer("a")]
    found = compare_sources(_Made("f", layers, {"a": [np.ones(4)]}), _Made("s", layers, {"a": [bad]}), 1)
    assert found.diverged == "a"
    assert found.layers[0].not_finite == (0, 1)
    assert found.layers[0].cause == "1 NaN or infinite numbers"
    assert found.worst(1)[0].tensor == "a"


def test_what_cannot_be_matched_is_counted() -> None:
    first = _Made("f", [_layer("a"), _layer("b", shape=(2, 2, 3)), _layer("c")], {})
    second = _Made("s", [_layer("a", "a_q", shape=(1, 4)), _layer("b", shape=(3, 2, 2)), _layer("d")], {})
    found = match(first, second)
    assert [(pair.one.name, pair.other.name) for pair in found.pairs] == [("a", "a_q")]
    assert (found.renamed, found.reshaped, found.first_only, found.second_only) == (1, ("b",), ("c",), ("d",))
    with pytest.raises(UsageError, match="no tensor in common"):
        compare_sources(_Made("f", [_layer("a")], {}), _Made("s", [_layer("b")], {}), 1)


@given(st.permutations([0, 1, 2, 3]), st.integers(0, 3))
def test_moved_axes_are_moved_back(order: list[int], single: int) -> None:
    shape = [2, 3, 5, 7]
    shape[single] = 1
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    moved = values.transpose(order)
    first = _Made("f", [_layer("a", shape=values.shape)], {"a": [values]})
    second = _Made("s", [_layer("a", shape=moved.shape)], {"a": [moved.reshape(-1)]})
    found = compare_sources(first, second, 1)
    assert found.layers[0].sqnr_db is None
    assert found.moved == (np.squeeze(values).shape != np.squeeze(moved).shape)


def test_groups_never_split_a_tensor_and_lose_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "GROUP_BYTES", 4 * 10)
    pairs = [Pair(layer, layer, (0,)) for layer in (_layer(str(size), shape=(size,)) for size in (3, 8, 2, 50, 1))]
    assert [[pair.one.elements for pair in group] for group in groups(pairs)] == [[3], [8, 2], [50], [1]]


def _cause(values: Array, got: Array, grid: Grid | None, *, op: str = "Add", weight_bits: int = 0) -> str:
    layer = Layer("x", "x", op, "n", values.shape, grid=grid, weight_bits=weight_bits)
    figures = Figures(grid)
    figures.add(values, got)
    return likely_cause(layer, figures, {"x": (layer, figures)})


def _rounded(values: np.ndarray, grid: Grid) -> np.ndarray:
    return np.asarray(np.clip(np.rint(values / grid.step) * grid.step, grid.low, grid.high))


def test_causes_in_words() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=10_000)
    wide, narrow = Grid(-4, 4, 8 / 255, 8), Grid(-1, 1, 2 / 255, 8)
    assert _cause(values, _rounded(values, wide), Grid(-5, 5, 10 / 255, 8)).startswith("rounding to 8 bits")
    assert _cause(values, _rounded(values, narrow), narrow).startswith("saturated: 32 % of values lie outside")
    masked = np.where(np.arange(10_000) % 3 == 0, -100.0, values)
    grid = Grid(-104, 4, 108 / 255, 8)
    assert _cause(masked, _rounded(masked, grid), grid).startswith("mask constant: scores reach -100")
    spiky = values.copy()
    spiky[0] = 80
    grid = Grid(-80, 80, 160 / 255, 8)
    assert _cause(spiky, _rounded(spiky, grid), grid).startswith("range dominated by an outlier: 80 is")
    grid = Grid(-20, 20, 40 / 255, 8)
    assert _cause(values, _rounded(values, grid), grid).startswith("too few levels: at 8 bits")
    tail = np.exp(-np.abs(values) * 9)
    grid = Grid(0, 1, 1 / 255, 8)
    assert _cause(tail, _rounded(tail, grid), grid, op="Softmax").startswith("softmax tail")
    assert _cause(values, values + 0.1, wide, op="Gemm", weight_bits=8).startswith("weights at 8 bits")
    assert _cause(values, values, wide) == "no difference"
    huge = values * 1e5
    assert "leave fp16" in _cause(huge, np.where(np.abs(huge) > 65504, np.inf, huge), None)


def _float_model() -> onnx.ModelProto:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], "first"),
        helper.make_node("Relu", ["h"], ["r"], "second"),
        helper.make_node("Add", ["r", "x"], ["y"], "third"),
    ]
    weights = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    return make_model(nodes, {"x": (TensorProto.FLOAT, (2, 8))}, {"y": (2, 8)}, {"w": weights})


def _quantized_model() -> onnx.ModelProto:
    """As exporters write it: `h_qdq` behind `h`, and the output's name behind its quantization."""
    scale, zero = np.array(0.05, np.float32), np.array(128, np.uint8)
    model = _float_model()
    weights = onnx.numpy_helper.to_array(model.graph.initializer[0])
    nodes = [
        helper.make_node("DequantizeLinear", ["w_q", "s", "z"], ["w_updated"]),
        helper.make_node("MatMul", ["x", "w_updated"], ["h"], "first"),
        helper.make_node("QuantizeLinear", ["h", "s", "z"], ["h_q"]),
        helper.make_node("DequantizeLinear", ["h_q", "s", "z"], ["h_qdq"]),
        helper.make_node("Relu", ["h_qdq"], ["r"], "second"),
        helper.make_node("Add", ["r", "x"], ["y_qdq"], "third"),
        helper.make_node("QuantizeLinear", ["y_qdq", "s", "z"], ["y_q"]),
        helper.make_node("DequantizeLinear", ["y_q", "s", "z"], ["y"]),
    ]
    stored = np.clip(np.rint(weights / 0.05) + 128, 0, 255).astype(np.uint8)
    constants = {"w_q": stored, "s": scale, "z": zero}
    return make_model(nodes, {"x": (TensorProto.FLOAT, (2, 8))}, {"y": (2, 8)}, constants)


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path, Path]:
    rng = np.random.default_rng(3)
    lines = []
    for index in range(3):
        rng.normal(size=(2, 8)).astype(np.float32).tofile(tmp_path / f"{index}.raw")
        lines.append(f"x:={index}.raw\n")
    (tmp_path / "list.txt").write_text("".join(lines))
    onnx.save(_float_model(), tmp_path / "f.onnx")
    onnx.save(_quantized_model(), tmp_path / "q.onnx")
    return tmp_path / "f.onnx", tmp_path / "q.onnx", tmp_path / "list.txt"


def test_a_quantized_tensor_has_the_name_of_the_float_one(models: tuple[Path, Path, Path]) -> None:
    source = OnnxSource(models[1], read_list(models[2]))
    assert {key: (layer.name, layer.inputs) for key, layer in source.layers.items()} == {
        "h": ("h_qdq", ()),
        "r": ("r", ("h",)),
        "y": ("y", ("r",)),
    }
    assert source.layers["h"].weight_bits == 8
    grid = source.layers["y"].grid
    assert grid is not None
    assert (grid.low, grid.high, grid.step, grid.bits) == pytest.approx((-6.4, 6.35, 0.05, 8))
    assert source.layers["r"].grid is None


def test_float_against_qdq_on_real_sessions(models: tuple[Path, Path, Path]) -> None:
    found = compare_layers(*models, limit=0)
    assert (found.inferences, found.renamed, found.first_only, found.second_only) == (3, 1, (), ())
    assert [row.tensor for row in found.layers] == ["h", "r", "y"]
    assert all(15 < (row.sqnr_db or 0) < 60 for row in found.layers)
    x = np.stack([np.fromfile(models[2].parent / f"{index}.raw", np.float32).reshape(2, 8) for index in range(3)])
    hidden = x @ onnx.numpy_helper.to_array(_float_model().graph.initializer[0])
    assert found.layers[0].low == pytest.approx(hidden.min(), rel=1e-5)
    assert found.layers[0].rms == pytest.approx(math.sqrt(np.mean(hidden**2)), rel=1e-5)
    assert compare_layers(*models, limit=2).inferences == 2


def test_a_model_equals_itself(models: tuple[Path, Path, Path]) -> None:
    found = compare_layers(models[0], models[0], models[2])
    assert {row.sqnr_db for row in found.layers} == {None}
    assert {row.equal for row in found.layers} == {100}
    assert (found.diverged, found.worst(3)) == ("", [])
