"""An image classifier: a model that has nothing to do with questions."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from tests.conftest import make_model


def make_cnn(batch: int | str = 1) -> onnx.ModelProto:
    """A small image classifier: nothing about questions."""
    numbers = np.random.default_rng(0)
    constants: dict[str, np.ndarray] = {
        "w1": numbers.normal(size=(8, 3, 3, 3)).astype(np.float32) / 4,
        "b1": numbers.normal(size=8).astype(np.float32),
        "w2": numbers.normal(size=(8, 10)).astype(np.float32),
        "b2": numbers.normal(size=10).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["conv"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], name="conv"),
        helper.make_node("Relu", ["conv"], ["relu"], name="relu"),
        helper.make_node("GlobalAveragePool", ["relu"], ["pool"], name="pool"),
        helper.make_node("Flatten", ["pool"], ["flat"], name="flat"),
        helper.make_node("Gemm", ["flat", "w2", "b2"], ["scores"], name="gemm"),
    ]
    return make_model(nodes, {"image": (1, (batch, 3, 8, 8))}, {"scores": (batch, 10)}, constants)
