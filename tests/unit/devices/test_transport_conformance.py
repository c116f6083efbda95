"""Transports that need nothing but this machine pass the suite that ships: the fake, and one wire with a shell."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from snpe_tools.core.errors import DeviceLostError
from snpe_tools.devices import Device, DeviceAddress, Script, Transport
from snpe_tools.devices.transports.fake import FakeTransport
from snpe_tools.devices.transports.one_wire import OneWireTransport
from snpe_tools.devices.transports.wire import Wire
from snpe_tools.testing import TransportSuite

PATIENCE = 20.0


def over_socket(folder: Path) -> tuple[Wire, subprocess.Popen[bytes]]:
    """A shell that reads a socket, as behind a telnet bridge."""
    ours, theirs = socket.socketpair()
    with theirs:
        return Wire(ours.detach()), _shell(["/bin/sh"], theirs.fileno(), folder)


def over_terminal(folder: Path) -> tuple[Wire, subprocess.Popen[bytes]]:
    """A shell at a terminal that echoes, as behind a serial port."""
    ours, theirs = pty.openpty()
    shell = _shell(["/bin/sh", "-i"], theirs, folder)
    os.close(theirs)
    return Wire(ours), shell


def _shell(command: list[str], line: int, folder: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "HOME": str(folder), "XDG_CACHE_HOME": "", "TMPDIR": str(folder)}
    return subprocess.Popen(
        command, stdin=line, stdout=line, stderr=line, cwd=folder, env=environment, start_new_session=True
    )


@pytest.fixture(params=[over_socket, over_terminal])
def wired(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[OneWireTransport, subprocess.Popen[bytes]]]:
    (tmp_path / "device").mkdir()
    wire, shell = request.param(tmp_path / "device")
    transport = OneWireTransport(wire, DeviceAddress("fake", str(tmp_path / "device")), PATIENCE)
    try:
        yield transport, shell
        transport.close()
        assert shell.wait(PATIENCE) is not None
    finally:
        shell.kill()
        shell.wait()
    left = [entry for entry in (tmp_path / "device").iterdir() if entry.name.startswith("tmp.")]
    assert not left or shell.returncode < 0


class TestFake(TransportSuite):
    @pytest.fixture
    def transport(self, tmp_path: Path) -> Transport:
        return FakeTransport(tmp_path / "device")


class TestOneWire(TransportSuite):
    size = 100_000

    @pytest.fixture
    def transport(self, wired: tuple[OneWireTransport, subprocess.Popen[bytes]]) -> Transport:
        return wired[0]


def test_a_wire_that_is_cut_is_a_lost_device(wired: tuple[OneWireTransport, subprocess.Popen[bytes]]) -> None:
    transport, shell = wired
    device = Device(transport, patience=1)
    with pytest.raises(DeviceLostError):
        device.run(Script("echo started; sleep 600"), on_line=lambda _line: shell.kill())
    with pytest.raises(DeviceLostError):
        device.run(["true"])


def test_a_wire_without_a_shell_is_a_time_out() -> None:
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(TimeoutError):
        OneWireTransport(Wire(ours.detach()), DeviceAddress("fake"), 0.2)
