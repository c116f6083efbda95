"""Ranges that have room for what a Pad puts around a tensor: both are stored with one encoding."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from snpe_tools.graph.loading import constant_tensors, node_by_output
from snpe_tools.graph.ranges import Ranges
from snpe_tools.quantization.operations import MOVES

if TYPE_CHECKING:
    import onnx

_VALUE = 2


def with_padding(ranges: Ranges, model: onnx.ModelProto) -> Ranges:
    """Ranges in which each padded tensor holds the constant that it is padded with."""
    from onnx import numpy_helper

    constants, writers = dict(constant_tensors(model)), node_by_output(model.graph.node)
    found = ranges.as_dict()
    for node in model.graph.node:
        mode = next((entry.s for entry in node.attribute if entry.name == "mode"), b"constant")
        if node.op_type != "Pad" or mode != b"constant":
            continue
        given = node.input[_VALUE] if len(node.input) > _VALUE else ""
        value = float(numpy_helper.to_array(constants[given]).reshape(())) if given in constants else 0.0
        name = node.input[0]
        while name in writers and writers[name].op_type in MOVES | {"Pad"}:
            name = writers[name].input[0]
        if name in found and math.isfinite(value):
            low, high = found[name]
            found[name] = min(low, value), max(high, value)
    return Ranges.from_dict(found, ranges.windows)
