"""QDQ graphs of one operation each, to see on the emulator what the HTP does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from snpe_tools.arithmetic.grid import Grid
from snpe_tools.core.socs import Soc
from snpe_tools.core.tensor_spec import Array
from snpe_tools.qnn.isolation import isolated
from snpe_tools.qnn.session import Session
from snpe_tools.toolchains import Conversion
from snpe_tools.toolchains.pypi import PyPI

if TYPE_CHECKING:
    import onnx

_OPSET, _IR = 21, 10


class Probe:
    """A QDQ graph in the making: activations of 8 bits, constants of any type."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def add_input(self, name: str, shape: Sequence[int], grid: Grid) -> str:
        """An input of codes; returns the name of its real values."""
        from onnx import TensorProto, helper

        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.UINT8, shape))
        return self._real(name, np.float32(grid.scale), np.uint8(grid.zero))

    def add_constant(
        self, name: str, codes: Array, scales: ArrayLike, zeros: ArrayLike, axis: int | None = None
    ) -> str:
        """A quantized constant; returns the name of its real values."""
        self._store(name, codes)
        return self._real(name, scales, zeros, axis)

    def add(self, operation: str, inputs: Sequence[str], output: str, grid: Grid, **attributes: Any) -> None:  # noqa: ANN401 - of any ONNX operation
        """The operation, and its output as an output of codes of the model; the shape is inferred."""
        from onnx import TensorProto, helper

        self._nodes.append(helper.make_node(operation, inputs, [f"{output}_real"], f"{output}_of", **attributes))
        self._store(f"{output}_scale", np.float32(grid.scale))
        self._store(f"{output}_zero", np.uint8(grid.zero))
        parts = [f"{output}_real", f"{output}_scale", f"{output}_zero"]
        self._nodes.append(helper.make_node("QuantizeLinear", parts, [output], f"{output}_q"))
        self._outputs.append(helper.make_tensor_value_info(output, TensorProto.UINT8, None))

    def model(self) -> onnx.ModelProto:
        """The graph, shapes inferred."""
        import onnx

        helper = onnx.helper
        graph = helper.make_graph(self._nodes, "probe", self._inputs, self._outputs, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
        return onnx.shape_inference.infer_shapes(model, strict_mode=True)

    def _real(self, name: str, scale: ArrayLike, zero: ArrayLike, axis: int | None = None) -> str:
        from onnx import helper

        self._store(f"{name}_scale", scale)
        self._store(f"{name}_zero", zero)
        along = {} if axis is None else {"axis": axis}
        parts = [name, f"{name}_scale", f"{name}_zero"]
        self._nodes.append(helper.make_node("DequantizeLinear", parts, [f"{name}_real"], f"{name}_dq", **along))
        return f"{name}_real"

    def _store(self, name: str, values: ArrayLike) -> None:
        from onnx import numpy_helper

        self._constants.append(numpy_helper.from_array(np.asarray(values), name))


def convert(probe: Probe, folder: Path, soc: Soc) -> Path:
    """The DLC of a probe, in an empty folder.

    Raises:
        ConversionError: the HTP refuses an operation.
    """
    import onnx

    file, out = folder / "probe.onnx", folder / "dlc"
    out.mkdir()
    onnx.save(probe.model(), file)
    return PyPI().convert(Conversion(file, file, "probe", (), (), soc, folder / "probe.dlc"), out).dlc


def emulate(dlc: Path, soc: Soc, feeds: Sequence[Mapping[str, Array]]) -> list[dict[str, Array]]:
    """Stored outputs of a DLC on the emulator, in a process of its own.

    Raises:
        QnnError, ExecutionError: the library failed.
    """
    return isolated(_emulate, dlc, soc, feeds)


def _emulate(dlc: Path, soc: Soc, feeds: Sequence[Mapping[str, Array]]) -> list[dict[str, Array]]:
    with Session(dlc, soc) as session:
        return [session.execute(feed) for feed in feeds]
