"""Profiles of inferences on the emulator: which operations dominate, what conversions cost, and a Chrome trace."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from snpe_tools.core.files import write_text
from snpe_tools.qnn import abi
from snpe_tools.qnn.profile import Event

CONVERSIONS = ("Quantize", "Dequantize", "Convert", "Cast")
"""QNN types that only change how numbers are stored."""
LABEL = "cycles of the emulator on this machine; no latency of any device"
_OPERATION = re.compile(r"(?:(?P<name>.*):|(?P<port>Input|Output) )?OpId_(?P<id>\d+) \(cycles\)")
_CYCLES = (abi.HTP_ACCELERATOR_CYCLES, abi.HTP_CRITICAL_PATH_CYCLES)


@dataclass(frozen=True)
class ProfiledOperation:
    """One operation: its node's name and QNN type, median cycles, and its share of all, percent."""

    name: str
    type: str
    cycles: float
    share: float


@dataclass(frozen=True)
class Profile:
    """What inferences cost the emulator.

    Attributes:
        unit: says what a cycle is, and what it is not.
        inferences: how many were recorded.
        cycles: of a whole inference, median.
        operations: in order of execution, each with its median.
        types: share of each QNN type, percent, largest first.
        conversions: share of operations that only change how numbers are stored, percent.
    """

    unit: str
    inferences: int
    cycles: float
    operations: tuple[ProfiledOperation, ...]
    types: Mapping[str, float]
    conversions: float

    @property
    def costliest(self) -> list[ProfiledOperation]:
        """Operations, the most expensive first."""
        return sorted(self.operations, key=lambda operation: -operation.cycles)


def summarize(recorded: Sequence[Sequence[Event]], types: Mapping[str, str]) -> Profile | None:
    """The profile of recorded inferences; None when they hold no operations (level basic).

    Args:
        recorded: the events of each inference.
        types: QNN type of each node by name.
    """
    columns: dict[str, list[int]] = defaultdict(list)
    for events in recorded:
        for event in _operations(events):
            columns[event.name].append(event.value)
    costs = {name: float(median(values)) for name, values in columns.items()}
    total = sum(costs.values())
    if not total:
        return None
    operations = tuple(_operation(name, cycles, total, types) for name, cycles in costs.items())
    shares: dict[str, float] = defaultdict(float)
    for operation in operations:
        shares[operation.type] += operation.share
    ordered = dict(sorted(shares.items(), key=lambda pair: -pair[1]))
    conversions = sum(ordered.get(kind, 0.0) for kind in CONVERSIONS)
    return Profile(LABEL, len(recorded), total, operations, ordered, conversions)


def _operations(events: Sequence[Event]) -> Iterator[Event]:
    for event in events:
        if event.kind in _CYCLES:
            yield from (part for part in event.parts if part.kind == abi.PROFILE_NODE)


def _operation(identifier: str, cycles: float, total: float, types: Mapping[str, str]) -> ProfiledOperation:
    name, kind = _described(identifier, types)
    return ProfiledOperation(name, kind, cycles, 100 * cycles / total)


def _described(identifier: str, types: Mapping[str, str]) -> tuple[str, str]:
    """Name and type of an operation; the compiler adds some of its own, which have a number only."""
    match = _OPERATION.fullmatch(identifier)
    if match is None:
        return identifier, "unknown"
    if match["name"]:
        return match["name"], types.get(match["name"], "unknown")
    return f"OpId_{match['id']}", f"graph {match['port'].lower()}" if match["port"] else "added by the compiler"


def chrome_trace(recorded: Sequence[Sequence[Event]], types: Mapping[str, str]) -> dict[str, Any]:
    """Chrome's trace event format: a row per inference, operations one after the other, 1 µs for 1,000 cycles."""
    rows = [entry for row, events in enumerate(recorded) for entry in _row(row, events, types)]
    return {"traceEvents": rows, "otherData": {"unit": f"1 us shown = 1000 {LABEL}"}}


def _row(row: int, events: Sequence[Event], types: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    name = f"inference {row} ({LABEL})"
    yield {"name": "thread_name", "ph": "M", "pid": 0, "tid": row, "args": {"name": name}}
    start = 0.0
    for event in _operations(events):
        name, kind = _described(event.name, types)
        length = event.value / 1000
        entry = {"name": name, "cat": kind, "ph": "X", "pid": 0, "tid": row, "ts": start, "dur": length}
        yield {**entry, "args": {"type": kind, "emulator cycles": event.value}}
        start += length


def write_profile(folder: Path, recorded: Sequence[Sequence[Event]], types: Mapping[str, str]) -> Profile | None:
    """Write `profile.json` (the summary, and each inference's totals) and `profile.trace.json` (its operations).

    Raises:
        StorageError: no space.
    """
    found = summarize(recorded, types)
    document = {
        "unit": LABEL,
        "summary": asdict(found) if found else None,
        "inferences": [[asdict(replace(event, parts=())) for event in events] for events in recorded],
    }
    write_text(folder / "profile.json", json.dumps(document, indent=1) + "\n")
    if found:
        write_text(folder / "profile.trace.json", json.dumps(chrome_trace(recorded, types)) + "\n")
    return found
