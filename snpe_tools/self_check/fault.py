"""Which operation of a DLC is at fault: both models tensor by tensor on the inputs of the check."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from snpe_tools.core.errors import SnpeToolsError
from snpe_tools.core.raw_files import read_list, write_inputs
from snpe_tools.core.socs import Soc
from snpe_tools.core.tensor_spec import Array
from snpe_tools.graph.loading import input_specs, load
from snpe_tools.layerwise.comparison import LayerComparison, compare_sources
from snpe_tools.layerwise.emulated_source import emulated_source
from snpe_tools.layerwise.onnx_source import OnnxSource

if TYPE_CHECKING:
    from snpe_tools.layerwise.layer import Source


_FUSED = (
    "No single operation can be named: with its inner tensors as outputs, every tensor that was compared keeps {:g} dB "
    "or more. So what the compiler makes of several operations together is at fault."
)


def find_fault(model: Path, dlc: Path, soc: Soc, feed: Mapping[str, Array]) -> str:
    """The first operation that diverges, in words.

    Args:
        model: the ONNX file that the DLC was made of.
        feed: one inference, in the model's own types.
    """
    try:
        found = _compared(model, dlc, soc, feed)
        return found.verdict() if found.diverged else _FUSED.format(found.threshold_db)
    except SnpeToolsError as problem:
        return f"Which operation diverges could not be found: {problem.message.splitlines()[0]}"


def _compared(model: Path, dlc: Path, soc: Soc, feed: Mapping[str, Array]) -> LayerComparison:
    specs = input_specs(load(model))
    with tempfile.TemporaryDirectory() as folder:
        arrays = {name: np.asarray(array)[np.newaxis] for name, array in feed.items()}
        listed = read_list(write_inputs(Path(folder) / "raws", arrays, specs, native=True))
        first: Source = OnnxSource(model, listed, native=True)
        with emulated_source(dlc, listed, soc, native=True) as second:
            return compare_sources(first, second, 1)
