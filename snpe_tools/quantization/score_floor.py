"""Where the range of attention scores may end: below, a probability can no longer be told from 0.

The mask adds a large negative constant to the scores of padding, and with 8 bits the range from there to the largest
score has steps of half a unit. A Softmax turns a score that is 10 below its row's largest into a probability below
e^-10, far less than half a step of 8 bits; so every row keeps its meaning when scores below the smallest row maximum
less 10 are raised to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from snpe_tools.core.tensor_spec import Array
from snpe_tools.graph.session import plain_session

if TYPE_CHECKING:
    import onnx

MARGIN = 10.0


def score_floors(
    model: onnx.ModelProto, windows: Iterable[Mapping[str, Array]], advance: Callable[[], None] | None = None
) -> dict[str, float]:
    """The floor of every tensor that a Softmax reads, by name.

    Args:
        model: float ONNX, fixed shapes.
        windows: inputs by name, in the model's own types.
        advance: called after each window.
    """
    from onnx import TensorProto, helper

    copy = type(model)()
    copy.CopyFrom(model)
    read = list(dict.fromkeys(node.input[0] for node in model.graph.node if node.op_type == "Softmax"))
    if not read:
        return {}
    del copy.graph.output[:]
    for index, name in enumerate(read):
        copy.graph.node.extend(_smallest_row_maximum(name, f"floor_{index}"))
        copy.graph.output.append(helper.make_tensor_value_info(f"floor_{index}", TensorProto.FLOAT, []))
    copy.graph.initializer.append(helper.make_tensor("floor_axis", TensorProto.INT64, [1], [-1]))
    session, lowest = plain_session(copy), np.full(len(read), np.inf)
    for inputs in windows:
        lowest = np.minimum(lowest, [float(value) for value in session.run(None, dict(inputs))])
        if advance:
            advance()
    return {name: float(value) - MARGIN for name, value in zip(read, lowest, strict=True)}


def _smallest_row_maximum(name: str, target: str) -> list[onnx.NodeProto]:
    from onnx import helper

    rows = f"{target}_rows"
    return [
        helper.make_node("ReduceMax", [name, "floor_axis"], [rows], keepdims=0),
        helper.make_node("ReduceMin", [rows], [target], keepdims=0),
    ]
