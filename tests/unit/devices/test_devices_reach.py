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
from snpe_tools.devices.transports.known_hosts import KnownHosts, matches
from snpe_tools.devices.transports.ssh_config import Hop, hops
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


def test_marked_lines_of_known_hosts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    good, bad = (paramiko.ECDSAKey.generate() for _ in range(2))
    names = paramiko.hostkeys.HostKeys.hash_host("board")
    plain = [f"board {key.get_name()} {key.get_base64()}" for key in (good, bad)]
    for revoked in ("board", "b*,!boat", names):
        file = tmp_path / "known_hosts"
        marked = ["@cert-authority *.example ssh-rsa AAAA", f"@revoked {revoked} {bad.get_name()} {bad.get_base64()}"]
        file.write_text("\n".join([marked[0], *plain, marked[1], ""]))
        known = KnownHosts("board")
        known.read(file)
        assert known.revoked == {bad.asbytes()}
        assert known.lines[file] == plain
        client = paramiko.SSHClient()
        known.load_into(client, file)
        assert client._system_host_keys.check("board", good)
        assert not client._system_host_keys.check("board", bad)
    assert not caplog.text
    other = KnownHosts("boat")
    other.read(file)
    assert not other.revoked
    (tmp_path / "more").write_text("@cert-authority board,x ssh-rsa AAAA\n")
    KnownHosts("board").read(tmp_path / "more")
    assert "certificates are not supported" in caplog.text
    for text, words in (("@revoked board ssh-rsa A*A\n", "damaged"), ("@strange board x y\n", "not understood")):
        (tmp_path / "wrong").write_text(text)
        with pytest.raises(InputError, match=words):
            KnownHosts("board").read(tmp_path / "wrong")


@pytest.mark.parametrize(
    ("names", "host", "meant"),
    [
        ("[127.0.0.1]:2222", "[127.0.0.1]:2222", True), ("[127.0.0.1]:*", "[127.0.0.1]:2222", True),
        ("127.0.0.1", "[127.0.0.1]:2222", False), ("a.b", "axb", False), ("B?ard", "board", True),
        ("*,!board", "board", False), ("|1|broken", "board", False), ("", "board", False),
    ],
)  # fmt: skip
def test_names_in_known_hosts(names: str, host: str, meant: bool) -> None:
    assert matches(names, host) == meant


def test_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("getpass.getuser", nobody)
    with pytest.raises(UsageError, match="has no name on this machine"):
        hops(DeviceAddress.parse("ssh://board"))
    assert hops(DeviceAddress.parse("ssh://root@board"))[0].user == "root"
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("Host board\nUser admin\n")
    with pytest.raises(InputError, match="cannot be followed") as caught:
        hops(DeviceAddress.parse("ssh://board"))
    assert "export USER" in caught.value.hint
    monkeypatch.setattr("getpass.getuser", lambda: "me")
    assert hops(DeviceAddress.parse("ssh://board"))[0].user == "admin"


def test_a_proxy_command_is_asked_for_the_addresss_own_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    config = tmp_path / ".ssh" / "config"
    config.write_text("Host board\nPort 22\nHostName there\nProxyCommand tunnel %h %p %r\n")
    (hop,) = hops(DeviceAddress.parse("ssh://me@board:2222"))
    assert (hop.port, hop.user, hop.proxy_command) == (2222, "me", "tunnel there 2222 me")
    config.write_text("Host *\nProxyCommand none\n")
    assert not hops(DeviceAddress.parse("ssh://me@board"))[0].proxy_command
    for command, words in (("/no/such/program", "cannot be started"), ("'", "cannot be started")):
        config.write_text(f"Host *\nProxyCommand {command}\n")
        with pytest.raises(DeviceError, match=words) as caught:
            connect("ssh://me@board", patience=1)
        assert "without a shell" in caught.value.hint


@pytest.mark.parametrize("root", ["here", "~/there", "./x", "$HOME/x"])
def test_a_folder_on_the_device_is_named_as_a_whole(root: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no whole path") as caught:
        connect(DeviceAddress("fake", str(tmp_path / "board")), root=root)
    assert "whole path" in caught.value.hint
    with pytest.raises(UsageError, match="no whole path"):
        DeviceOptions(root=root)
    assert not (tmp_path / "board").exists()
