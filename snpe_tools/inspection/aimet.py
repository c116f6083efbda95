"""Encodings of a DLC as AIMET files of format 1.0.0 and 0.6.1, and such files as encodings.

In both formats the stored integers are unsigned: `real = (q + offset) * scale`, q from 0 to 2^bits - 1. A DLC stores
symmetric weights as signed integers with offset 0, which is the offset -2^(bits-1) here.

Source: the AIMET documentation, "Encoding format specification"; files that `snpe-tools quantize` writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from snpe_tools.core.errors import DataError
from snpe_tools.core.files import require_file
from snpe_tools.core.validation import one_of
from snpe_tools.dlc.model import Dlc, Tensor

Version = Literal["1.0.0", "0.6.1"]
VERSIONS: tuple[Version, ...] = ("1.0.0", "0.6.1")
_SECTIONS = ("activation_encodings", "param_encodings")
_WIDEST = 32
_TURNED = re.compile(r"(?:[_.](?:transposed?|permuted?|nhwc|nchw))+(?:_\d+)?$")
"""What converters add to the name of a constant whose axes they exchange: `w_q_transpose`, `w_permute`, `w.nhwc`."""
_LARGEST = 1 << 30


@dataclass(frozen=True)
class AimetEncoding:
    """One tensor's encoding in AIMET's convention.

    Attributes:
        scales, offsets: one for the tensor, or one per channel; empty for floating-point entries.
        is_float: the tensor keeps floating-point numbers of `bits` bits.
    """

    name: str
    bits: int
    scales: tuple[float, ...]
    offsets: tuple[int, ...]
    symmetric: bool
    is_float: bool = False
    is_parameter: bool = False


def encodings_of(dlc: Dlc) -> list[AimetEncoding]:
    """Every encoding of a DLC, in file order; parameters of operations have none of their own."""
    return [_convert(tensor) for graph in dlc.graphs for tensor in graph.tensors.values() if tensor.encoding]


def parse_version(text: str) -> Version:
    """The format that `text` names.

    Raises:
        UsageError: it names none.
    """
    return one_of(VERSIONS, text, "encodings format")


def plain_name(name: str) -> str:
    """The name that the ONNX model gives a tensor, without what QDQ export and conversion add to it."""
    return name.removeprefix("QcQuantizeOp_").removesuffix("_q")


def plain_weight_name(name: str) -> str:
    """As `plain_name`, for static tensors: a conversion also names copies that it turns, such as `w_q_transpose`."""
    return plain_name(_TURNED.sub("", name))


def _convert(tensor: Tensor) -> AimetEncoding:
    encoding = tensor.encoding
    if encoding is None:  # pragma: no cover - the caller checks
        raise ValueError(tensor.name)
    shift = 1 << encoding.bits - 1 if tensor.dtype.name.startswith("s") else 0
    symmetric = bool(tensor.limits and tensor.limits.symmetric) or bool(shift)
    offsets = tuple(offset - shift for offset in encoding.offsets)
    return AimetEncoding(
        tensor.name, encoding.bits, encoding.scales, offsets, symmetric, is_parameter=tensor.role == "static"
    )


def to_document(encodings: Iterable[AimetEncoding], version: Version) -> dict[str, Any]:
    """The content of an AIMET file."""
    rows = list(encodings)
    parts = {section: [row for row in rows if row.is_parameter == (section == _SECTIONS[1])] for section in _SECTIONS}
    if version == "1.0.0":
        return {"version": version, **{name: [_entry_1(row) for row in part] for name, part in parts.items()}}
    return {"version": version, **{name: {row.name: _entry_0(row) for row in part} for name, part in parts.items()}}


def _entry_1(row: AimetEncoding) -> dict[str, Any]:
    kind = "PER_CHANNEL" if len(row.scales) > 1 else "PER_TENSOR"
    return {"name": row.name, "enc_type": kind, "dtype": "INT", "bw": row.bits, "is_sym": row.symmetric,
            "scale": list(row.scales), "offset": [float(offset) for offset in row.offsets]}  # fmt: skip


def _entry_0(row: AimetEncoding) -> list[dict[str, Any]]:
    if row.is_float:
        return [{"bitwidth": row.bits, "dtype": "float"}]
    steps = (1 << row.bits) - 1
    return [
        {"min": scale * offset, "max": scale * (offset + steps), "scale": scale, "offset": float(offset),
         "bitwidth": row.bits, "dtype": "int", "is_symmetric": str(row.symmetric)}
        for scale, offset in zip(row.scales, row.offsets, strict=True)
    ]  # fmt: skip


def as_0_6_1(path: Path) -> dict[str, Any]:
    """The content of an AIMET file in format 0.6.1, whichever of the two it has; as it is where it has that.

    Raises:
        DataError: it is no such file; the message names the entry.
    """
    rows = load_encodings(path)
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content if isinstance(content[_SECTIONS[0]], dict) else to_document(rows, "0.6.1")


def load_encodings(path: Path) -> list[AimetEncoding]:
    """The encodings of an AIMET file, format 1.0.0 or 0.6.x.

    Raises:
        DataError: it is no such file; the message names the entry.
    """
    if require_file(path, "AIMET encodings").stat().st_size > _LARGEST:
        raise DataError(f"{path} is larger than any encodings file.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [row for section in _SECTIONS for row in _section(content, section)]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError, OverflowError) as problem:
        raise DataError(
            f"{path} is not an AIMET encodings file: {type(problem).__name__} {problem}.",
            "Formats 1.0.0 and 0.6.1 are read: snpe-tools quantize writes both.",
        ) from problem


def _section(content: Mapping[str, Any], section: str) -> list[AimetEncoding]:
    entries = content[section]
    parameter = section == _SECTIONS[1]
    if isinstance(entries, dict):
        return [_from_0(str(name), channels, is_parameter=parameter) for name, channels in entries.items()]
    return [_from_1(entry, is_parameter=parameter) for entry in entries]


def _from_1(entry: Mapping[str, Any], *, is_parameter: bool) -> AimetEncoding:
    is_float = str(entry["dtype"]).upper() == "FLOAT"
    scales = tuple(float(scale) for scale in entry.get("scale", ()))
    offsets = tuple(round(float(offset)) for offset in entry.get("offset", ()))
    bits, symmetric = int(entry["bw"]), bool(entry.get("is_sym"))
    _check(str(entry["name"]), bits, scales, offsets, is_float=is_float)
    return AimetEncoding(str(entry["name"]), bits, scales, offsets, symmetric, is_float, is_parameter)


def _from_0(name: str, channels: list[Mapping[str, Any]], *, is_parameter: bool) -> AimetEncoding:
    first = channels[0]
    is_float = str(first.get("dtype", "int")).lower() == "float"
    given = [channel for channel in channels if "scale" in channel]
    scales = tuple(float(channel["scale"]) for channel in given)
    offsets = tuple(round(float(channel["offset"])) for channel in given)
    bits, symmetric = int(first["bitwidth"]), str(first.get("is_symmetric")) == "True"
    _check(name, bits, scales, offsets, is_float=is_float)
    return AimetEncoding(name, bits, scales, offsets, symmetric, is_float, is_parameter)


def _check(name: str, bits: int, scales: tuple[float, ...], offsets: tuple[int, ...], *, is_float: bool) -> None:
    if not 1 <= bits <= _WIDEST:
        raise ValueError(f"{name!r} has {bits} bits")
    if len(scales) != len(offsets) or not (scales or is_float):
        raise ValueError(f"{name!r} has {len(scales)} scales and {len(offsets)} offsets")
