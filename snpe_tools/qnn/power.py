"""Performance profiles of the HTP, under the names that `snpe-net-run` gives them.

Layouts and numbers: `QnnHtpPerfInfrastructure.h` of the public QNN API, and what ONNX Runtime's QNN execution provider
asks for under the same names. Standard library only, like all that a board runs.
"""

from __future__ import annotations

import ctypes as c
from typing import NamedTuple

from snpe_tools.core.errors import QnnError
from snpe_tools.qnn.handles import Handles

_DCVS_V3, _RPC_LATENCY, _RPC_POLLING = 1, 2, 3
_ADJUST_UP_DOWN, _PERFORMANCE = 0x01, 0x10
_RPC_MICROSECONDS = 100
_POLLS_FROM = 69
"""Hexagon v68 cannot poll."""


class Power(NamedTuple):
    """What a profile asks of the HTP.

    Attributes:
        corner: voltage corner of bus and core; 0 leaves everything as it is.
        latency: microseconds after which the HTP may sleep.
        scaling: whether its clocks may be scaled on the way.
        poll: microseconds for which the CPU polls for an answer before it sleeps; 0 does not.
    """

    corner: int
    latency: int = 0
    scaling: int = 0
    poll: int = 0


PROFILES = {
    "burst": Power(0xA0, 40, 0, 9999),
    "sustained_high_performance": Power(0x80, 100, 0, 9999),
    "high_performance": Power(0x80, 100, 0, 9999),
    "balanced": Power(0x70, 1000, 1),
    "low_balanced": Power(0x60, 1000, 1),
    "high_power_saver": Power(0x50, 1000, 1),
    "power_saver": Power(0x40, 1000, 1),
    "low_power_saver": Power(0x30, 1000, 1),
    "extreme_power_saver": Power(0x10, 1000, 1),
    "default": Power(0),
    "system_settings": Power(0),
}


def power_of(profile: str, arch: int) -> Power:
    """What a profile asks of an HTP of this Hexagon architecture; of "" nothing."""
    power = PROFILES[profile] if profile else Power(0)
    return power if arch >= _POLLS_FROM else power._replace(poll=0)


class _Config(c.Structure):
    """`QnnHtpPerfInfrastructure_PowerConfig_t`: one number, or the 16 of DCVS version 3."""

    _fields_ = (("option", c.c_uint32), ("value", c.c_uint32 * 32))


_CREATE = c.CFUNCTYPE(c.c_uint64, c.c_uint32, c.c_uint32, c.POINTER(c.c_uint32))
_SET = c.CFUNCTYPE(c.c_uint64, c.c_uint32, c.POINTER(c.POINTER(_Config)))


class _Infrastructure(c.Structure):
    """`QnnHtpDevice_Infrastructure_t`."""

    _fields_ = (("kind", c.c_uint32), ("create", _CREATE), ("destroy", c.c_void_p), ("set", _SET))


def set_power(handles: Handles, power: Power, profile: str) -> None:
    """Have the HTP work as a profile asks, as long as the handles live.

    Raises:
        QnnError: the device does not do that.
    """
    if not power.corner:
        return
    address, number = c.c_void_p(), c.c_uint32()
    refused = QnnError(f"This device sets no performance profile, and {profile} was asked for.", "Leave it out.")
    if not handles.core.pointer("deviceGetInfrastructure"):
        raise refused
    handles.checked("performance profile", lambda: handles.core("deviceGetInfrastructure", c.byref(address)))
    found = _Infrastructure.from_address(address.value) if address.value else None
    if found is None or found.create(0, 0, c.byref(number)):
        raise refused
    configs = _configs(power, number.value)
    pointers = (c.POINTER(_Config) * (len(configs) + 1))(*map(c.pointer, configs))
    status = found.set(number, pointers)
    if status:
        raise QnnError(
            f"The performance profile {profile} was refused (error {status & 0xFFFF}).", code=status & 0xFFFF
        )


def _configs(power: Power, number: int) -> list[_Config]:
    mode = _ADJUST_UP_DOWN if power.scaling else _PERFORMANCE
    sleep = (1, power.latency, 1, int(not power.scaling))
    corners = (1, power.corner, power.corner, power.corner)
    numbers = (number, 1, power.scaling, mode, *sleep, *corners, *corners)
    configs = [_Config(_DCVS_V3, numbers), _Config(_RPC_LATENCY, (_RPC_MICROSECONDS,))]
    return [*configs, _Config(_RPC_POLLING, (power.poll,))] if power.poll else configs
