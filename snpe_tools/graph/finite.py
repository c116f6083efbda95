"""NaN and infinite numbers among the constants of a model: no conversion makes them right again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from snpe_tools.core.errors import OnnxError
from snpe_tools.core.progress import say
from snpe_tools.graph.loading import constant_tensors

if TYPE_CHECKING:
    import onnx

_WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul", "LayerNormalization", "BatchNormalization", "Gather", "LSTM",
             "GRU", "RNN", "InstanceNormalization", "GroupNormalization", "RMSNormalization"}  # fmt: skip
"""Operations whose constants are weights, where no number may be infinite."""
_FP16_MAX = 65504.0
_SHOWN = 5


def require_finite_weights(model: onnx.ModelProto, source: Path) -> None:
    """Refuse NaN in constants, and infinity in weights; elsewhere, as in a mask, infinity may be meant.

    Raises:
        OnnxError: the first such constant, with its reader.
    """
    from onnx import numpy_helper

    for name, tensor in constant_tensors(model):
        array = numpy_helper.to_array(tensor)
        if array.dtype.kind != "f" or np.isfinite(array).all():
            continue
        reader = next((node for node in model.graph.node if name in node.input), None)
        nan = int(np.isnan(array).sum())
        if nan or (reader is not None and reader.op_type in _WEIGHTED):
            read = f", which {reader.op_type} {reader.name or reader.output[0]!r} reads" if reader else ""
            infinite = int(np.isinf(array).sum())
            raise OnnxError(
                f"{source}: {nan} NaN and {infinite} infinite numbers in the constant {name!r}{read}.",
                "The checkpoint is damaged, or its training diverged: take an earlier one.",
            )


def warn_beyond_fp16(model: onnx.ModelProto) -> None:
    """Name constants that an fp16 DLC cannot hold."""
    from onnx import numpy_helper

    found = []
    for name, tensor in constant_tensors(model):
        array = numpy_helper.to_array(tensor)
        if (
            array.dtype.kind == "f"
            and array.size
            and float(np.abs(array[np.isfinite(array)]).max(initial=0)) > _FP16_MAX
        ):
            found.append((name, float(array.min()), float(array.max())))
    for name, low, high in found[:_SHOWN]:
        say(f"  warning: constant {name!r} spans {low:.4g} to {high:.4g}, beyond fp16 (±65504): infinite there.")
    if len(found) > _SHOWN:
        say(f"  warning: so are {len(found) - _SHOWN} more constants.")
