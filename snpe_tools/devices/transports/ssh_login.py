"""Logging in over SSH: host keys verified always, keys only, one jump host after another."""

from __future__ import annotations

import contextlib
import logging
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from snpe_tools.core.errors import DeviceError, InputError
from snpe_tools.devices.transports.known_hosts import KnownHosts
from snpe_tools.devices.transports.ssh_config import Hop

if TYPE_CHECKING:
    import paramiko

_KEEPALIVE = 15
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr")
"""The first two check what they encrypt in one pass: about 1.4 times as fast as the others."""

_SLOW = {"No existing session": "it took too long", "Error reading SSH protocol banner": "it says nothing"}
"""What paramiko says when it gave up waiting, in words that tell it."""

logging.getLogger("paramiko").addHandler(logging.NullHandler())  # its tracebacks are told as errors here


def log_in(path: tuple[Hop, ...], line: socket.socket, patience: float) -> list[paramiko.SSHClient]:
    """Clients logged in one through the other, the last at the device.

    Args:
        line: connected to the first hop.

    Raises:
        DeviceError: a host key that is unknown or has changed, or a key that is not accepted.
        InputError: a file of known host keys is damaged.
    """
    clients: list[paramiko.SSHClient] = []
    try:
        for number, hop in enumerate(path):
            way = line if number == 0 else _through(clients[-1], hop, patience)
            clients.append(_client(hop, way, patience, jump=path[number - 1] if number else None))
    except BaseException:
        for client in reversed(clients):
            client.close()
        raise
    return clients


def _through(client: paramiko.SSHClient, hop: Hop, patience: float) -> paramiko.Channel:
    import paramiko

    transport = client.get_transport()
    assert transport is not None  # noqa: S101 - it is logged in
    try:
        return transport.open_channel("direct-tcpip", (hop.host, hop.port), ("", 0), timeout=patience)
    except (paramiko.SSHException, OSError, EOFError) as problem:
        raise DeviceError(
            f"the jump host does not reach {hop.host}:{hop.port}: {problem}.",
            "Is the device on, and does the jump host allow TCP forwarding?",
            address=str(hop),
        ) from problem


def _client(hop: Hop, way: socket.socket | paramiko.Channel, patience: float, jump: Hop | None) -> paramiko.SSHClient:
    import paramiko

    client = paramiko.SSHClient()
    known = KnownHosts(hop.known_as)
    for file in hop.known_hosts:
        known.read(file)
    for file in hop.known_hosts:
        _load_host_keys(client, known, file)
    client.set_missing_host_key_policy(_Refuse(hop, jump, known))
    with _told(hop):
        client.connect(
            hop.host,
            hop.port,
            username=hop.user,
            key_filename=list(hop.keys) or None,
            allow_agent=not hop.only_these_keys,
            look_for_keys=not hop.only_these_keys,
            sock=way,
            timeout=patience,
            banner_timeout=patience,
            auth_timeout=patience,
            channel_timeout=patience,
            transport_factory=_transport,
        )
    return client


def _load_host_keys(client: paramiko.SSHClient, known: KnownHosts, file: Path) -> None:
    from paramiko.hostkeys import InvalidHostKey

    try:
        known.load_into(client, file)
    except InvalidHostKey as problem:
        raise InputError(
            f"{file}: the host key in the line that begins with {problem.line[:40]!r} is damaged: {problem.exc}.",
            "Remove that line.",
        ) from problem


def _transport(way: socket.socket, **options: object) -> paramiko.Transport:
    import paramiko

    transport = paramiko.Transport(way, **options)
    security = transport.get_security_options()
    security.ciphers = [name for name in _CIPHERS if name in security.ciphers]
    transport.set_keepalive(_KEEPALIVE)
    return transport


class _Refuse:
    """What is done with a host key that no file knows: it is shown, and refused."""

    def __init__(self, hop: Hop, jump: Hop | None, known: KnownHosts) -> None:
        self._hop = hop
        self._jump = jump
        self._known = known

    def missing_host_key(self, _client: paramiko.SSHClient, _name: str, key: paramiko.PKey) -> None:
        """Refuse it.

        Raises:
            DeviceError: always; the hint is the command that adds it.
        """
        hop = self._hop
        if key.asbytes() in self._known.revoked:
            raise DeviceError(
                f"ITS HOST KEY WAS REVOKED by a line of {' or '.join(map(str, hop.known_hosts))}: {key.fingerprint}.",
                "Nothing was sent. Give the device a new host key, or ask who revoked this one.",
                address=str(hop),
            )
        raise DeviceError(
            f"its host key is not known. It shows {key.fingerprint} ({key.get_name()}).",
            f"If the device's own console shows the same (ssh-keygen -lf on its host key), add it: {self._command()}",
            address=str(hop),
        )

    def _command(self) -> str:
        hop = self._hop
        if self._jump:
            jump = self._jump
            return shlex.join(
                ["ssh", "-J", f"{jump.user}@{jump.host}:{jump.port}", "-p", str(hop.port), f"{hop.user}@{hop.host}"]
            )
        return f"ssh-keyscan -p {hop.port} {shlex.quote(hop.host)} >> {shlex.quote(str(hop.known_hosts[0]))}"


@contextlib.contextmanager
def _told(hop: Hop) -> Iterator[None]:
    """What paramiko raises while it logs in, told with what to do."""
    import paramiko

    try:
        yield
    except paramiko.BadHostKeyException as problem:
        raise _changed(hop, problem) from problem
    except paramiko.PasswordRequiredException as problem:
        raise DeviceError("the private key has a passphrase.", "Unlock it once: ssh-add", address=str(hop)) from problem
    except paramiko.AuthenticationException as problem:
        raise DeviceError(
            f"it accepts none of your keys: {problem}.",
            f"Add one: ssh-copy-id -p {hop.port} {shlex.quote(hop.user + '@' + hop.host)}. "
            "Passwords are not supported: a command line shows them to others.",
            address=str(hop),
        ) from problem
    except (paramiko.SSHException, OSError, EOFError) as problem:
        why = _SLOW.get(str(problem)) or str(problem) or "the connection was closed"
        raise DeviceError(
            f"it does not answer as an SSH server: {why}.",
            "Is it on, and is this the right port?",
            address=str(hop),
        ) from problem


def _changed(hop: Hop, problem: paramiko.BadHostKeyException) -> DeviceError:
    return DeviceError(
        f"WARNING: ITS HOST KEY HAS CHANGED. It shows {problem.key.fingerprint}; "
        f"known is {problem.expected_key.fingerprint}. Someone may listen in between, "
        "or the device was installed anew. Nothing was sent.",
        "Only if you know why it changed: "
        f"{shlex.join(['ssh-keygen', '-R', hop.known_as, '-f', str(hop.known_hosts[0])])}, then add the new one.",
        address=str(hop),
    )
