"""Where a DLC runs: devices over ADB and SSH, and a fake one in a folder.

    with connect("ssh://user@board") as device:
        print(device.run(["uname", "-m"]).output)

`transport.py` is what each way to a device offers; `device.py` is what the rest of the package uses.
"""

from __future__ import annotations

from pathlib import Path

from snpe_tools.core.errors import DeviceError, UsageError
from snpe_tools.core.process import Finished
from snpe_tools.devices.device import PATIENCE, Device
from snpe_tools.devices.shell import Script
from snpe_tools.devices.transports.address import DeviceAddress, parse_addresses
from snpe_tools.devices.transports.transport import Stream, Transport

__all__ = [
    "Device", "DeviceAddress", "Finished", "Script", "Stream", "Transport", "check_root", "connect", "parse_addresses",
]  # fmt: skip


def connect(address: DeviceAddress | str, *, patience: float = PATIENCE, root: str = "") -> Device:
    """The device at an address, connected.

    Args:
        patience: seconds that it may take to answer.
        root: the folder there that holds all we put on it; "" for the usual one of its system.

    Raises:
        UsageError: the text is no address, or `root` no whole path.
        DeviceError: it cannot be reached or refuses; the hint says what to do there.
    """
    known = DeviceAddress.parse(address) if isinstance(address, str) else address
    check_root(root)
    try:
        return Device(_transport(known, patience), patience, root)
    except (ConnectionError, TimeoutError) as problem:
        raise DeviceError(
            f"it cannot be reached: {problem}.", "Check cable, power and network.", address=str(known)
        ) from problem


def check_root(root: str) -> None:
    """Refuse a folder that means another one wherever a command is started, or that only a shell understands.

    Raises:
        UsageError: it does not begin with "/".
    """
    if root and not root.startswith("/"):
        raise UsageError(
            f"--device-root {root!r} is no whole path.", "Name the whole path on the device; it begins with /."
        )


def _transport(address: DeviceAddress, patience: float) -> Transport:
    if address.kind == "ssh":
        from snpe_tools.devices.transports.ssh import SshTransport

        return SshTransport(address, patience)
    if address.kind == "adb":
        from snpe_tools.devices.transports.adb import AdbTransport

        return AdbTransport(address, patience)
    from snpe_tools.devices.transports.fake import FakeTransport

    return FakeTransport(Path(address.target))
