"""What `~/.ssh/config` says of a host, read as OpenSSH reads it (ssh_config(5)), as far as a login needs it."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from pathlib import Path

from snpe_tools.core.errors import InputError, UsageError
from snpe_tools.devices.transports.address import DeviceAddress

_PORT = 22


@dataclass(frozen=True)
class Hop:
    """One login: the device, or a jump host on the way to it.

    Attributes:
        keys: private key files to try besides the agent's and the usual ones.
        known_hosts: files of known host keys; new ones are to be added to the first.
        only_these_keys: `IdentitiesOnly`: neither the agent's keys nor the usual files are tried.
        proxy_command: the program whose input and output lead there; "" where TCP does.
    """

    host: str
    port: int
    user: str
    keys: tuple[str, ...]
    known_hosts: tuple[Path, ...]
    only_these_keys: bool = False
    proxy_command: str = ""

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"

    @property
    def known_as(self) -> str:
        """Its name in a file of known hosts."""
        return self.host if self.port == _PORT else f"[{self.host}]:{self.port}"


def hops(address: DeviceAddress) -> tuple[Hop, ...]:
    """The logins that lead to a device, the device last.

    Raises:
        InputError: the file cannot be read as one.
        UsageError: it asks for a way that is not supported.
    """
    settings = _lookup(address)
    jumps = [part.strip() for part in settings.get("proxyjump", "none").split(",")]
    before = (
        [] if jumps == ["none"] else [DeviceAddress.parse(f"ssh://{part.removeprefix('ssh://')}") for part in jumps]
    )
    found = (*(_hop(jump, _lookup(jump)) for jump in before), _hop(address, settings))
    for hop in found[1:-1]:
        if hop.proxy_command:
            raise UsageError(
                f"~/.ssh/config reaches {hop.host}, a jump host behind another, by a ProxyCommand of its own.",
                "Write a ProxyJump there instead.",
            )
    return found


def _lookup(address: DeviceAddress) -> dict[str, str]:
    """The settings of a host. What the address itself says comes before the file, as it does for `ssh`."""
    from paramiko.config import SSHConfig
    from paramiko.ssh_exception import ConfigParseError

    file = Path.home() / ".ssh" / "config"
    if not file.is_file():
        return {}
    told = [f"Port {address.port}"] if address.port else []
    told += [f"User {address.user}"] if address.user else []
    try:
        text = "\n".join([*told, file.read_text(encoding="utf-8")])
        return dict(SSHConfig.from_text(text).lookup(address.target))
    except KeyError as problem:  # it asks for the name of the user who runs this
        raise InputError(
            f"{file} cannot be followed: this user has no name on this machine.", "Set one: export USER=name."
        ) from problem
    except (ConfigParseError, OSError, UnicodeDecodeError, ImportError) as problem:
        raise InputError(
            f"{file} cannot be read: {problem}.", f"ssh -G {address.target} shows what OpenSSH reads."
        ) from problem


def _hop(address: DeviceAddress, settings: dict[str, str]) -> Hop:
    port = settings.get("port", str(_PORT))
    if not port.isdecimal():
        raise InputError(f"~/.ssh/config gives {address.target} the port {port!r}.")
    command = settings.get("proxycommand") or "none"
    return Hop(
        host=settings.get("hostname", address.target),
        port=address.port or int(port),
        user=address.user or settings.get("user") or _own_name(address),
        keys=tuple(file for file in settings.get("identityfile", ()) if Path(file).is_file()),
        known_hosts=_files(settings.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2")),
        only_these_keys=settings.get("identitiesonly", "no") == "yes",
        proxy_command="" if command == "none" else command,
    )


def _own_name(address: DeviceAddress) -> str:
    """The name of the user who runs this, which a container may not have.

    Raises:
        UsageError: nothing says it.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError) as problem:
        raise UsageError(
            f"{address}: this user has no name on this machine, and none is given.",
            f"Name the user of the device: ssh://user@{address.target}.",
        ) from problem


def _files(text: str) -> tuple[Path, ...]:
    """One file or several: quotes around a single name with spaces are gone already."""
    whole = Path(text).expanduser()
    return (whole,) if whole.is_file() else tuple(Path(part).expanduser() for part in text.split())
