"""Devices that cannot be reached: each way to fail is an error of ours, and costs other devices nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from snpe_tools.core.errors import DeviceError, InputError, SetupError, UsageError
from snpe_tools.devices import DeviceAddress, connect, parse_addresses
from snpe_tools.devices.transports.adb_server import attached
from snpe_tools.devices.transports.ssh_config import Hop
from snpe_tools.devices.transports.ssh_login import log_in
from snpe_tools.execution.fleet import look
from snpe_tools.execution.on_device import DeviceOptions

DEVICES = b"OKAY000bA1\tdevice\n\n"
FAIL = b"FAIL0004gone"


@pytest.fixture
def adb_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server that answers one connection after another with the given bytes, the last for all that follow."""
    answers: list[bytes] = list(request.param)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.getsockname()[1]))
        thread = threading.Thread(target=_serve, args=(server, answers), daemon=True)
        thread.start()
        yield
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def _serve(server: socket.socket, answers: list[bytes]) -> None:
    while True:
        try:
            line, _ = server.accept()
        except OSError:
            return
        with line:
            if line.recv(1 << 10):  # a probe says nothing
                line.sendall(answers.pop(0) if len(answers) > 1 else answers[0])


@pytest.mark.parametrize(
    ("adb_server", "words"),
    [
        ([b""], "does not answer as one"),
        ([FAIL], "gone"),
        ([b"HTTP/1.1 400 Bad\r\n"], "Unknown data"),
        ([b"OKAYzzzz"], "invalid literal"),
    ],
    indirect=["adb_server"],
    ids=["closes", "fails", "other", "size"],
)
@pytest.mark.usefixtures("adb_server")
def test_what_listens_is_no_adb_server(words: str) -> None:
    with pytest.raises(DeviceError, match=words) as caught:
        attached()
    assert "adb kill-server" in caught.value.hint


@pytest.mark.parametrize("adb_server", [[DEVICES, FAIL], [DEVICES, b""]], indirect=True, ids=["fails", "closes"])
@pytest.mark.usefixtures("adb_server")
def test_a_device_that_goes_while_it_is_connected_to(tmp_path: Path) -> None:
    lost, found = look(parse_addresses(f"adb:A1,fake:{tmp_path / 'board'}"))
    assert isinstance(lost.problem, DeviceError)
    assert "adb:A1: it cannot be reached" in lost.problem.message
    assert found.facts


def test_a_port_of_the_adb_server_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "many")
    with pytest.raises(SetupError, match="ANDROID_ADB_SERVER_PORT"):
        attached()


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"board ssh-ed25519 AAAA=x\n", "begins with 'board ssh-ed25519 AAAA=x'"), (b"\xff\n", "text")],
)
def test_a_damaged_file_of_host_keys(tmp_path: Path, content: bytes, words: str) -> None:
    known = tmp_path / "known_hosts"
    known.write_bytes(content)
    hop = Hop(host="board", port=22, user="u", keys=(), only_these_keys=False, known_hosts=(known,))
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(InputError, match=words) as caught:
        log_in((hop,), ours, 1)
    assert str(known) in caught.value.message
    assert isinstance(caught.value.__cause__, (paramiko.hostkeys.InvalidHostKey, UnicodeDecodeError))


@pytest.mark.parametrize("root", ["here", "~/there", "./x", "$HOME/x"])
def test_a_folder_on_the_device_is_named_as_a_whole(root: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no whole path") as caught:
        connect(DeviceAddress("fake", str(tmp_path / "board")), root=root)
    assert "whole path" in caught.value.hint
    with pytest.raises(UsageError, match="no whole path"):
        DeviceOptions(root=root)
    assert not (tmp_path / "board").exists()
