"""Which device is meant: `adb`, `adb:SERIAL`, `ssh://user@host:port`, or `fake:FOLDER`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from snpe_tools.core.errors import UsageError

HOST = "host"
"""The machine itself, whose emulator runs a DLC; not an address."""
_FORMS = "adb, adb:SERIAL, ssh://user@host:port, or fake:FOLDER."
_SERIAL = re.compile(r"[A-Za-z0-9_\[(][A-Za-z0-9._:%()\[\]-]*")
_HOST = re.compile(r"[A-Za-z0-9_:][A-Za-z0-9._:%-]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]*")


@dataclass(frozen=True)
class DeviceAddress:
    """One device, as a user names it. `str()` gives what `parse` reads.

    Attributes:
        target: the ADB serial ("" for the only one attached), the host or the folder.
        user: of SSH; "" where `~/.ssh/config` or the local name decides.
        port: of SSH; 0 where `~/.ssh/config` or 22 decides.
    """

    kind: Literal["adb", "ssh", "fake"]
    target: str = ""
    user: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.kind != "ssh":
            return f"{self.kind}:{self.target}" if self.target else self.kind
        host = f"[{self.target}]" if ":" in self.target else self.target
        return f"ssh://{self.user and self.user + '@'}{host}{f':{self.port}' if self.port else ''}"

    @classmethod
    def parse(cls, text: str) -> DeviceAddress:
        """The address that `text` names.

        Raises:
            UsageError: it is none; the message says which part is wrong.
        """
        kind, _, rest = text.partition(":")
        if text == "adb" or kind == "adb":
            return _adb(text, rest)
        if text.startswith("ssh://"):
            return _ssh(text)
        if kind == "fake" and rest and "\0" not in rest:
            return cls("fake", rest)
        raise UsageError(f"{text!r} is no device address.", f"A device is written as {_FORMS}")


def parse_addresses(text: str) -> tuple[DeviceAddress, ...]:
    """Devices of a comma-separated list, in that order, each once.

    Raises:
        UsageError: one of them is no address, or there is none.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise UsageError("No device was named.", f"A device is written as {_FORMS}")
    return tuple(dict.fromkeys(DeviceAddress.parse(part) for part in parts))


@dataclass(frozen=True)
class Targets:
    """Where a DLC runs: on the host's emulator, on devices, or on both."""

    host: bool = True
    devices: tuple[DeviceAddress, ...] = ()


def parse_targets(text: str) -> Targets:
    """Targets of a comma-separated list such as "host,adb:SERIAL".

    Raises:
        UsageError: one of them is neither "host" nor an address, or there is none.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    addresses = ",".join(part for part in parts if part != HOST)
    if HOST in parts and not addresses:
        return Targets()
    return Targets(HOST in parts, parse_addresses(addresses))


def _adb(text: str, serial: str) -> DeviceAddress:
    if text != "adb" and not _SERIAL.fullmatch(serial):
        raise UsageError(
            f"{text!r} has no ADB serial number.", "`snpe-tools devices` lists them; adb:SERIAL names one."
        )
    return DeviceAddress("adb", serial)


def _ssh(text: str) -> DeviceAddress:
    try:
        parts = urlsplit(text)
        port = parts.port or 0
    except ValueError as problem:
        raise UsageError(f"{text!r} is no SSH address: {problem}.", "ssh://user@host:port") from problem
    if parts.password is not None:
        raise UsageError(
            "An SSH address holds no password: other users of this machine could read it.",
            "Use a key: ssh-copy-id user@host, or ssh-add for one with a passphrase.",
        )
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise UsageError(f"{text!r} names more than a host.", "ssh://user@host:port")
    return DeviceAddress("ssh", _host(text, parts), _user(text, parts), port)


def _host(text: str, parts: SplitResult) -> str:
    # Not `parts.hostname`, which is in lower case: names in ~/.ssh/config are not.
    host = re.sub(r":\d*$", "", parts.netloc.rpartition("@")[2]) if "]" not in parts.netloc else parts.hostname or ""
    if not _HOST.fullmatch(host):
        raise UsageError(f"{text!r} has no host name.", "ssh://user@host:port")
    return host


def _user(text: str, parts: SplitResult) -> str:
    user = parts.username or ""
    if user and not _USER.fullmatch(user):
        raise UsageError(f"{text!r} has a user name with unusual characters.", "ssh://user@host:port")
    return user
