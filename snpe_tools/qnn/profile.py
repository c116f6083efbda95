"""What the QNN profiling API tells of one execution.

Source of types and units: the public QNN API reference (QnnProfile, QnnHtpProfile); positions were checked against
core API 2.40. On the emulator a "cycle" comes from the host's clock: it varies from run to run, and says which
operations cost this emulator most. It is no latency of any device.
"""

from __future__ import annotations

import ctypes as c
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from snpe_tools.qnn import abi
from snpe_tools.qnn.handles import Handles


class Level(StrEnum):
    """How much is recorded; the names are those of `snpe-net-run --profiling_level`."""

    OFF = "off"
    BASIC = "basic"
    MODERATE = "moderate"
    DETAILED = "detailed"
    LINTING = "linting"

    @property
    def number(self) -> int:
        """Its QNN profiling level. QNN has no moderate; it records what basic does."""
        numbers = {Level.DETAILED: abi.PROFILE_DETAILED, Level.LINTING: abi.PROFILE_HTP_LINTING}
        return numbers.get(self, abi.PROFILE_BASIC)


@dataclass(frozen=True)
class Event:
    """One measurement and those it is made of. `kind` is QNN's event type, `unit` "us", "cycles", "count", …."""

    name: str
    kind: int
    unit: str
    value: int
    parts: tuple[Event, ...] = ()


@dataclass
class Recording:
    """Filled when the block of `recorded` ends."""

    handle: c.c_void_p | None = None
    events: tuple[Event, ...] = field(default=())


@contextmanager
def profiled(handles: Handles, level: Level) -> Iterator[Recording]:
    """Record the one QNN call of the block that is given `.handle`; nothing when the level is off."""
    if level is Level.OFF:
        yield Recording()
        return
    handle = c.c_void_p()
    handles.core("profileCreate", handles.backend, c.c_uint32(level.number), c.byref(handle))
    try:
        recording = Recording(handle)
        yield recording
        recording.events = _events(handles, "profileGetEvents", handle)
    finally:
        handles.core("profileFree", handle)


def _events(handles: Handles, function: str, owner: c.c_void_p) -> tuple[Event, ...]:
    found, count = c.POINTER(c.c_void_p)(), c.c_uint32()
    handles.core(function, owner, c.byref(found), c.byref(count))
    return tuple(_event(handles, c.c_void_p(found[index])) for index in range(count.value))


def _event(handles: Handles, identifier: c.c_void_p) -> Event:
    data = abi.ProfileEvent()
    handles.core("profileGetEventData", identifier, c.byref(data))
    parts = _events(handles, "profileGetSubEvents", identifier)
    name = (data.identifier or b"").decode(errors="replace")
    return Event(name, data.type, abi.PROFILE_UNITS.get(data.unit, ""), data.value, parts)
