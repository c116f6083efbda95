"""Devices over SSH, through paramiko: one connection, a channel for each script."""

from __future__ import annotations

import contextlib
import shlex
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from snpe_tools.core.errors import DeviceError
from snpe_tools.core.process import AttachedProcess
from snpe_tools.devices.shell import under_any_shell
from snpe_tools.devices.transports.address import DeviceAddress
from snpe_tools.devices.transports.ssh_config import Hop, hops
from snpe_tools.devices.transports.ssh_login import log_in
from snpe_tools.devices.transports.transport import Stream

if TYPE_CHECKING:
    import paramiko

_READ = 1 << 16
_FAREWELL = 1.0
"""Seconds that saying goodbye may take."""
_TCP_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", None)


class SshTransport:
    """A device over SSH.

    Raises:
        DeviceError: it cannot be reached, is not known, or accepts no key.
        UsageError, InputError: `~/.ssh/config` or `known_hosts` cannot be followed.
    """

    def __init__(self, address: DeviceAddress, patience: float) -> None:
        self._address = address
        path = hops(address)
        self._proxy: AttachedProcess | None = None
        try:
            if path[0].proxy_command:
                self._line, self._proxy = _through_program(path[0])
            else:
                self._line = _connected(path[0], patience)
        except DeviceError as problem:
            raise self._named(problem, path) from problem
        try:
            # Several answers are waited for, one after another.
            with self._cut_after(4 * patience * len(path)):
                self._clients = log_in(path, self._line, patience)
        except DeviceError as problem:
            self._hang_up()
            raise self._named(problem, path) from problem
        except BaseException:
            self._hang_up()
            raise

    def _hang_up(self) -> None:
        self._line.close()
        if self._proxy:
            self._proxy.kill()

    def _named(self, problem: DeviceError, path: tuple[Hop, ...]) -> DeviceError:
        """The same error under the address that the user wrote; which login failed is told when there are several."""
        message = problem.message.removeprefix(f"{problem.address}: ") if len(path) == 1 else problem.message
        return DeviceError(message, problem.hint, address=str(self._address))

    @property
    def address(self) -> DeviceAddress:
        """As the user wrote it."""
        return self._address

    def open(self, script: str, seconds: float) -> Stream:
        """Start `script` on a channel of its own, and without a terminal."""
        transport = self._clients[-1].get_transport()
        if transport is None:
            raise ConnectionError("it is disconnected")
        # Also a lock inside paramiko is waited for, which a blocked writer holds: only cutting the line ends that.
        with self._cut_after(seconds), _told():
            channel: paramiko.Channel = transport.open_session(timeout=seconds)
            channel.set_combine_stderr(True)
            channel.settimeout(None)
            channel.exec_command(under_any_shell(script))
            return _ChannelStream(channel)

    @contextlib.contextmanager
    def _cut_after(self, seconds: float) -> Iterator[None]:
        timer = threading.Timer(seconds, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _cut(self) -> None:
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Disconnect, from the device back to the first hop."""
        with self._cut_after(_FAREWELL):
            for client in reversed(self._clients):
                with contextlib.suppress(OSError, EOFError):
                    client.close()
        self._hang_up()


def _connected(hop: Hop, patience: float) -> socket.socket:
    try:
        line = socket.create_connection((hop.host, hop.port), timeout=patience)
    except OSError as problem:
        raise DeviceError(
            f"no connection to {hop.host}, port {hop.port}: {problem.strerror or problem}.",
            "Is it on, in the same network, and does its SSH server run?",
            address=str(hop),
        ) from problem
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if _TCP_USER_TIMEOUT is not None:  # the kernel gives up on bytes that nobody acknowledges
        line.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, int(patience * 1000))
    return line


def _through_program(hop: Hop) -> tuple[socket.socket, AttachedProcess]:
    """A line to a host through the `ProxyCommand` of `~/.ssh/config`, which is started without a shell."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            words = shlex.split(hop.proxy_command)
            words = words[1:] if words[:1] == ["exec"] else words
            return ours, AttachedProcess(words, theirs, cwd=Path.cwd(), environment={}, errors_apart=True)
        except (OSError, ValueError, IndexError) as problem:
            ours.close()
            raise DeviceError(
                f"its ProxyCommand {hop.proxy_command!r} cannot be started: {problem}.",
                "Correct it in ~/.ssh/config; it is started without a shell: no pipes, no variables.",
                address=str(hop),
            ) from problem


class _ChannelStream:
    """One script: a channel's input and its two outputs as one."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self._arrived = threading.Event()
        channel.in_buffer.set_event(self._arrived)

    def send(self, data: bytes) -> None:
        with _told():
            self._channel.sendall(data)

    def end(self) -> None:
        with _told():
            self._channel.shutdown_write()

    def receive(self, seconds: float) -> bytes:
        # A channel's own time-out would be that of `send`, too.
        if not self._arrived.wait(seconds):
            raise TimeoutError(f"nothing arrived within {seconds:.0f} seconds")
        with _told():
            data: bytes = self._channel.recv(_READ)
            return data

    def close(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            self._channel.close()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Whatever breaks the connection is a `ConnectionError`."""
    import paramiko

    try:
        yield
    except TimeoutError:
        raise
    except (paramiko.SSHException, OSError, EOFError) as problem:
        raise ConnectionError(str(problem) or "the device closed it") from problem
