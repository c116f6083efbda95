"""What was computed wrong, or not at all, and is right on the emulator once it is rewritten."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from snpe_tools import convert
from snpe_tools.core.socs import DEFAULT
from snpe_tools.core.sqnr import sqnr_db
from snpe_tools.graph.inputs import use_int32_inputs
from snpe_tools.graph.loading import save
from snpe_tools.graph.session import plain_session
from snpe_tools.qnn.session import Session
from tests.conftest import make_model
from tests.unit.graph.test_rewrites_repairs import quantized, recurrent


def _padded() -> onnx.ModelProto:
    node = onnx.helper.make_node("Pad", ["x", "pads"], ["y"], mode="edge")
    pads = np.array([0, 0, 1, 1, 0, 0, 2, 2])
    return make_model([node], {"x": (TensorProto.FLOAT, (1, 2, 4, 4))}, {"y": (1, 2, 7, 7)}, {"pads": pads})


def _resized() -> onnx.ModelProto:
    node = onnx.helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="nearest")
    sizes = np.array([1, 1, 8, 9])
    return make_model([node], {"x": (TensorProto.FLOAT, (1, 1, 5, 6))}, {"y": (1, 1, 8, 9)}, {"sizes": sizes})


def _bytes() -> onnx.ModelProto:
    nodes = [
        onnx.helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        onnx.helper.make_node("Mul", ["f", "k"], ["y"]),
    ]
    constants = {"k": np.array(0.25, np.float32)}
    return make_model(nodes, {"x": (TensorProto.UINT8, (1, 16))}, {"y": (1, 16)}, constants)


MODELS = {
    "lstm": lambda: recurrent("LSTM", "bidirectional", {"B": True}),
    "gru": lambda: recurrent("GRU", "forward", {"h": True}, linear_before_reset=1),
    "summed axis": lambda: quantized("MatMul", 0, 0.001),
    "bias scale": lambda: quantized("Conv", 0, 0.001),
    "pad edge": _padded,
    "resize nearest": _resized,
    "uint8 input": _bytes,
}


@pytest.mark.parametrize("name", list(MODELS))
def test_the_dlc_computes_what_the_model_does(name: str, tmp_path: Path) -> None:
    model, random = use_int32_inputs(MODELS[name]()), np.random.default_rng(1)
    save(MODELS[name](), tmp_path / "m.onnx")
    convert(tmp_path / "m.onnx", tmp_path / "m.dlc")
    reference = plain_session(model)
    with Session(tmp_path / "m.dlc", DEFAULT) as session:
        specs = {spec.name: spec for spec in session.outputs}
        inputs = {
            spec.name: random.normal(size=spec.shape).astype(np.float32)
            if spec.dtype.numpy.kind == "f"
            else random.integers(0, 200, spec.shape).astype(np.int32)
            for spec in session.inputs
        }
        got = session.execute(inputs)
    wanted = dict(zip([value.name for value in reference.get_outputs()], reference.run(None, inputs), strict=True))
    for output, numbers in wanted.items():
        noise = sqnr_db(numbers, specs[output].to_real(got[output]))
        assert noise is None or noise > 25, output
