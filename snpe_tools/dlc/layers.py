"""Graphs of the layer kind that SNPE 1.x writes: tensors exist only as outputs of layers and as their weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from snpe_tools.core.dtypes import BY_CODE, FLOAT_32, DataType
from snpe_tools.core.errors import DlcError
from snpe_tools.core.tensor_spec import Encoding
from snpe_tools.dlc.container import Container
from snpe_tools.dlc.model import Attribute, Graph, Limits, Node, Role, Tensor

INPUT = "Input"
_UNSIGNED = {8: BY_CODE[0x408], 16: BY_CODE[0x416], 32: BY_CODE[0x432]}
_WEIGHT_BYTES, _WEIGHT_FLOATS = 6, 9

Encoded = tuple[Encoding, Limits]


@dataclass(frozen=True)
class Layer:
    """One layer: a node together with its output tensors and its weights."""

    name: str
    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]
    shapes: Sequence[tuple[int, ...]]
    encodings: Sequence[Encoded | None]
    weights: Sequence[Tensor] = field(default_factory=tuple)


def assemble(
    name: str, layers: list[Layer], container: Container, unread: Iterable[str], strays: Iterable[str] = ()
) -> Graph:
    """The graph of these layers.

    An `Input` layer gives the model an input; a tensor that no layer reads is an output.

    Raises:
        DlcError: there are no layers.
    """
    if not layers:
        raise DlcError(f"{container.path}: record 'model' holds no layers.", "The file is damaged: copy it again.")
    read = {tensor for layer in layers if layer.type != INPUT for tensor in layer.inputs}
    tensors: dict[str, Tensor] = {}
    for layer in layers:
        for tensor in (*_outputs(layer, read), *layer.weights):
            tensors.setdefault(tensor.name, tensor)
    return Graph(name, tuple(_node(layer) for layer in layers), tensors, tuple(unread), tuple(strays))


def _node(layer: Layer) -> Node:
    inputs = () if layer.type == INPUT else layer.inputs
    weights = tuple(weight.name for weight in layer.weights)
    return Node(layer.name, layer.type, inputs + weights, layer.outputs, layer.attributes)


def _outputs(layer: Layer, read: set[str]) -> Iterable[Tensor]:
    for index, name in enumerate(layer.outputs):
        encoded = layer.encodings[index] if index < len(layer.encodings) else None
        shape = layer.shapes[index] if index < len(layer.shapes) else ()
        role: Role = "input" if layer.type == INPUT else "native" if name in read else "output"
        yield make_tensor(name, shape, fixed_point(encoded) or FLOAT_32, role, encoded)


def make_tensor(
    name: str,
    shape: tuple[int, ...],
    dtype: DataType,
    role: Role,
    encoded: Encoded | None,
    data: memoryview | None = None,
) -> Tensor:
    """A tensor whose encoding, if it has one, comes with limits."""
    encoding, limits = encoded or (None, None)
    return Tensor(name, shape, dtype, role, encoding, limits, data)


def encoding_of_entries(
    entries: list[tuple[float, float, float, float]], axis: int | None, bits: int = 0
) -> Encoded | None:
    """The encoding of (scale, offset, minimum, maximum) entries; None where every scale is 0.

    Args:
        entries: one for the tensor, or one per channel.
        axis: the channel axis.
        bits: the stated width. Where none is stated (or no type has it) it follows from the range:
            `(maximum - minimum) / scale` is 2^bits - 1.
    """
    if not entries or not any(scale for scale, *_ in entries):
        return None
    scales = tuple(scale for scale, *_ in entries)
    offsets = tuple(round(offset) if math.isfinite(offset) else 0 for _, offset, *_ in entries)
    ends = (tuple(entry[2] for entry in entries), tuple(entry[3] for entry in entries))
    width = bits if bits in _UNSIGNED else _bits(entries[0])
    return Encoding(width, scales, offsets, axis), Limits(*ends)


def _bits(entry: tuple[float, float, float, float]) -> int:
    scale, _, low, high = entry
    steps = (high - low) / scale if scale else 0
    if not math.isfinite(steps) or steps < 1:
        return 8
    return next((bits for bits in (8, 16) if steps < 2**bits), 32)


def fixed_point(encoded: Encoded | None) -> DataType | None:
    """The type of a tensor with this encoding."""
    return _UNSIGNED[encoded[0].bits] if encoded else None


def weight_type(stored: int | None, data: memoryview | None, shape: tuple[int, ...]) -> DataType | None:
    """The type of a weight by its number: 6 is bytes, 9 is float32; by its size where the number is another."""
    if stored == _WEIGHT_FLOATS:
        return FLOAT_32
    if data is None:
        return None
    width, rest = divmod(len(data), math.prod(shape) or 1)
    if stored == _WEIGHT_BYTES and width in {0, 1}:
        return _UNSIGNED[8]
    return _UNSIGNED.get(width * 8) if not rest else None
