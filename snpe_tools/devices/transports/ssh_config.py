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
    """

    host: str
    port: int
    user: str
    keys: tuple[str, ...]
    known_hosts: tuple[Path, ...]
    only_these_keys: bool = False

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
    settings = _lookup(address.target)
    if settings.get("proxycommand", "none") != "none":
        raise UsageError(
            f"~/.ssh/config reaches {address.target} by a ProxyCommand, which is not supported.",
            "Write a ProxyJump there instead.",
        )
    jumps = [part.strip() for part in settings.get("proxyjump", "none").split(",")]
    before = (
        [] if jumps == ["none"] else [DeviceAddress.parse(f"ssh://{part.removeprefix('ssh://')}") for part in jumps]
    )
    return (*(_hop(jump, _lookup(jump.target)) for jump in before), _hop(address, settings))


def _lookup(host: str) -> dict[str, str]:
    from paramiko.config import SSHConfig
    from paramiko.ssh_exception import ConfigParseError

    file = Path.home() / ".ssh" / "config"
    if not file.is_file():
        return {}
    try:
        return dict(SSHConfig.from_path(str(file)).lookup(host))
    except (ConfigParseError, OSError, UnicodeDecodeError, ImportError) as problem:
        raise InputError(f"{file} cannot be read: {problem}.", f"ssh -G {host} shows what OpenSSH reads.") from problem


def _hop(address: DeviceAddress, settings: dict[str, str]) -> Hop:
    port = settings.get("port", str(_PORT))
    if not port.isdecimal():
        raise InputError(f"~/.ssh/config gives {address.target} the port {port!r}.")
    return Hop(
        host=settings.get("hostname", address.target),
        port=address.port or int(port),
        user=address.user or settings.get("user", getpass.getuser()),
        keys=tuple(file for file in settings.get("identityfile", ()) if Path(file).is_file()),
        known_hosts=_files(settings.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2")),
        only_these_keys=settings.get("identitiesonly", "no") == "yes",
    )


def _files(text: str) -> tuple[Path, ...]:
    """One file or several: quotes around a single name with spaces are gone already."""
    whole = Path(text).expanduser()
    return (whole,) if whole.is_file() else tuple(Path(part).expanduser() for part in text.split())
