"""How warm a device is and how it is powered: what a latency depends on, and no runtime tells.

Sources: Linux's `/sys/class/thermal/thermal_zone*/{type,temp}` (Documentation/ABI/testing/sysfs-class-thermal, in
thousandths of a degree Celsius) and `/sys/class/power_supply/*/{type,capacity,status}` (sysfs-class-power); Android's
`dumpsys thermalservice`, whose status is 0 (none) to 6 (shutdown) as in `PowerManager`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from snpe_tools.core.errors import DeviceError
from snpe_tools.devices.device import Device
from snpe_tools.devices.shell import Script

_SCRIPT = """first() { head -n 1 "$1" 2>/dev/null; }
for Z in "$1"/class/thermal/thermal_zone*; do
  [ -r "$Z/temp" ] && printf 'zone=%s %s\\n' "$(first "$Z/temp")" "$(first "$Z/type")"
done
for P in "$1"/class/power_supply/*; do
  [ "$(first "$P/type")" = Battery ] && printf 'battery=%s %s\\n' "$(first "$P/capacity")" "$(first "$P/status")"
done
command -v dumpsys >/dev/null 2>&1 &&
  dumpsys thermalservice 2>/dev/null | sed -n 's/^ *Thermal Status: */throttling=/p' | head -n 1
true"""
_ZONE = re.compile(r"zone=(-?\d{1,6}) ([\w.:-]{1,60})")
_BATTERY = re.compile(r"battery=(\d{1,3}) ([A-Za-z ]{1,20})")
_THROTTLING = re.compile(r"throttling=([0-6])")
_NPU = re.compile(r"nsp|npu|cdsp|hvx|hmx|q6", re.IGNORECASE)
_COLDEST, _HOTTEST = -40, 150
"""Degrees Celsius; a zone that says otherwise has no sensor behind it."""


@dataclass(frozen=True)
class DeviceState:
    """A device at one moment; what it does not tell is None or empty.

    Attributes:
        hottest: degrees Celsius of its hottest zone.
        npu: degrees Celsius of the zones that are named after the NPU.
        battery: percent.
        charging: what the kernel says of the battery, such as "Charging".
        throttling: Android's thermal status: 0 is none.
    """

    hottest: float | None = None
    npu: Mapping[str, float] = field(default_factory=dict)
    battery: int | None = None
    charging: str = ""
    throttling: int | None = None

    def __str__(self) -> str:
        parts = [f"{self.hottest:.0f} °C at its hottest"] if self.hottest is not None else []
        parts += [f"NPU {max(self.npu.values()):.0f} °C"] if self.npu else []
        parts += [f"battery {self.battery} % ({self.charging.lower()})"] if self.battery is not None else []
        parts += [f"thermal status {self.throttling}"] if self.throttling is not None else []
        return ", ".join(parts) or "not told"


def read_state(device: Device, system_folder: str = "/sys") -> DeviceState:
    """Ask a device how it is. One that does not answer has said nothing: the run itself tells what is wrong."""
    try:
        return parse_state(device.check(Script.over(_SCRIPT, system_folder)))
    except DeviceError:
        return DeviceState()


def parse_state(answer: str) -> DeviceState:
    """The state in what a device answered; lines that are not understood say nothing."""
    zones = [(match[2], int(match[1]) / 1000) for line in answer.splitlines() if (match := _ZONE.fullmatch(line))]
    good = {name: value for name, value in zones if _COLDEST < value < _HOTTEST}
    battery = next((match for line in answer.splitlines() if (match := _BATTERY.fullmatch(line))), None)
    throttling = next((match for line in answer.splitlines() if (match := _THROTTLING.fullmatch(line))), None)
    return DeviceState(
        hottest=max((value for _, value in zones if _COLDEST < value < _HOTTEST), default=None),
        npu={name: value for name, value in good.items() if _NPU.search(name)},
        battery=int(battery[1]) if battery else None,
        charging=battery[2] if battery else "",
        throttling=int(throttling[1]) if throttling else None,
    )
