"""Values of a file's metadata, whose form nobody guarantees: what has another type than expected counts as absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def text(value: object) -> str:
    """A string as it is, "" for nothing, any other value in words."""
    return value if isinstance(value, str) else "" if value is None else str(value)


def whole(value: object) -> int:
    """A whole number, else 0."""
    return value if isinstance(value, int) else 0


def mapping(value: object) -> Mapping[str, Any]:
    """A JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def listed(value: object) -> list[Any]:
    """A JSON list, else an empty one."""
    return value if isinstance(value, list) else []
