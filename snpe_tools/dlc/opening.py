"""Opens a DLC: its container version decides which reader reads its graphs."""

from __future__ import annotations

import gc
import json
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from snpe_tools.core.errors import DlcError
from snpe_tools.dlc import v2, v3, v4
from snpe_tools.dlc.container import Container
from snpe_tools.dlc.identify import ORIGIN
from snpe_tools.dlc.model import Cache, Dlc, Graph

_MAGIC = b"\xd5\x0a"
_HEADER = struct.Struct("<2sHH2x")
_READERS: dict[tuple[int, int], Callable[[Container], tuple[Graph, ...]]] = {
    (2, 5): v2.read_graphs,
    (3, 0): v3.read_graphs,
    (4, 0): v4.read_graphs,
    (4, 1): v4.read_graphs,
}
_CACHE = re.compile(r"htp\.cache\.(?P<soc>[\w-]+)\.\d+")
_OLD_CACHE = re.compile(r"(?:aip|backend)\.(?:metadata|cache)[\w.]*")
"""Contexts in files of SNPE 1.x: the name has the runtime, and nothing says for which SoC they are."""
_MAX_METADATA, _MAX_NESTING = 1 << 26, 50


def open_dlc(path: Path) -> Dlc:
    """The DLC at `path`.

    Raises:
        DlcError: it is not a DLC, it is damaged, or its container version is unknown.
    """
    container = Container(path)
    try:
        _refuse_other_containers(container)
        version = _version(container)
        with _collection_paused():
            graphs = _graphs(container, version)
            metadata = _metadata(container)
        return Dlc(container, version, graphs, metadata, tuple(_caches(container, metadata)))
    except BaseException:
        container.close()
        raise


@contextmanager
def _collection_paused() -> Iterator[None]:
    """Graphs are millions of objects that stay: looking for garbage among them takes a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _refuse_other_containers(container: Container) -> None:
    """Zip files that are no DLC, but whose content says what they are."""
    names = list(container.records)
    socs = [match["soc"] for name in names if (match := _CACHE.fullmatch(name))]
    if "model" in names:
        return
    if socs:
        shared = sum(record.size for name, record in container.records.items() if "shared" in name)
        raise DlcError(
            f"{container.path} is a container of compiled contexts for {', '.join(socs)}"
            f"{f' with {shared} bytes of shared weights' if shared else ''}, and holds no graph.",
            f"It runs through its EPContext ONNX model, with ONNX Runtime QNN on one of these SoCs. {ORIGIN}",
        )
    kinds = {"PK archive of PyTorch": "data.pkl", "Android package": "AndroidManifest.xml", "Python wheel": ".py"}
    kind = next((kind for kind, tell in kinds.items() if any(name.endswith(tell) for name in names)), "")
    if kind:
        raise DlcError(f"{container.path} is a {kind}, not a DLC.", "Pass the .dlc file.")


def _version(container: Container) -> tuple[int, int]:
    head = bytes(container.data("model")[: _HEADER.size])
    if len(head) < _HEADER.size or head[:2] != _MAGIC:
        raise container.error("model", "does not begin with the DLC signature d5 0a at offset 0")
    _, major, minor = _HEADER.unpack(head)
    if (major, minor) not in _READERS:
        known = ", ".join(f"{major}.{minor}" for major, minor in _READERS)
        raise DlcError(
            f"{container.path}: container version {major}.{minor} is unknown.",
            f"This reader knows {known}. Please report the file, or the SDK that wrote it.",
        )
    return major, minor


def _graphs(container: Container, version: tuple[int, int]) -> tuple[Graph, ...]:
    graphs = _READERS[version](container)
    if not graphs:
        raise container.error("model", "holds no graph")
    return graphs


def _metadata(container: Container) -> Mapping[str, object]:
    names = [name for name in container.records if name.startswith("dlc.metadata")]
    return {name: _document(container, name) for name in names}


def _document(container: Container, name: str) -> object:
    """JSON as it is, `key=value` lines as a mapping, other text as text."""
    data = container.data(name)
    if len(data) > _MAX_METADATA:
        raise container.error(name, f"is {len(data)} bytes of metadata, more than any writer states")
    text = bytes(data).decode("utf-8", errors="replace")
    try:
        found = json.loads(text)
        return found if _is_shallow(found) else text
    except (ValueError, RecursionError):
        pairs = [line.partition("=") for line in text.splitlines() if line.strip()]
        whole = pairs and all(sign for _, sign, _ in pairs)
        return {key.strip(): value.strip() for key, _, value in pairs} if whole else text


def _is_shallow(document: object) -> bool:
    """Whether a JSON document is nested less deep than anything that follows its nesting could bear."""
    level: list[object] = [document]
    for _ in range(_MAX_NESTING):
        inner = [item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list)]
        level = [value for values in inner for value in values]
    return not level


def _caches(container: Container, metadata: Mapping[str, object]) -> Iterator[Cache]:
    listed = _cache_list(metadata)
    for name, record in container.records.items():
        if match := _CACHE.fullmatch(name):
            yield Cache(match["soc"], record, listed.get(name, {}))
        elif _OLD_CACHE.fullmatch(name):
            yield Cache("", record)


def _cache_list(metadata: Mapping[str, object]) -> dict[str, Mapping[str, object]]:
    found: dict[str, Mapping[str, object]] = {}
    for document in metadata.values():
        entries = document.get("cacheList") if isinstance(document, dict) else None
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict):
                found[str(entry.get("cacheName"))] = entry
    return found
