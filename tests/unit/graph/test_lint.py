"""What is known to go wrong is refused by name, before conversion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from snpe_tools.core.errors import ConversionError, OnnxError
from snpe_tools.graph.lint import findings, require_right
from snpe_tools.graph.loading import load
from tests.conftest import make_model
from tests.unit.graph.test_rewrites_repairs import recurrent

FLOAT = TensorProto.FLOAT


def _scattered(second: str) -> onnx.ModelProto:
    """Two ScatterElements; the second writes into `second`."""
    nodes = [
        helper.make_node("ScatterElements", ["x", "places", "u"], ["a"], name="first"),
        helper.make_node("ScatterElements", [second, "places", "u"], ["b"], name="second"),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    places = {"places": np.array([[0, 1], [2, 0]])}
    inputs = {"x": (FLOAT, (3, 2)), "z": (FLOAT, (3, 2)), "u": (FLOAT, (2, 2))}
    return make_model(nodes, inputs, {"y": (3, 2)}, places)


@pytest.mark.parametrize(("second", "precision", "count"), [("x", "w8a16", 1), ("x", "fp16", 0), ("z", "w8a8", 0)])
def test_two_scatters_into_one_tensor(second: str, precision: str, count: int) -> None:
    found = findings(_scattered(second), precision)
    assert [one.pattern for one in found] == ["scatter-twice"] * count
    assert all("ScatterElements 'second'" in str(one) for one in found)


def test_what_cannot_be_unrolled_is_refused_by_name() -> None:
    model = recurrent("LSTM", "forward", {}, clip=1.0)
    with pytest.raises(ConversionError, match=r"LSTM 'cell': the HTP opens no LSTM") as raised:
        require_right(model, Path("m.onnx"))
    assert "without clip" in raised.value.hint
    assert raised.value.exit_code == 4


def test_a_branch_and_an_unknown_domain_are_named() -> None:
    body = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["r"])], "g", [], [helper.make_tensor_value_info("r", FLOAT, (2,))]
    )
    nodes = [
        helper.make_node("If", ["c"], ["z"], name="choice", then_branch=body, else_branch=body),
        helper.make_node("Special", ["z"], ["y"], name="mine", domain="mine"),
    ]
    model = make_model(nodes, {"x": (FLOAT, (2,)), "c": (TensorProto.BOOL, ())}, {"y": (2,)})
    found = {one.pattern: str(one) for one in findings(model)}
    assert "If 'choice'" in found["branch"]
    assert "--value" in found["branch"]
    assert "'mine'" in found["foreign"]


@pytest.mark.parametrize(
    ("content", "words"), [(b"\x1c\0\0\0TFL3\0", "TensorFlow Lite"), (b"PK\x03\x04rest", "archive")]
)
def test_other_files_are_named_as_what_they_are(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(OnnxError, match=words):
        load(tmp_path / "m.onnx")
