"""Writes small DLC files of every container version: for the tests, and as seeds of the fuzzer.

Versions 4.1 and 3.0 follow files of Qualcomm's own tools; 4.0 and 2.5 follow notes about such files.
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


def records40() -> dict[str, bytes]:
    """Version 4.0: two tensors share one buffer of the `NR64` table."""
    tensors = [*TENSORS, tensor4("w2", 4, S8, [2, 4], encoding4([0.5, 0.25], [0, 0], axis=0))]
    graph = {4: "test", 6: [{4: "w", 8: np.uint64(1)}, {4: "w2", 8: np.uint64(1)}],
             8: [{4: []}, {4: [{4: "t_perm", 8: np.uint64(0)}]}, {4: []}]}  # fmt: skip
    inner = flatbuffer({4: [graph]}, b"NETP")
    outer = flatbuffer({4: [{4: PERM}, {4: WEIGHT}], 6: inner}, b"NR64")
    return {"dlc.metadata2.0.0": METADATA, "model": model4(tensors=tensors, minor=0),
            "model.params": header(4, 0) + outer}  # fmt: skip


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
        {4: "weights_0", 6: np.array([4, 2], np.int32), 8: {4: np.uint8(6), 6: bytes([128] * 7 + [130])}, 10: stored},
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
    return message((4, message((1, bits), (2, low), (3, high), (4, scale), (5, offset))))


def packed(*numbers: int) -> bytes:
    return b"".join(varint(number) for number in numbers)


def records2() -> dict[str, bytes]:
    values = np.arange(8, dtype=np.float32)
    weights = message((1, "weights"), (2, packed(4, 2)), (3, values.tobytes()))
    quantized = message((2, packed(2, 2)), (3, bytes([1, 2, 3, 4])), (4, encoding2(8, -1.0, 1.55, 0.01, -100.0)))
    layers = [
        message((1, "x"), (2, "Input"), (3, packed(1, 4)), (7, "x"), (8, "x")),
        message((1, "fc"), (2, "FullyConnected"), (3, packed(1, 2)), (7, "x"), (8, "h"), (11, weights),
                (10, encoding2(8, -10.0, 245.0, 1.0, -10.0))),
        message((1, "conv"), (2, "FullyConnected"), (3, packed(1, 2)), (7, "h"), (8, "y"), (12, quantized), (13, 7)),
    ]  # fmt: skip
    buffers = [message((1, "x"), (2, 1), (3, packed(1, 4)))]
    model = message(*((1, part) for part in buffers), *((5, part) for part in layers))
    return {"dlc.metadata": b"converter-command=snpe-caffe-to-dlc\nconverter-version=1.21.0\n",
            "model": header(2, 5) + model}  # fmt: skip


def all_versions() -> dict[str, dict[str, bytes]]:
    """The records of one file of every container version."""
    return {"4.1": records41(), "4.0": records40(), "3.0": records3(), "3.0-old": records3(new_encodings=False),
            "2.5": records2()}  # fmt: skip
