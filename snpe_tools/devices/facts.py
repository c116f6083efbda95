"""What a device is: system, SoC, HTP, free space and tools. Its answers are read strictly.

Sources: Android's system properties `ro.soc.model`, `ro.product.model`, `ro.build.version.release` (Compatibility
Definition, 3.2.2); Linux's `/sys/devices/soc0` (Documentation/ABI/testing/sysfs-devices-soc), the device tree's
`compatible`, and `os-release(5)`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from snpe_tools.core.errors import DeviceError
from snpe_tools.core.soc_names import ALSO
from snpe_tools.core.socs import BY_NAME, Soc
from snpe_tools.devices.device import Device
from snpe_tools.devices.shell import Script
from snpe_tools.devices.storage.space import parse_free

NEEDED_TOOLS = ("cat", "chmod", "cp", "df", "find", "grep", "mkdir", "mv", "rm", "sha256sum", "stat", "tar", "xargs")
"""Programs that pushing, running and pulling call on a device."""
OTHER_TOOLS = ("python3", "timeout", "toybox", "busybox")
_SCRIPT = """say() { printf '%s=%s\\n' "$1" "$2"; }
tree() { [ -r /proc/device-tree/$1 ] && xargs -0 echo < /proc/device-tree/$1; }
first() { head -n 1 "$1" 2>/dev/null; }
say machine "$(uname -m)"
say kernel "$(uname -sr)"
if command -v getprop >/dev/null 2>&1; then
  say release "$(getprop ro.build.version.release)"
  say model "$(getprop ro.product.model)"
  say soc "$(getprop ro.soc.model)"
  say abi "$(getprop ro.product.cpu.abi)"
else
  say release "$(. /etc/os-release 2>/dev/null; echo "$PRETTY_NAME")"
  say model "$(tree model)"
  say soc "$(first /sys/devices/soc0/machine)"
  say compatible "$(tree compatible)"
fi
mkdir -p -- "$1" && df -Pk "$1" | tail -n 1 | sed 's/^/df= /'
shift
for TOOL; do command -v "$TOOL" >/dev/null 2>&1 && say tool "$TOOL"; done
true"""
_MACHINE = re.compile(r"[A-Za-z0-9_]{1,32}")
_LONGEST = 200
_PRINTABLE = re.compile(r"[^\x20-\x7e]+")


@dataclass(frozen=True)
class Facts:
    """What a device says of itself.

    Attributes:
        machine: processor as `uname -m` says it: "aarch64", "x86_64".
        release: of the system, for people: "14", "Ubuntu 22.04.4 LTS".
        model: for people: "Pixel 9"; "" when it is not told.
        soc_name: what the device calls its SoC; "" when it is not told.
        soc: the SoC that this means, with its HTP; None when it is none we know.
        free: bytes that may be written below the device's root.
        tools: those of `NEEDED_TOOLS` and `OTHER_TOOLS` that it has.
    """

    system: Literal["android", "linux"]
    machine: str
    kernel: str
    release: str
    model: str
    soc_name: str
    soc: Soc | None
    free: int
    tools: frozenset[str] = field(default_factory=frozenset)

    @property
    def missing_tools(self) -> tuple[str, ...]:
        """Needed programs that it lacks; `sha256sum` may be part of toybox or busybox."""
        boxes = self.tools & {"toybox", "busybox"}
        return tuple(tool for tool in NEEDED_TOOLS if tool not in self.tools and not (tool == "sha256sum" and boxes))


def read_facts(device: Device) -> Facts:
    """Ask a device what it is.

    Raises:
        DeviceError: it answers nothing sensible.
    """
    answer = device.check(Script.over(_SCRIPT, device.root, *NEEDED_TOOLS, *OTHER_TOOLS))
    return parse_facts(device, answer)


def parse_facts(device: Device, answer: str) -> Facts:
    """The facts in what the device answered.

    Raises:
        DeviceError: the processor or the free space is missing.
    """
    pairs = [line.partition("=")[::2] for line in answer.splitlines()]
    told = {name: _PRINTABLE.sub("?", value.strip())[:_LONGEST] for name, value in pairs}
    machine = told.get("machine", "")
    if not _MACHINE.fullmatch(machine):
        raise DeviceError(f"`uname -m` answered {machine[:80]!r}.", address=str(device))
    soc_name, soc = _soc(told.get("soc", ""), told.get("compatible", ""))
    known = {*NEEDED_TOOLS, *OTHER_TOOLS}
    return Facts(
        system="android" if "abi" in told else "linux",
        machine=machine,
        kernel=told.get("kernel", ""),
        release=told.get("release", ""),
        model=told.get("model", ""),
        soc_name=soc_name,
        soc=soc,
        free=parse_free(device, told.get("df", "")),
        tools=frozenset(value for name, value in pairs if name == "tool" and value in known),
    )


def _soc(name: str, compatible: str) -> tuple[str, Soc | None]:
    """What the device calls its SoC, and the one that is meant: the first name that is known."""
    names = [name, *(part.partition(",")[2] for part in compatible.split() if part.startswith("qcom,"))]
    for one in names:
        plain = one.lower().partition("-")[0].strip()
        if soc := BY_NAME.get(ALSO.get(plain, plain)):
            return one, soc
    return next((one for one in names if one), ""), None
