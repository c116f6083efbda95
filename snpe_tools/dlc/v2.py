"""Containers of version 2.5, as SNPE 1.19 to 1.22 write them: one protobuf message of buffers and layers.

    Model  { repeated Buffer buffer = 1; repeated Layer layer = 5; field 13 in quantized files }
    Buffer { string name = 1; varint type = 2 (0x84); repeated varint dims = 3 }
    Layer  { string name = 1; varint type = 2; repeated varint dims = 3 (of the first output); varint index = 6;
             repeated string inputs = 7, outputs = 8; encodings = 10 { repeated Encoding = 4 };
             fields 9 and 13 ({1: 0}), 11 and 12 (empty); one message of parameters, whose number depends on the type }

Read off files of SNPE 1.19.2 and 1.22.0, and checked against the same models in container 3.0, whose weights are equal
bit by bit. Parameters whose names are not known keep the number of their field. docs/dlc.md has the whole table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from snpe_tools.core.errors import DlcError
from snpe_tools.dlc.container import Container
from snpe_tools.dlc.layers import INPUT, Layer, assemble
from snpe_tools.dlc.model import Attribute, Graph, Tensor
from snpe_tools.dlc.protobuf import Message, Part, Value, WireError
from snpe_tools.dlc.v2_parts import dimensions, encoding, nested, numbered, weight, weights_within

_HEADER = 8
_BUFFERS, _LAYERS, _QUANTIZED_MARK = 1, 5, 13
_NAME, _TYPE, _DIMS, _INDEX, _INPUTS, _OUTPUTS, _ENCODINGS = 1, 2, 3, 6, 7, 8, 10
_COMMON = {_NAME, _TYPE, _DIMS, _INDEX, _INPUTS, _OUTPUTS, _ENCODINGS}
_USUAL: Mapping[int, bytes] = {9: b"\x08\x00", 11: b"", 12: b"", 13: b"\x08\x00"}
"""Fields that say the same in every file: their bytes."""
_BUFFER_TYPE = 0x84
_ENCODING_ENTRY = 4


@dataclass(frozen=True)
class _Kind:
    """What is known of one layer type.

    Attributes:
        name: as container 3.0 calls it.
        own: the field of its parameters, 0 where it has none.
        weights: names of its weights by the path of fields that leads to them.
        names: names of its parameters by field.
        lists: parameters that span several fields.
    """

    name: str
    own: int
    weights: Mapping[str, str] | None = None
    names: Mapping[int, str] | None = None
    lists: Mapping[str, tuple[int, ...]] | None = None


_KINDS: Mapping[int, _Kind] = {
    30: _Kind("Concat", 25, names={1: "axis"}),
    40: _Kind("Convolutional", 30, {"20.1": "weights_0", "20.2": "bias"},
              {9: "groups", 10: "padding_mode", 11: "padding_size_strategy"},
              {"kernel": (1, 2), "stride": (3, 4), "pad": (5, 6), "dilation": (7, 8)}),
    60: _Kind(INPUT, 40),
    90: _Kind("ElementwiseOp", 60),
    100: _Kind("FullyConnected", 70, {"1": "weights_0", "2": "bias"}),
    130: _Kind("Pooling", 110),
    150: _Kind("Neuron", 90, names={1: "type", 2: "a", 3: "b", 4: "min_clamp", 5: "max_clamp"}),
    155: _Kind("Permute", 115, lists={"order": (1,)}),
    163: _Kind("Reshape", 0),
    170: _Kind("Softmax", 0),
}  # fmt: skip
_FUNCTIONS: Mapping[int, str] = {2: "sigmoid", 3: "relu", 4: "tanh", 6: "elu"}
"""What a Neuron computes, by its `type`."""
_COLOURS = {2: "input_color_space", 3: "output_color_space", 4: "input_type"}
_INPUT_NUMBER = 1
_BIAS = "bias"


def read_graphs(container: Container) -> tuple[Graph, ...]:
    """The one graph of the file.

    Raises:
        DlcError: the record is no protobuf message, or holds no layers.
    """
    try:
        return (_graph(container),)
    except WireError as problem:
        raise DlcError(
            f"{container.path}: record 'model': {problem}.", "The file is damaged or cut off: copy it again."
        ) from problem


def _graph(container: Container) -> Graph:
    model = Message(container.data("model")[_HEADER:], "model", _HEADER)
    unread = [f"model: field {field}" for field in model.fields if field not in {_BUFFERS, _LAYERS, _QUANTIZED_MARK}]
    shapes = dict(_buffers(model, unread))
    layers: list[Layer] = []
    inputs = 0
    for message in model.messages(_LAYERS):
        layers.append(_layer(message, shapes, inputs, unread))
        inputs += layers[-1].type == INPUT
    return assemble("graph", layers, container, unread)


def _buffers(model: Message, unread: list[str]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Shapes by tensor name."""
    for message in model.messages(_BUFFERS):
        name, kind = message.text(_NAME), message.integer(_TYPE, _BUFFER_TYPE)
        if kind != _BUFFER_TYPE:
            unread.append(f"buffer {name!r}: the type {kind:#x}")
        unread += [f"buffer {name!r}: field {field}" for field in message.fields if field not in {_NAME, _TYPE, _DIMS}]
        yield name, dimensions(message, _DIMS)


def _layer(message: Message, shapes: Mapping[str, tuple[int, ...]], inputs: int, unread: list[str]) -> Layer:
    """One layer; `inputs` is the number of input layers before it."""
    name, number = message.text(_NAME), message.integer(_TYPE)
    outputs = tuple(message.texts(_OUTPUTS))
    kind = _KINDS.get(number) or _Kind(f"type {number}", 0)
    if number not in _KINDS:
        unread.append(f"layer {name!r}: the type {number}; its parameters are shown by number")
    own = list(_own(message, kind, name, unread))
    attributes = {key: value for part in own for key, value in _attributes(part, kind, inputs).items()}
    weights = [tensor for part in own for tensor in _weights(part, kind, name)]
    encodings = [encoding(entry) for group in message.messages(_ENCODINGS) for entry in group.messages(_ENCODING_ENTRY)]
    return Layer(name, kind.name, tuple(message.texts(_INPUTS)), outputs, attributes,
                 _shapes(message, outputs, shapes, unread), encodings, weights)  # fmt: skip


def _shapes(
    message: Message, outputs: tuple[str, ...], buffers: Mapping[str, tuple[int, ...]], unread: list[str]
) -> list[tuple[int, ...]]:
    """One for each output. The first one stands in the layer and in the list of buffers, the others there only."""
    found = [buffers.get(output, ()) for output in outputs]
    stated = dimensions(message, _DIMS)
    if found and stated:
        if outputs[0] in buffers and stated != found[0]:
            unread.append(f"layer {message.text(_NAME)!r}: states the shape {stated}, and its buffer {found[0]}")
        found[0] = stated
    return found


def _own(message: Message, kind: _Kind, name: str, unread: list[str]) -> Iterator[Message]:
    """Messages of parameters; whatever else is not as in every file is listed as unread."""
    unknown = kind.name.startswith("type ")
    for field, values in message.fields.items():
        if field in _COMMON or all(_is_usual(field, value) for value in values):
            continue
        if field == kind.own or (unknown and field not in _USUAL and _are_messages(values)):
            yield from message.messages(field)
        else:
            unread.append(f"layer {name!r}: field {field}, {len(values)} values")


def _are_messages(values: Sequence[Value]) -> bool:
    return all(isinstance(value, Part) and nested(value) for value in values)


def _is_usual(field: int, value: Value) -> bool:
    return field in _USUAL and not isinstance(value, int) and bytes(value.data[:3]) == _USUAL[field]


def _attributes(own: Message, kind: _Kind, inputs: int) -> dict[str, Attribute]:
    if kind.name == INPUT:
        return _input_attributes(own, inputs)
    names, lists = kind.names or {}, kind.lists or {}
    spanned = {name: [value for field in fields for value in own.integers(field)] for name, fields in lists.items()}
    found: dict[str, Attribute] = {name: [*values] for name, values in spanned.items() if values}
    by_number = numbered(own, {field for fields in lists.values() for field in fields})
    found |= {names.get(field, f"field_{field}"): value for field, value in by_number.items()}
    if kind.name == "Neuron" and isinstance(function := found.get("type"), int):
        found["type"] = _FUNCTIONS.get(function, function)
    return found


def _input_attributes(own: Message, inputs: int) -> dict[str, Attribute]:
    """The number of the input, left out where it counts them; three colour settings, named where all are 0.

    Which of the three is which no file told: 0 is what all of them had.
    """
    counted = own.integer(_INPUT_NUMBER) == inputs
    plain = all(own.fields.get(field) == [0] for field in _COLOURS)
    named: dict[str, Attribute] = dict.fromkeys(_COLOURS.values(), 0) if plain else {}
    known = {*([_INPUT_NUMBER] if counted else []), *(_COLOURS if plain else [])}
    return named | {f"field_{field}": value for field, value in numbered(own, known).items()}


def _weights(own: Message, kind: _Kind, layer: str) -> list[Tensor]:
    """Weights of known and unknown places; the bias first, as container 3.0 has them."""
    known = kind.weights or {}
    found: dict[str, Message] = {}
    for path, name in known.items():
        for message in _at(own, [int(field) for field in path.split(".")]):
            found[name] = message
    for place, message in weights_within(own, known):
        name = f"weights_{place.replace('.', '_')}"
        found[name if name not in found else f"{name}_{len(found)}"] = message
    return [weight(found[name], f"{layer}/{name}") for name in sorted(found, key=lambda name: name != _BIAS)]


def _at(message: Message, path: list[int]) -> Iterator[Message]:
    """Messages at the end of a path of fields."""
    for inner in message.messages(path[0]):
        yield from _at(inner, path[1:]) if len(path) > 1 else [inner]
