"""A QDQ model that was loaded and run once, beside the float model, before it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from snpe_tools.core.errors import OnnxError
from snpe_tools.core.progress import say
from snpe_tools.core.sqnr import sqnr_db
from snpe_tools.core.tensor_spec import Array
from snpe_tools.graph.session import explained, plain_session

if TYPE_CHECKING:
    import onnx

_DOUBTFUL_DB = 10.0


def prove(qdq: onnx.ModelProto, model: onnx.ModelProto, inputs: Mapping[str, Array]) -> float | None:
    """Run both on one inference.

    Args:
        model: the float model with the same inputs and outputs.

    Returns:
        SQNR in dB of the worst output of floats; None where all are equal.

    Raises:
        OnnxError: ONNX Runtime cannot run the QDQ model, or it gives NaN or infinite numbers.
    """
    names = [value.name for value in model.graph.output]
    with explained("the quantized model"):
        got = plain_session(qdq).run(names, dict(inputs))
    with explained("the float model"):
        wanted = plain_session(model).run(names, dict(inputs))
    worst: float | None = None
    for name, one, other in zip(names, wanted, got, strict=True):
        if not np.issubdtype(one.dtype, np.floating):
            continue
        bad = int(np.count_nonzero(~np.isfinite(other)))
        if bad:
            raise OnnxError(f"The quantized model gives {bad} NaN or infinite numbers in its output {name!r}.")
        figure = sqnr_db(one, other)
        if figure is not None and figure < _DOUBTFUL_DB:
            say(
                f"  warning: output {name!r} is {figure:.1f} dB from the float model's: `compare --layers` shows where."
            )
        if figure is not None and (worst is None or figure < worst):
            worst = figure
    return worst
