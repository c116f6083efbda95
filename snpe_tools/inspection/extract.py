"""DLC → AIMET encodings file."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from snpe_tools.core.errors import DataError
from snpe_tools.core.files import write_text
from snpe_tools.dlc import open as open_dlc
from snpe_tools.inspection.aimet import (
    AimetEncoding,
    Version,
    encodings_of,
    plain_name,
    plain_weight_name,
    to_document,
)


@dataclass(frozen=True)
class Extracted:
    """The content of the file, and how many encodings are in it."""

    document: dict[str, Any]
    count: int


def extract(dlc: Path, target: Path | None, version: Version, *, onnx_names: bool = False) -> Extracted:
    """Write the encodings of a DLC in AIMET's format `version`.

    Args:
        dlc: the file.
        target: the JSON file to write; None writes none.
        version: AIMET format.
        onnx_names: give tensors the names of the ONNX model instead of the DLC's own.

    Raises:
        DlcError: the DLC cannot be read.
        DataError: it has no encodings.
        StorageError: no space.
    """
    with open_dlc(dlc) as opened:
        rows = encodings_of(opened)
    if not rows:
        raise DataError(f"{dlc} holds no encodings: it is a float model.", "Quantize it: snpe-tools quantize.")
    if onnx_names:
        rows = list({(name := _onnx_name(row)): replace(row, name=name) for row in rows}.values())
    document = to_document(rows, version)
    if target is not None:
        write_text(target, json.dumps(document, indent=1) + "\n")
    return Extracted(document, len(rows))


def _onnx_name(row: AimetEncoding) -> str:
    return plain_weight_name(row.name) if row.is_parameter else plain_name(row.name)
