"""Convert steps between 8- and 16-bit activations of a QDQ model.

The HTP computes an operation on activations of one width; with two, ONNX Runtime QNN falls back to float or refuses the
node. So whatever arrives in the other width is requantized first: a DequantizeLinear and a QuantizeLinear in a row,
which become one Convert. The one exception is measured, too: MatMul takes 16 bits on the left and 8 on the right.

Both grids have the same range: 65535 = 255 x 257, so that every 8-bit value is a 16-bit value as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snpe_tools.graph.loading import node_by_output, nodes_by_input
from snpe_tools.quantization.operations import MOVES

if TYPE_CHECKING:
    import onnx

_FINER = 257
_BIAS = 2
_PRODUCTS = {"Gemm", "Conv", "ConvTranspose"}
_ELEMENTWISE = {"Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Concat", "Where"}
"""Both sides of these are activations, also where one is a constant."""
_Width = np.dtype[np.uint8] | np.dtype[np.uint16]
_WIDE, _NARROW = np.dtype(np.uint16), np.dtype(np.uint8)
_FULL = {_NARROW: 255, _WIDE: 65535}


def insert_converts(model: onnx.ModelProto, narrow: Mapping[str, tuple[float, float]] | None = None) -> int:
    """Put a Convert wherever an operation reads an activation of another width than it computes in; in place.

    Args:
        model: QDQ, activations unsigned.
        narrow: range (low, high) that 8 bits shall span, by float tensor, where it is not all that 16 bits do.

    Returns:
        How many were put in: one for each tensor and width, however many operations read it.
    """
    return _Converter(model, narrow or {}).convert()


@dataclass(frozen=True)
class _Encoding:
    scale: NDArray[np.float32]
    zero: NDArray[np.uint8 | np.uint16]

    def at(self, width: _Width) -> _Encoding:
        """The same range in another width."""
        if width == _WIDE:
            scale, zero = self.scale / np.float32(_FINER), self.zero.astype(np.int64) * _FINER
        else:
            scale, zero = self.scale * np.float32(_FINER), np.rint(self.zero.astype(np.float64) / _FINER)
        return _Encoding(scale.astype(np.float32), zero.astype(width))

    def spanning(self, low: float, high: float) -> _Encoding:
        """8 bits from `low` to `high`, symmetric where this one is, in steps no finer than those of this one.

        The range may be 0 alone: an activation that was 0 in all that was observed.
        """
        full, middle, finest = _FULL[_NARROW], _FULL[_NARROW] // 2 + 1, float(self.scale.reshape(()))
        if self.zero.reshape(()) == _FULL[_WIDE] // 2 + 1:
            step, zero = max(max(-low, high) / (middle - 1), finest), float(middle)
        else:
            step = max((max(high, 0.0) - min(low, 0.0)) / full, finest)
            zero = np.rint(-min(low, 0.0) / step)
        shape = self.scale.shape
        return _Encoding(np.full(shape, step, np.float32), np.full(shape, zero, np.uint8))


class _Converter:
    def __init__(self, model: onnx.ModelProto, narrow: Mapping[str, tuple[float, float]]) -> None:
        from onnx import numpy_helper

        self._graph, self._narrow = model.graph, narrow
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._array = numpy_helper.to_array
        self._writer = node_by_output(model.graph.node)
        self._readers = nodes_by_input(model.graph.node)
        self._made: set[str] = set()
        self._behind: dict[str, list[onnx.NodeProto]] = {}

    def convert(self) -> int:
        for node in self._graph.node:
            if node.op_type not in MOVES | {"QuantizeLinear", "DequantizeLinear", "Constant"}:
                self._visit(node)
        nodes = [part for node in self._graph.node for part in (node, *self._behind.get(node.output[0], ()))]
        read = {name for node in nodes for name in node.input} | {value.name for value in self._graph.output}
        kept = [node for node in nodes if node.op_type != "DequantizeLinear" or node.output[0] in read]
        del self._graph.node[:]
        self._graph.node.extend(kept)
        used = {name for node in kept for name in node.input}
        for tensor in [tensor for tensor in self._graph.initializer if tensor.name not in used]:
            self._graph.initializer.remove(tensor)
        return len(self._made)

    def _visit(self, node: onnx.NodeProto) -> None:
        width = self._width_of(node)
        for place, name in enumerate(node.input):
            encoding = self._encoding(name)
            if width is None or encoding is None or encoding.zero.dtype == width:
                continue
            if self._writer[name].input[0] in self._constants:
                if node.op_type in _ELEMENTWISE:
                    node.input[place] = self._requantized(name, encoding.at(width))
            elif not (node.op_type == "MatMul" and place == 1 and width == _WIDE):
                wanted = self._wanted(name, encoding, width)
                node.input[place] = self._converted(name, wanted)
                if place == 0 and node.op_type in _PRODUCTS and self._has_bias(node):
                    ratio = wanted.scale.astype(np.float64) / encoding.scale
                    node.input[_BIAS] = self._rescaled(node.input[_BIAS], ratio, node.name)

    def _wanted(self, name: str, encoding: _Encoding, width: _Width) -> _Encoding:
        """The encoding behind a Convert."""
        stored = self._writer[self._writer[name].input[0]]
        ends = self._narrow.get(stored.input[0]) if width == _NARROW else None
        return encoding.at(width) if ends is None else encoding.spanning(*ends)

    def _width_of(self, node: onnx.NodeProto) -> _Width | None:
        """In which width a node computes: that of the first quantized tensor behind it."""
        for reader in self._readers.get(node.output[0], ()):
            if reader.op_type == "QuantizeLinear":
                width: _Width = self._array(self._constants[reader.input[2]]).dtype
                return width
            if (behind := self._width_of(reader)) is not None:
                return behind
        return None

    def _encoding(self, name: str) -> _Encoding | None:
        """The encoding of 8 or 16 unsigned bits; None of signed weights, of biases and of what is not quantized."""
        node = self._writer.get(name)
        if node is None or node.op_type != "DequantizeLinear":
            return None
        scale, zero = (self._array(self._constants[part]) for part in node.input[1:3])
        return None if zero.dtype not in {_WIDE, _NARROW} or scale.size != 1 else _Encoding(scale, zero)

    def _converted(self, name: str, wanted: _Encoding) -> str:
        """The activation `name` in another encoding."""
        from onnx import helper

        new = f"{name}_as_{wanted.zero.dtype}"
        if new not in self._made:
            parts = self._add(new, wanted)
            self._behind.setdefault(name, []).extend(
                [
                    helper.make_node("QuantizeLinear", [name, *parts], [f"{new}_q"], name=f"{new}_q"),
                    helper.make_node("DequantizeLinear", [f"{new}_q", *parts], [new], name=f"{new}_dq"),
                ]
            )
            self._made.add(new)
        return new

    def _requantized(self, name: str, wanted: _Encoding) -> str:
        """The constant `name` in another encoding; the compiler sees only the result."""
        from onnx import helper, numpy_helper

        writer, new = self._writer[name], f"{name}_as_{wanted.zero.dtype}"
        if new not in self._writer:
            stored, scale, zero = (self._array(self._constants[part]) for part in writer.input)
            real = (stored.astype(np.float64) - zero) * scale
            rounded = np.rint(real / wanted.scale + wanted.zero).clip(0, _FULL[wanted.zero.dtype])
            self._graph.initializer.append(numpy_helper.from_array(rounded.astype(wanted.zero.dtype), f"{new}_q"))
            node = helper.make_node("DequantizeLinear", [f"{new}_q", *self._add(new, wanted)], [new], name=f"{new}_dq")
            self._writer[new] = node
            self._behind.setdefault(name, []).append(node)
        return new

    def _has_bias(self, node: onnx.NodeProto) -> bool:
        """Whether a product adds an int32 constant."""
        writer = self._writer.get(node.input[_BIAS]) if len(node.input) > _BIAS else None
        stored = self._constants.get(writer.input[0]) if writer and writer.op_type == "DequantizeLinear" else None
        return stored is not None and self._array(stored).dtype == np.int32

    def _rescaled(self, name: str, ratio: NDArray[np.float64], reader: str) -> str:
        """An int32 bias in steps that are `ratio` times as large.

        The HTP takes a bias to be in steps of input times weight, whatever the bias's own encoding says: with the steps
        of the input before its Convert, a DLC answers nonsense though the QDQ model does not.
        """
        from onnx import helper, numpy_helper

        writer, new = self._writer[name], f"{name}_of_{reader}"
        stored, scale, zero = (self._array(self._constants[part]) for part in writer.input)
        limits = np.iinfo(np.int32)
        rounded = np.rint(stored / ratio).clip(limits.min, limits.max).astype(np.int32)
        arrays = {f"{new}_q": rounded, f"{new}_scale": (scale * ratio).astype(np.float32), f"{new}_zero_point": zero}
        for part, array in arrays.items():
            self._graph.initializer.append(numpy_helper.from_array(array, part))
        node = helper.make_node("DequantizeLinear", list(arrays), [new], name=f"{new}_dq")
        node.attribute.extend(writer.attribute)
        self._behind.setdefault(name, []).append(node)
        return new

    def _add(self, name: str, encoding: _Encoding) -> list[str]:
        from onnx import numpy_helper

        parts = [f"{name}_scale", f"{name}_zero_point"]
        for part, array in zip(parts, (encoding.scale, encoding.zero), strict=True):
            self._graph.initializer.append(numpy_helper.from_array(np.asarray(array), part))
        return parts
