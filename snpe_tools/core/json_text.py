"""JSON documents as text: readable while they are short, fast to write when they are long."""

from __future__ import annotations

import json
from typing import Any

from snpe_tools.core.files import plain

_LONG = 200_000
_OUTER_LEVELS = 4
"""Of a long document: its keys, a graph's keys, and the entries of a graph's lists."""
_encode = json.JSONEncoder().encode


def json_text(document: object) -> str:
    """A document as JSON, see `plain`: indented for people, or, from 200 kB on, a line for each entry of its lists."""
    content = plain(document)
    short = _encode(content)
    return _lines(content) if len(short) > _LONG else json.dumps(content, indent=1)


def _lines(content: Any, depth: int = 0) -> str:  # noqa: ANN401 - any JSON value
    """Brackets and entries of the outer levels on lines of their own; the rest by the fast encoder."""
    if depth >= _OUTER_LEVELS or not content or not isinstance(content, dict | list):
        return _encode(content)
    inside, outside = " " * (depth + 1), " " * depth
    if isinstance(content, dict):
        parts = (f"{inside}{_encode(key)}: {_lines(part, depth + 1)}" for key, part in content.items())
        return "{\n" + ",\n".join(parts) + f"\n{outside}}}"
    return "[\n" + ",\n".join(inside + _lines(part, depth + 1) for part in content) + f"\n{outside}]"
