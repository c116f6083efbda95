"""Where a DLC runs: devices over ADB and SSH, and a fake one in a folder.

    with connect("ssh://user@board") as device:
        print(device.run(["uname", "-m"]).output)

`transport.py` is what each way to a device offers; `device.py` is what the rest of the package uses.
"""

from __future__ import annotations

from pathlib import Path

from snpe_tools.devices.address import DeviceAddress, parse_addresses
from snpe_tools.devices.device import PATIENCE, Device, Finished
from snpe_tools.devices.shell import Script
from snpe_tools.devices.transport import Stream, Transport

__all__ = ["Device", "DeviceAddress", "Finished", "Script", "Stream", "Transport", "connect", "parse_addresses"]


def connect(address: DeviceAddress | str, *, patience: float = PATIENCE, root: str = "") -> Device:
    """The device at an address, connected.

    Args:
        patience: seconds that it may take to answer.
        root: the folder there that holds all we put on it; "" for the usual one of its system.

    Raises:
        UsageError: the text is no address.
        DeviceError: it cannot be reached or refuses; the hint says what to do there.
    """
    known = DeviceAddress.parse(address) if isinstance(address, str) else address
    return Device(_transport(known, patience), patience, root)


def _transport(address: DeviceAddress, patience: float) -> Transport:
    if address.kind == "ssh":
        from snpe_tools.devices.ssh import SshTransport

        return SshTransport(address, patience)
    if address.kind == "adb":
        from snpe_tools.devices.adb import AdbTransport

        return AdbTransport(address, patience)
    from snpe_tools.devices.fake import FakeTransport

    return FakeTransport(Path(address.target))
