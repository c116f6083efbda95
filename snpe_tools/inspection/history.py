"""Who wrote a DLC, with which tool, version and command, and when; who compiled its caches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from snpe_tools.core.socs import BY_ID, BY_NAME
from snpe_tools.dlc.model import Cache, Dlc
from snpe_tools.inspection.loose import listed, mapping, text, whole

_STAGES = {"converterCommand": "converter", "quantizerCommand": "quantizer", "optimizerCommand": "optimizer"}
_UNKNOWN = "unknown"
_TIME = "%Y-%m-%d %H:%M:%S UTC"


@dataclass(frozen=True)
class Writer:
    """One tool that wrote the file or a part of it; "" where the file does not say.

    Attributes:
        stage: converter, quantizer, ...
        command: the tool and its arguments, as the file states them.
    """

    stage: str
    tool: str
    version: str
    command: str
    date: str


@dataclass(frozen=True)
class CompiledCache:
    """One compiled context.

    Attributes:
        soc: the SoC it was compiled for, "unknown" where the file does not say.
        arch: Hexagon architecture, such as 75; 0 where neither the file nor our table of SoCs knows.
        vtcm_mb: tightly coupled memory that it was compiled for; 0 where the file does not say.
        shared_weights: bytes of weights that it shares with the caches of other SoCs.
        built_by: version of the compiler.
        graphs: names of the graphs inside.
    """

    record: str
    soc: str
    arch: int
    vtcm_mb: int
    bytes: int
    shared_weights: int
    built_by: str
    date: str
    graphs: tuple[str, ...]


def written_by(dlc: Dlc) -> list[Writer]:
    """Every tool that the metadata names, in the order of the file."""
    found = [entry for document in dlc.metadata.values() for entry in _entries(document)]
    return list(dict.fromkeys(found))


def _entries(document: object) -> Iterator[Writer]:
    if not isinstance(document, dict):
        return
    if any(key in document for key in ("converter-version", "converter-command")):
        yield from _old_entries(document)
    for generation in listed(document.get("dlcGenerationInfo")):
        for key, entry in mapping(generation).items():
            if isinstance(entry, dict):
                yield _entry(str(key), entry)


def _entry(key: str, entry: Mapping[str, Any]) -> Writer:
    stage = _STAGES.get(key, key.removesuffix("Command"))
    arguments = entry.get("args")
    shown = [f"{name}={value}" for name, value in arguments.items()] if isinstance(arguments, dict) else []
    tool = text(entry.get("tool"))
    version = next((text(value) for name, value in entry.items() if name.lower().endswith("version")
                    and name != "modelVersion"), "")  # fmt: skip
    return Writer(stage, tool, version, " ".join([tool, *shown]), text(entry.get("timestamp")))


def _old_entries(document: Mapping[str, Any]) -> Iterator[Writer]:
    """`key=value` metadata of SNPE 1.x; a command of `N/A` beside a version is usual."""
    stated = {key: value for key in document if (value := text(document[key])) != "N/A"}
    for stage in ("converter", "quantizer"):
        command, version = stated.get(f"{stage}-command", ""), stated.get(f"{stage}-version", "")
        if command or version:
            yield Writer(stage, command.split(" ", 1)[0], version, command, "")


def compiled_caches(dlc: Dlc) -> list[CompiledCache]:
    """Every compiled context of the file."""
    return [_compiled(cache) for cache in dlc.caches]


def _compiled(cache: Cache) -> CompiledCache:
    details = cache.details
    soc = BY_ID.get(whole(details.get("socModel"))) or BY_NAME.get(cache.soc)
    stated = mapping(details.get("contextMetadata"))
    graphs = [mapping(graph) for graph in listed(details.get("graphs"))]
    blobs = [mapping(graph.get("graphBlobInfo")) for graph in graphs]
    shared = [whole(mapping(graph.get("graphBlobInfoV2")).get("sharedWeightsSize")) for graph in graphs]
    return CompiledCache(
        record=cache.record.name,
        soc=soc.name if soc else cache.soc or _UNKNOWN,
        arch=whole(stated.get("dspArch")) or (soc.arch if soc else 0),
        vtcm_mb=max((whole(blob.get("vtcmSize")) for blob in blobs), default=0),
        bytes=cache.record.size,
        shared_weights=max(shared, default=0),
        built_by=text(details.get("buildId")),
        date=text(details.get("timestamp")),
        graphs=tuple(text(graph.get("graphName")) for graph in graphs),
    )


def graph_date(dlc: Dlc) -> datetime | None:
    """When the graph was last written, where the file says so."""
    return max((date for entry in written_by(dlc) if (date := parse_date(entry.date))), default=None)


def parse_date(stamp: str) -> datetime | None:
    """The moment that a metadata time stamp names."""
    try:
        return datetime.strptime(stamp, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
