"""Reads DLC files with no SDK and no vendor library: `snpe_tools.dlc.open(path)`."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from pathlib import Path

from snpe_tools.dlc.container import Container
from snpe_tools.dlc.model import Attribute, Cache, Dlc, Graph, Node, Tensor
from snpe_tools.errors import DlcError

__all__ = ["Attribute", "Cache", "Container", "Dlc", "Graph", "Node", "Tensor", "open"]

_MAGIC = b"\xd5\x0a"
_KNOWN_MAJOR = 4
_CACHE = re.compile(r"htp\.cache\.(?P<soc>[\w-]+)\.\d+")


def open(path: str | Path) -> Dlc:  # noqa: A001 - reads as dlc.open()
    """Open a DLC.

    Raises:
        DlcError: it is not a DLC, it is damaged, or its container version is unknown.
    """
    from snpe_tools.dlc import v4

    container = Container(Path(path))
    try:
        version = _version(container)
        return Dlc(container, version, v4.read_graphs(container), _metadata(container), _caches(container))
    except BaseException:
        container.close()
        raise


def _version(container: Container) -> tuple[int, int]:
    head = bytes(container.data("model")[:8])
    if len(head) < 8 or head[:2] != _MAGIC:  # noqa: PLR2004
        raise container.error("model", "does not begin with the DLC signature d5 0a")
    major, minor = struct.unpack_from("<HH", head, 2)
    if major != _KNOWN_MAJOR:
        raise DlcError(
            f"{container.path}: container version {major}.{minor} is unknown.", "This reader knows 4.0 and 4.1."
        )
    return major, minor


def _metadata(container: Container) -> Mapping[str, object]:
    names = [name for name in container.records if name.startswith("dlc.metadata")]
    return {name: _document(bytes(container.data(name))) for name in names}


def _document(data: bytes) -> object:
    text = data.decode("utf-8", errors="replace")
    try:
        return json.loads(text)
    except ValueError:
        return text


def _caches(container: Container) -> tuple[Cache, ...]:
    found = [(_CACHE.fullmatch(name), record) for name, record in container.records.items()]
    return tuple(Cache(match["soc"], record) for match, record in found if match)
