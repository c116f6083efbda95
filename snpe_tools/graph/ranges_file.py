"""Observed ranges on disk, and what they say about fp16."""

from __future__ import annotations

import json
from pathlib import Path

from snpe_tools.core.files import write_text
from snpe_tools.core.progress import warn
from snpe_tools.graph.ranges import Ranges, outside_fp16

_SHOWN = 5


def save_ranges(ranges: Ranges, target: Path) -> None:
    """Write ranges as JSON: {"windows": n, "ranges": {tensor: [low, high]}}."""
    content = {"windows": ranges.windows, "ranges": {name: list(pair) for name, pair in ranges.as_dict().items()}}
    write_text(target, json.dumps(content, indent=1) + "\n")


def load_ranges(path: Path) -> Ranges:
    """Ranges that `save_ranges` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return Ranges.from_dict(content["ranges"], content["windows"])


def warn_outside_fp16(ranges: Ranges) -> None:
    """Name the tensors that an fp16 DLC cannot hold."""
    found = outside_fp16(ranges.as_dict())
    for name, (low, high) in list(found.items())[:_SHOWN]:
        warn(f"{name} spans {low:.4g} to {high:.4g}, beyond fp16 (±65504): infinite in an fp16 DLC.")
    if len(found) > _SHOWN:
        warn(f"so are {len(found) - _SHOWN} more tensors.")
