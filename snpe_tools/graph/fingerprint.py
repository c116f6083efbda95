"""Which weights a graph has, whatever the length of its windows."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from snpe_tools.graph.loading import constant_tensors

if TYPE_CHECKING:
    import onnx

_DIGITS = 16


def weights_fingerprint(model: onnx.ModelProto) -> str:
    """The first hexadecimal digits of the SHA-256 over the constants of all matrix products, in order of execution."""
    from onnx import numpy_helper

    constants, digest = dict(constant_tensors(model)), hashlib.sha256()
    for node in model.graph.node:
        if node.op_type in {"Gemm", "MatMul"}:
            for name in node.input[:2]:
                if name in constants:
                    digest.update(numpy_helper.to_array(constants[name]).tobytes())
    return digest.hexdigest()[:_DIGITS]
