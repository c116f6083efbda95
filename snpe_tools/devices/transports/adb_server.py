"""The ADB server of this machine: one that runs is used, one that does not is started; what it says of its devices.

Requests and states as in the Android Debug Bridge's own documentation (SERVICES.TXT, "HOST SERVICES").
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from snpe_tools.core.errors import DeviceError, SetupError
from snpe_tools.core.process import run
from snpe_tools.devices.transports.address import DeviceAddress

if TYPE_CHECKING:
    from adbutils import AdbClient, AdbConnection

_STARTING = 30
_SETTLING = 0.2
_NETWORK = re.compile(r".+:\d{1,5}")
_PASSING = {"authorizing", "connecting", "offline"}
"""States that a device may leave by itself in a moment."""
_REMEDIES = {
    "unauthorized": "Unlock its screen, allow USB debugging from this computer, and run it again.",
    "authorizing": "Unlock its screen, allow USB debugging from this computer, and run it again.",
    "offline": "Unplug it and plug it in again; if that does not help: adb reconnect offline, or restart the device.",
    "no permissions": "This user may not use the USB device: sudo apt install android-sdk-platform-tools-common, "
    "log out and in, and plug it in again.",
    "recovery": "It is in recovery: adb reboot, and run it again.",
    "sideload": "It is in recovery: adb reboot, and run it again.",
    "bootloader": "It is in its bootloader: fastboot reboot, and run it again.",
}
_NONE = (
    "Plug it in with a cable that carries data, and switch on USB debugging in its developer options; "
    "over a network: adb:HOST:5555."
)


@dataclass(frozen=True)
class AttachedDevice:
    """A device that the ADB server knows.

    Attributes:
        state: "device" when it is ready; else as `adb devices` shows it.
    """

    serial: str
    state: str

    @property
    def remedy(self) -> str:
        """What to do when it is not ready; "" when it is."""
        if self.state == "device":
            return ""
        words = (remedy for state, remedy in _REMEDIES.items() if self.state.startswith(state))
        return next(words, "Restart the device, and run it again.")


def attached() -> list[AttachedDevice]:
    """The devices that the ADB server knows, whatever their state. The server is started when it does not run.

    Raises:
        DeviceError: what listens there does not answer as one.
        SetupError: it cannot be started.
    """
    try:
        text = request("host:devices", _STARTING)
    except (ConnectionError, TimeoutError) as problem:
        raise DeviceError(
            f"the ADB server does not answer as one: {problem}.",
            "adb kill-server, and run it again. ANDROID_ADB_SERVER_PORT names another port.",
            address="adb",
        ) from problem
    pairs = [line.partition("\t")[::2] for line in text.splitlines()]
    return [AttachedDevice(serial, state.strip()) for serial, state in pairs if serial and state.strip()]


def ready(address: DeviceAddress, patience: float) -> str:
    """The serial number of a device that can be used now. One at HOST:PORT is connected to when it is not yet.

    Raises:
        DeviceError: it is missing, not ready, or not the only one; the hint says what to do.
        SetupError: the ADB server cannot be started.
    """
    deadline = time.monotonic() + patience
    while True:
        found = [one for one in attached() if one.serial == address.target or not address.target]
        if len(found) == 1 and found[0].state == "device":
            return found[0].serial
        if time.monotonic() > deadline or len(found) > 1 or not _may_come(found):
            raise _unusable(address, found)
        if not found and _NETWORK.fullmatch(address.target):
            request(f"host:connect:{address.target}", patience)
        time.sleep(_SETTLING)


def _may_come(found: list[AttachedDevice]) -> bool:
    """Whether waiting makes sense: a server that was just started needs a moment to find what is plugged in."""
    return not found or found[0].state in _PASSING


def _unusable(address: DeviceAddress, found: list[AttachedDevice]) -> DeviceError:
    if not found:
        what = "it is not attached." if address.target else "no device is attached."
        return DeviceError(what, _NONE, address=str(address))
    if len(found) > 1:
        choices = ", ".join(f"adb:{one.serial}" for one in found)
        return DeviceError(f"{len(found)} devices are attached.", f"Name one: {choices}.", address=str(address))
    return DeviceError(f"its state is {found[0].state!r}.", found[0].remedy, address=str(address))


def request(service: str, seconds: float) -> str:
    """What the server answers to a request.

    Raises:
        ConnectionError: it refuses; the message is its own.
        SetupError: it cannot be started.
    """
    line = connected(seconds)
    with told(), line.conn:  # its own close() sleeps a while each time
        line.send_command(service)
        line.check_okay()
        return str(line.read_string_block())


def connected(seconds: float) -> AdbConnection:
    """A connection to the server, which is started when it does not run.

    Raises:
        SetupError: it cannot be started.
    """
    from adbutils import AdbClient

    try:
        client = AdbClient()
    except ValueError as problem:
        raise SetupError(
            f"ANDROID_ADB_SERVER_PORT is no port: {problem}.", "Unset it: the usual one is 5037."
        ) from None
    if not _listens(client):
        _start(client)
    with told():
        return client.make_connection(timeout=seconds)


def _listens(client: AdbClient) -> bool:
    try:
        socket.create_connection((client.host, client.port), _STARTING).close()
    except OSError:
        return False
    return True


def _start(client: AdbClient) -> None:
    from adbutils import adb_path

    finished = run([adb_path(), "start-server"], timeout=_STARTING)
    if finished.status and not _listens(client):  # another process may have started it at the same time
        raise SetupError(f"The ADB server cannot be started.{finished.tail()}", "adb start-server shows why.")


@contextlib.contextmanager
def told() -> Iterator[None]:
    """What adbutils raises, as the built-in errors that it means."""
    from adbutils.errors import AdbConnectionError, AdbError, AdbTimeout

    try:
        yield
    except AdbTimeout as problem:
        raise TimeoutError(str(problem)) from problem
    except (AdbConnectionError, AdbError, ValueError) as problem:
        raise ConnectionError(str(problem)) from problem
