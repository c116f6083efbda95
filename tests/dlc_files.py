"""Writes small DLC files of every container version: for the tests, and as seeds of the fuzzer.

All of them follow files of Qualcomm's own tools.
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flatbuffers import Builder

F16, F32, I32, U32, U8, U16, S8 = 0x216, 0x232, 0x32, 0x132, 0x408, 0x416, 0x308
_SCALARS = {"f4": "Float32", "i4": "Int32", "u4": "Uint32", "u1": "Uint8", "u8": "Uint64", "b1": "Bool",
            "f8": "Float64", "i8": "Int64"}  # fmt: skip
Fields = Mapping[int, Any]


class Shared:
    """A value that is written once, wherever it is used."""

    def __init__(self, value: Any) -> None:
        self.value, self.place = value, 0


def flatbuffer(root: Fields, identifier: bytes) -> bytes:
    """A FlatBuffers message. Keys are vtable offsets (4, 6, ...); values NumPy scalars, texts, bytes, arrays, tables
    (mappings), and lists of tables or of texts."""
    builder = Builder(1024)
    builder.Finish(_write(builder, root), file_identifier=identifier)
    return bytes(builder.Output())


def _write(builder: Builder, value: Any) -> int:
    if isinstance(value, Shared):
        value.place = value.place or _write(builder, value.value)
        return value.place
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, bytes):
        return int(builder.CreateByteVector(value))
    if isinstance(value, np.ndarray):
        return int(builder.CreateNumpyVector(value)) if value.size else _vector(builder, [])
    if isinstance(value, list):
        return _vector(builder, [_write(builder, part) for part in value])
    return _table(builder, value)


def _vector(builder: Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _table(builder: Builder, fields: Fields) -> int:
    written = {key: value if isinstance(value, np.generic) else _write(builder, value) for key, value in fields.items()}
    builder.StartObject((max(fields) - 4) // 2 + 1 if fields else 0)
    for key, value in written.items():
        slot = (key - 4) // 2
        if isinstance(value, np.generic):
            getattr(builder, f"Prepend{_SCALARS[value.dtype.str[1:]]}Slot")(slot, value.item(), None)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    return int(builder.EndObject())


def header(major: int, minor: int) -> bytes:
    return b"\xd5\x0a" + struct.pack("<HHH", major, minor, 0)


def write_zip(path: Path, records: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    return path


# Version 4 ------------------------------------------------------------------------------------------------------------


def encoding4(scales: list[float], offsets: list[int], axis: int | None = None, bits: int = 8, **ends: float) -> Fields:
    """The table of one encoding; `low` and `high` are stated ends."""
    entries = [
        {4: np.uint32(bits), 10: np.float32(scale), 12: np.int32(offset)}
        | {field: np.float32(ends[name]) for field, name in ((6, "low"), (8, "high")) if name in ends}
        for scale, offset in zip(scales, offsets, strict=True)
    ]
    if axis is None:
        return {6: np.uint8(1), 8: entries[0]}
    return {4: np.uint32(1), 6: np.uint8(1), 10: {4: np.int32(axis), 6: entries}}


def tensor4(name: str, role: int, dtype: int, shape: list[int], encoding: Fields | None = None) -> Fields:
    table = {6: name, 8: np.uint8(role), 10: np.array(shape, np.int32), 16: np.uint32(dtype), 18: np.uint32(dtype)}
    return table | ({14: encoding} if encoding else {})


def attribute4(name: str, value: Any) -> Fields:
    """A scalar parameter, or a tensor one (a table)."""
    if isinstance(value, Mapping):
        return {4: name, 6: np.int32(1), 12: value}
    if isinstance(value, str):
        return {4: name, 10: {4: np.uint32(0x608), 10: value}}
    kind, field = (0x232, {8: np.float64(value)}) if isinstance(value, float) else (0x132, {6: np.int64(value)})
    return {4: name, 10: {4: np.uint32(0x508 if isinstance(value, bool) else kind), **field}}


def node4(name: str, kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Fields:
    listed = [attribute4(key, value) for key, value in attributes.items()]
    return {4: name, 6: kind, 8: inputs, 10: outputs, 12: listed}


NODES = [
    node4("fc", "FullyConnected", ["x", "w"], ["h"], packageName="qti.aisw"),
    node4("t", "Transpose", ["h"], ["p"], perm=tensor4("t_perm", 4, U32, [2])),
    node4("relu", "Neuron", ["p"], ["y"], operation=4, alpha=0.5, fast=True),
]
TENSORS = [
    tensor4("x", 0, U8, [1, 4], encoding4([0.25], [-128], low=-32, high=31.75)),
    tensor4("w", 4, S8, [2, 4], encoding4([0.5, 0.25], [0, 0], axis=0)),
    tensor4("h", 3, U8, [1, 2], encoding4([1.0], [-10])),
    tensor4("p", 3, U8, [2, 1], encoding4([1.0], [-10])),
    tensor4("y", 1, F32, [2, 1]),
]
WEIGHT = bytes(np.array([[1, 2, 3, -4], [5, -6, 7, 127]], np.int8))
PERM = bytes(np.array([1, 0], np.uint32))


def model4(
    nodes: Sequence[Fields] | None = None, tensors: Sequence[Fields] | None = None, name: str = "test", minor: int = 1
) -> bytes:
    graph = {
        4: name,
        6: list(NODES if nodes is None else nodes),
        8: list(TENSORS if tensors is None else tensors),
        12: name,
    }
    return header(4, minor) + flatbuffer({4: [graph]}, b"NETD")


def params41(weights: Mapping[str, bytes], perm: bytes | None = PERM, name: str = "test") -> tuple[bytes, bytes]:
    """The records `model.params` and `model.params.bin` of version 4.1."""
    blob = b""
    places = {}
    for key, data in {**weights, "t_perm": perm or b""}.items():
        places[key] = {4: key, 10: {4: np.uint64(len(blob)), 6: np.uint64(len(data))}}
        blob += data
    nodes: list[Fields] = [{4: []}, {4: [places.pop("t_perm")] if perm else []}, {4: []}]
    graph = {4: name, 6: list(places.values()), 8: nodes}
    return header(4, 1) + flatbuffer({4: [graph]}, b"NETP"), blob


def records41(**changes: bytes) -> dict[str, bytes]:
    params, blob = params41({"w": WEIGHT})
    records = {"dlc.metadata2.3.0": METADATA, "model": model4(), "model.params": params, "model.params.bin": blob,
               "htp.cache.sm8650.0": b"compiled context"}  # fmt: skip
    return records | changes


def encoding40(table: Fields) -> Fields:
    """An encoding as 4.0 has it: no kind, and no byte that says that it is there."""
    return {key: value for key, value in table.items() if key not in {4, 6}}


def tensors40(tensors: Sequence[Fields]) -> list[Fields]:
    """Tensors as 4.0 has them: those without an encoding say so by the kind 0x7fffffff."""
    return [{**tensor, 14: encoding40(tensor[14]) if 14 in tensor else {4: np.uint32(0x7FFFFFFF)}}
            for tensor in tensors]  # fmt: skip


def nr64(buffers: Sequence[bytes], inner: bytes) -> bytes:
    """A `NR64` message: a table of `vector64` buffers (64-bit offsets and lengths) and an inner message."""
    head = struct.pack("<I4s4H4x", 20, b"NR64", 8, 12, 4, 8)
    body = struct.pack("<I", len(inner)) + inner + bytes(-len(inner) % 4)
    listed = 32 + len(body)
    vtable = listed + 4 + 4 * len(buffers)
    first = vtable + 8
    tables = [first + 12 * index for index in range(len(buffers))]
    root = struct.pack("<iII", 12, listed - 24, 32 - 28)
    offsets = b"".join(struct.pack("<I", table - (listed + 4 + 4 * index)) for index, table in enumerate(tables))
    place = -(-(first + 12 * len(buffers)) // 8) * 8
    rows, data = b"", bytes(place - first - 12 * len(buffers))
    for table, content in zip(tables, buffers, strict=True):
        rows += struct.pack("<iQ", table - vtable, place + len(data) - (place - first - 12 * len(buffers)) - table - 4)
        data += struct.pack("<Q", len(content)) + content + bytes(-len(content) % 8)
    return head + root + body + struct.pack("<I", len(buffers)) + offsets + struct.pack("<3H2x", 6, 12, 4) + rows + data


def records40() -> dict[str, bytes]:
    """Version 4.0: two tensors share one buffer of the `NR64` table."""
    tensors = tensors40([*TENSORS, tensor4("w2", 4, S8, [2, 4], encoding4([0.5, 0.25], [0, 0], axis=0))])
    graph = {4: "test", 6: [{4: "w", 8: np.uint64(1)}, {4: "w2", 8: np.uint64(1)}],
             8: [{4: []}, {4: [{4: "t_perm", 8: np.uint64(0)}]}, {4: []}]}  # fmt: skip
    inner = flatbuffer({4: [graph]}, b"NETP")
    return {"dlc.metadata2.0.0": METADATA, "model": model4(tensors=tensors, minor=0),
            "model.params": header(4, 0) + nr64([PERM, WEIGHT], inner)}  # fmt: skip


GENERATION = {
    "converterCommand": {
        "tool": "snpe-onnx-to-dlc",
        "converterVersion": "2.42.0",
        "args": {"input_network": "m.onnx"},
        "timestamp": "2026-01-02 03:04:05 UTC",
    }
}


def cache_entry(date: str = "2026-01-02 03:05:00 UTC", **changes: Any) -> dict[str, Any]:
    """The metadata of the compiled context of `records41`."""
    graph = {
        "graphName": "test",
        "graphInputs": [{"name": "x", "dimensions": [1, 4]}],
        "graphOutputs": [{"name": "y", "dimensions": [2, 1]}],
        "graphBlobInfo": {"vtcmSize": 8},
        "graphBlobInfoV2": {"sharedWeightsSize": 4096},
    }
    return {"cacheName": "htp.cache.sm8650.0", "buildId": "v2.42", "graphs": [graph | changes], "socModel": 57,
            "contextMetadata": {"dspArch": 75}, "timestamp": date}  # fmt: skip


def metadata(*caches: dict[str, Any]) -> bytes:
    return json.dumps({"header": {}, "dlcGenerationInfo": [GENERATION], "cacheList": list(caches)}).encode()


METADATA = metadata(cache_entry())


# Version 3 ------------------------------------------------------------------------------------------------------------


def attribute3(name: str, value: Any) -> Fields:
    if isinstance(value, bool):
        return {4: name, 6: np.uint8(1), 8: np.uint8(value)}
    if isinstance(value, int):
        return {4: name, 6: np.uint8(2), 10: np.int32(value)}
    if isinstance(value, float):
        return {4: name, 6: np.uint8(4), 14: np.float32(value)}
    if isinstance(value, str):
        return {4: name, 6: np.uint8(5), 16: value}
    if isinstance(value, Mapping):
        return {4: name, 6: np.uint8(11), 28: [attribute3(key, part) for key, part in value.items()]}
    return {4: name, 6: np.uint8(8), 22: np.array(value, np.int32)}


def node3(name: str, kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Fields:
    listed = [attribute3(key, value) for key, value in attributes.items()]
    return {4: np.int32(0), 6: name, 8: kind, 10: inputs, 12: outputs, 14: listed}


def range3(delta: float, low: float, high: float, offset: float) -> dict[str, Any]:
    return {"delta": delta, "max": high, "min": low, "offset": offset, "precision": 520}


def records3(*, new_encodings: bool = True) -> dict[str, bytes]:
    """A quantized network of an input, a fully connected layer and an activation."""

    def encoded(delta: float, low: float, high: float, offset: float) -> dict[str, Any]:
        entry = range3(delta, low, high, offset)
        if new_encodings:
            return {"DataEncoding": {"0": {"DataEncodingElement": {"0": entry}, "axis": -1}}}
        return {"FxpData": {"0": entry}}

    nodes = [
        node3("x", "Input", ["x"], ["x"], OutputDims={"0": [1, 4]}, **encoded(0.25, -32, 31.75, -128.0)),
        node3("fc", "FullyConnected", ["x"], ["h"], OutputDims={"0": [1, 2]}, op="FC", **encoded(1.0, -10, 245, -10.0)),
        node3("relu", "Neuron", ["h"], ["y"], OutputDims={"0": [1, 2]}, min_clamp=0.0, **encoded(1.0, 0, 255, 0.0)),
    ]
    model = flatbuffer({6: nodes, 12: [attribute3("BufferInfos", {"x": {"dims": [1, 4]}})]}, b"NETD")
    stored = [attribute3(key, value) for key, value in encoded(0.5, -64, 63.5, -128.0).items()]
    weights = [
        {4: "bias", 6: np.array([2], np.int32), 8: {4: np.uint8(9), 8: np.array([1.5, -2.5], np.float32)}},
        {4: "weights_0", 6: np.array([2, 4], np.int32), 8: {4: np.uint8(6), 6: bytes([128] * 7 + [130])}, 10: stored},
    ]
    params = flatbuffer({4: [{4: "fc", 6: weights}]}, b"NETP")
    lines = ("converter-command=snpe-onnx-to-dlc out_node=[]", "converter-version=1.56.2",
             "quantizer-command=snpe-dlc-quantize x")  # fmt: skip
    return {"dlc.metadata": "\n".join(lines).encode(), "model": header(3, 0) + model,
            "model.params": header(3, 0) + params,
            "aip.metadata0": b"compiled"}  # fmt: skip


# Version 2 ------------------------------------------------------------------------------------------------------------


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number: int, value: Any) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def message(*fields: tuple[int, Any]) -> bytes:
    return b"".join(field(number, value) for number, value in fields)


def encoding2(bits: int, low: float, high: float, scale: float, offset: float) -> bytes:
    return message((1, bits), (2, low), (3, high), (4, scale), (5, offset))


def weight2(shape: Sequence[int], values: bytes, encoding: bytes | None = None) -> bytes:
    """A weight: float32 without an encoding, bytes with one."""
    dims = [(1, size) for size in shape]
    return message(*dims, (2, values) if encoding is None else (3, message((3, values), (4, encoding))))


def layer2(
    name: str,
    kind: int,
    shape: Sequence[int],
    inputs: Sequence[str],
    outputs: Sequence[str],
    *own: tuple[int, Any],
    encoding: bytes | None = None,
) -> bytes:
    """A layer with what every file repeats; `own` are further fields."""
    encoded: list[tuple[int, Any]] = [(10, message((4, encoding))), (11, b""), (12, b"")] if encoding else []
    return message((1, name), (2, kind), *((3, size) for size in shape), (6, 0), *((7, text) for text in inputs),
                   *((8, text) for text in outputs), (9, message((1, 0))), *encoded, (13, message((1, 0))),
                   *own)  # fmt: skip


def buffer2(name: str, shape: Sequence[int]) -> bytes:
    return message((1, name), (2, 0x84), *((3, size) for size in shape))


def model2(layers: Sequence[bytes], buffers: Sequence[bytes] = (), *more: tuple[int, Any]) -> bytes:
    return header(2, 5) + message(*((1, part) for part in buffers), *((5, part) for part in layers), *more)


def records2() -> dict[str, bytes]:
    """A quantized network: input, convolution, fully connected layer, activation, and a type that nobody knows."""
    kernel = weight2([3, 3, 1, 2], bytes(range(18)), encoding2(8, -1.0, 1.55, 0.01, -100.0))
    bias = weight2([2], np.array([1.5, -2.5], np.float32).tobytes())
    conv = message(*((field, 3 if field < 3 else 1) for field in range(1, 10)), (10, 1), (11, 3),
                   (20, message((1, kernel), (2, bias))))  # fmt: skip
    fc = message((1, weight2([4, 2], np.arange(8, dtype=np.float32).tobytes())), (2, weight2([4], bytes(16))))
    tanh = message((1, 4), (2, 1.0), (3, 0.5), (4, 0.0), (5, 0.0))
    odd = message((1, 7), (2, 0.25), (3, "mode"), (4, message((1, weight2([2], bytes(8))))))
    layers = [
        layer2("x", 60, [1, 4, 4, 1], ["x"], ["x"], (40, message((1, 0), (2, 0), (3, 0), (4, 0))),
               encoding=encoding2(8, -32.0, 31.75, 0.25, -128.0)),
        layer2("conv", 40, [1, 1, 1, 2], ["x"], ["c"], (30, conv), encoding=encoding2(8, -10.0, 245.0, 1.0, -10.0)),
        layer2("fc", 100, [1, 4], ["c"], ["h"], (70, fc), encoding=encoding2(16, -10.0, 55.535, 0.001, -10000.0)),
        layer2("tanh", 150, [1, 4], ["h"], ["t"], (90, tanh), encoding=encoding2(8, -1.0, 0.9921875, 2**-7, -128.0)),
        layer2("odd", 77, [1, 4], ["t"], ["y", "z"], (66, odd)),
    ]  # fmt: skip
    buffers = [buffer2("x", [1, 4, 4, 1]), buffer2("z", [7])]
    return {"dlc.metadata": b"converter-command=N/A\nconverter-version=1.22.0.212\n",
            "model": model2(layers, buffers, (13, message((1, 1))))}  # fmt: skip


def all_versions() -> dict[str, dict[str, bytes]]:
    """The records of one file of every container version."""
    return {"4.1": records41(), "4.0": records40(), "3.0": records3(), "3.0-old": records3(new_encodings=False),
            "2.5": records2()}  # fmt: skip
