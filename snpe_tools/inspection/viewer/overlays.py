"""Figures laid over a graph's nodes by colour: SQNR from `compare --layers -o`, cycles from a profile.

Source of the form: node_data_builder.py of ai-edge-model-explorer 0.1.34 (GraphNodeData).
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from snpe_tools.core.errors import DataError
from snpe_tools.core.files import require_file
from snpe_tools.inspection.aimet import plain_name

_LOSES, _KEEPS = "#d73027", "#a6d96a"
_FREE, _COSTS = "#ffffff", "#d73027"


def layers_overlay(file: Path) -> dict[str, Any]:
    """SQNR in dB of each tensor, by its names in both models; red is where accuracy is lost.

    Raises:
        DataError: the file is not what `compare --layers -o` writes.
    """
    results: dict[str, Any] = {}
    for row in _rows(file, "layers"):
        value = row.get("sqnr_db")
        if isinstance(value, int | float) and math.isfinite(value):
            for name in (row.get("first"), row.get("second"), row.get("tensor")):
                results.setdefault(str(name), {"value": float(value)})
    return {"name": "SQNR, dB", "results": results, "gradient": _gradient(_LOSES, _KEEPS)}


def profile_overlay(file: Path) -> dict[str, Any]:
    """Emulator cycles of each operation, by its name; red costs most.

    Raises:
        DataError: the file is not a profile.json of `net-run`.
    """
    results = {str(row.get("name")): {"value": float(row["cycles"])} for row in _rows(file, "operations")
               if isinstance(row.get("cycles"), int | float)}  # fmt: skip
    return {"name": "emulator cycles", "results": results, "gradient": _gradient(_FREE, _COSTS)}


def by_node(overlay: dict[str, Any], graph: dict[str, Any]) -> dict[str, Any]:
    """The same by node, for one graph: a node has the figure of its name, or the first of its outputs' that has one."""
    found: dict[str, Any] = {}
    for node in graph["nodes"]:
        names = [pair["value"] for pair in node["attrs"] if pair["key"] == "name"]
        names += [pair["value"] for item in node["outputsMetadata"] for pair in item["attrs"]
                  if pair["key"] == "tensor_name"]  # fmt: skip
        names += [plain_name(name) for name in names]
        value = next((overlay["results"][name] for name in names if name in overlay["results"]), None)
        if value is not None:
            found[node["id"]] = value
    return {graph["id"]: {**overlay, "results": found}}


def _rows(file: Path, key: str) -> list[dict[str, Any]]:
    try:
        content = json.loads(require_file(file, "JSON").read_text(encoding="utf-8"))
        rows = content[key]
    except (ValueError, KeyError, TypeError, RecursionError) as problem:
        raise DataError(f"{file} has no list {key!r}: {type(problem).__name__} {problem}.") from problem
    if not isinstance(rows, list):
        raise DataError(f"{file} has no list {key!r}.")
    return [row for row in rows if isinstance(row, dict)]


def _gradient(low: str, high: str) -> list[dict[str, Any]]:
    return [{"stop": 0, "bgColor": low}, {"stop": 1, "bgColor": high}]
