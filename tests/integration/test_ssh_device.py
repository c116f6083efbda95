"""SSH devices against a real sshd on loopback: logins, files, and connections that really break."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from snpe_tools.core.errors import DeviceError, DeviceLostError, StorageError
from snpe_tools.devices import Device, Script, Transport, connect
from snpe_tools.devices.storage.bundle import push_bundle
from snpe_tools.devices.storage.run_folder import run_folder
from snpe_tools.devices.storage.transfer import pull_folder
from snpe_tools.testing import TransportSuite
from tests import sshd
from tests.processes import ended, killed_by_time
from tests.sshd import Sshd

PATIENCE = 20.0


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    running = sshd.start(tmp_path / "sshd")
    monkeypatch.setenv("HOME", str(running.home))
    yield running
    running.stop()


@pytest.fixture
def device(server: Sshd) -> Iterator[Device]:
    with connect(server.address, patience=PATIENCE) as connected:
        yield connected


class TestSsh(TransportSuite):
    @pytest.fixture
    def transport(self, device: Device) -> Transport:
        return device.transport


def test_what_a_login_prints_is_not_what_a_command_prints(server: Sshd, tmp_path: Path) -> None:
    server.stop()
    again = sshd.start(tmp_path / "banner", f"SetEnv HOME={tmp_path} BASH_ENV={tmp_path}/rc")
    (tmp_path / "rc").write_text("echo welcome; echo to the board >&2\n")
    shutil.copytree(again.home / ".ssh", server.home / ".ssh", dirs_exist_ok=True)
    try:
        with connect(again.address, patience=PATIENCE) as device:
            assert device.check(["echo", "x"]) == "x\n"
    finally:
        again.stop()


def test_a_login_that_runs_no_commands_is_told_in_its_own_words(server: Sshd, tmp_path: Path) -> None:
    closed = sshd.start(tmp_path / "closed", "ForceCommand echo This account is closed.")
    shutil.copytree(closed.home / ".ssh", server.home / ".ssh", dirs_exist_ok=True)
    try:
        with (
            connect(closed.address, patience=PATIENCE) as device,
            pytest.raises(DeviceLostError, match="runs no commands, and says 'This account is closed"),
        ):
            device.run(["true"])
    finally:
        closed.stop()


def test_an_unknown_host_is_refused_and_the_command_that_adds_it_works(server: Sshd, tmp_path: Path) -> None:
    known = server.home / ".ssh" / "known_hosts"
    known.unlink()
    with pytest.raises(DeviceError) as caught:
        connect(server.address, patience=PATIENCE)
    shown = subprocess.run(
        ["ssh-keygen", "-lf", tmp_path / "sshd" / "host_key.pub"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split()[1] in caught.value.message
    subprocess.run(["sh", "-c", caught.value.hint.split("add it: ")[1]], check=True, stderr=subprocess.DEVNULL)
    with connect(server.address, patience=PATIENCE) as device:
        assert device.check(["echo", "x"]) == "x\n"


def test_a_changed_host_key_is_refused_loudly(server: Sshd, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    kind, key, *_ = (tmp_path / "other.pub").read_text().split()
    (server.home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {kind} {key}\n")
    with pytest.raises(DeviceError, match="HOST KEY HAS CHANGED") as caught:
        connect(server.address, patience=PATIENCE)
    assert f"ssh-keygen -R '[127.0.0.1]:{server.port}'" in caught.value.hint


def test_a_key_that_is_not_accepted(server: Sshd, tmp_path: Path) -> None:
    (tmp_path / "sshd" / "authorized_keys").write_text("")
    with pytest.raises(DeviceError, match="accepts none of your keys") as caught:
        connect(server.address, patience=PATIENCE)
    assert f"ssh-copy-id -p {server.port}" in caught.value.hint


def test_a_key_with_a_passphrase_is_used_through_the_agent(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    key = server.home / ".ssh" / "id_ed25519"
    agent = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    settings = dict(part.split(";")[0].split("=") for part in agent.splitlines() if "=" in part)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", settings["SSH_AUTH_SOCK"])
        subprocess.run(["ssh-add", "-q", key], check=True)
        subprocess.run(["ssh-keygen", "-q", "-p", "-N", "passphrase", "-f", key], check=True, stdout=subprocess.DEVNULL)
        with connect(server.address, patience=PATIENCE) as device:
            assert device.check(["echo", "x"]) == "x\n"
    finally:
        os.kill(int(settings["SSH_AGENT_PID"]), signal.SIGTERM)
    monkeypatch.delenv("SSH_AUTH_SOCK")
    with pytest.raises(DeviceError, match="has a passphrase") as caught:
        connect(server.address, patience=PATIENCE)
    assert "ssh-add" in caught.value.hint


_TUNNEL = """
import os, select, socket, sys
open(sys.argv[0] + ".pid", "w").write(str(os.getpid()))
there = socket.create_connection((sys.argv[1], int(sys.argv[2])))
while True:
    for ready in select.select([0, there], [], [])[0]:
        data = os.read(0, 65536) if ready == 0 else there.recv(65536)
        if not data:
            sys.exit()
        there.sendall(data) if ready == 0 else os.write(1, data)
"""


def test_ssh_config_names_hosts_keys_and_a_jump_host(server: Sshd) -> None:
    folder = server.home / ".ssh"
    (folder / "id_ed25519").rename(folder / "elsewhere")
    (folder / "known_hosts").rename(folder / "known there")
    common = f'User {sshd.USER}\nIdentityFile {folder}/elsewhere\nUserKnownHostsFile "{folder}/known there"\n'
    hosts = f"Host jump Board-A\nHostName 127.0.0.1\nPort {server.port}\n{common}"
    (folder / "config").write_text(f"{hosts}Host Board-A\nProxyJump jump\n")
    with connect("ssh://Board-A", patience=PATIENCE) as device:
        assert device.check(["echo", "x"]) == "x\n"
        assert str(device) == "ssh://Board-A"
    (folder / "config").write_text(f"{hosts}Host new\nHostName localhost\nPort {server.port}\nProxyJump jump\n{common}")
    with pytest.raises(DeviceError, match=r"ssh://new: .*@localhost:\d+: its host key is not known") as caught:
        connect("ssh://new", patience=PATIENCE)
    assert f"ssh -J {sshd.USER}@127.0.0.1:{server.port} -p {server.port} {sshd.USER}@localhost" in caught.value.hint


def test_a_proxy_command_leads_to_the_device(server: Sshd, tmp_path: Path) -> None:
    tunnel = tmp_path / "a tunnel.py"
    tunnel.write_text(_TUNNEL)
    command = f"ProxyCommand {sys.executable} '{tunnel}' %h %p\n"
    (server.home / ".ssh" / "config").write_text(f"Host board\nHostName 127.0.0.1\n{command}")
    address = f"ssh://{sshd.USER}@board:{server.port}"
    with connect(address, patience=PATIENCE) as device:
        assert device.check(["echo", "x"]) == "x\n"
        process = int((tmp_path / "a tunnel.py.pid").read_text())
        os.kill(process, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_a_revoked_host_key_is_refused(server: Sshd) -> None:
    known = server.home / ".ssh" / "known_hosts"
    known.write_text(f"@cert-authority * ssh-rsa AAAA\n{known.read_text()}")
    with connect(server.address, patience=PATIENCE) as device:
        assert device.check(["echo", "x"]) == "x\n"
    known.write_text(f"{known.read_text()}@revoked {known.read_text().splitlines()[1]}\n")
    with pytest.raises(DeviceError, match="ITS HOST KEY WAS REVOKED"):
        connect(server.address, patience=PATIENCE)


def test_nobody_listens_there() -> None:
    with pytest.raises(DeviceError, match=r"no connection to 127\.0\.0\.1") as caught:
        connect(f"ssh://me@127.0.0.1:{sshd.free_port()}", patience=PATIENCE)
    assert "Is it on" in caught.value.hint


def test_a_server_that_never_answers_is_a_time_out() -> None:
    words = "does not answer as an SSH server: it (says nothing|took too long)"
    with socket.create_server(("127.0.0.1", 0)) as deaf, pytest.raises(DeviceError, match=words):
        connect(f"ssh://me@127.0.0.1:{deaf.getsockname()[1]}", patience=0.5)


def test_a_connection_that_breaks_during_a_run(server: Sshd, device: Device) -> None:
    with pytest.raises(DeviceLostError, match=r"127\.0\.0\.1.*connection was lost"):
        device.run(Script("echo started; sleep 600"), on_line=lambda _line: server.kill_sessions())
    with pytest.raises(DeviceLostError):
        device.run(["true"])
    with connect(server.address, patience=PATIENCE) as again:
        assert again.run(["true"]).status == 0


def test_a_push_that_breaks_goes_on_where_it_stopped(server: Sshd, device: Device, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(os.urandom(30_000_000))
    seen: list[int] = []

    def advance(count: int = 1, note: str = "") -> None:
        assert not note
        seen.append(count)
        if len(seen) == 100:
            server.kill_sessions()

    with pytest.raises(DeviceLostError):
        device.push(tmp_path / "a", f"{tmp_path}/b", advance)
    there = (tmp_path / "b").stat().st_size
    assert 0 < there < 30_000_000
    seen.clear()
    with connect(server.address, patience=PATIENCE) as again:
        again.push(tmp_path / "a", f"{tmp_path}/b", lambda count=1, note="": seen.append(count + len(note)))
    assert seen[0] >= there
    assert sum(seen) == 30_000_000
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()


def test_output_that_breaks_off_is_no_whole_one(server: Sshd, device: Device, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(os.urandom(30_000_000))
    with pytest.raises(DeviceLostError):
        device.stream(f"cat {tmp_path}/a", sink=lambda _data: server.kill_sessions(), timeout=60)


@pytest.mark.parametrize("during", ["run", "push"])
def test_a_frozen_device_is_a_lost_one(server: Sshd, tmp_path: Path, during: str) -> None:
    (tmp_path / "a").write_bytes(bytes(50_000_000))
    with connect(server.address, patience=PATIENCE) as device:
        device.patience = 0.5
        server.signal_sessions(signal.SIGSTOP)
        with pytest.raises(DeviceLostError):
            if during == "run":
                device.run(["echo", "x"])
            else:
                device.push(tmp_path / "a", f"{tmp_path}/b")


def test_a_device_that_freezes_while_it_runs(server: Sshd) -> None:
    with connect(server.address, patience=PATIENCE) as device:
        device.patience = 0.5

        def freeze(_line: str) -> None:
            server.signal_sessions(signal.SIGSTOP)

        with pytest.raises(DeviceLostError):
            device.run(Script("echo started; sleep 600"), on_line=freeze)


def test_a_command_that_takes_too_long_is_killed_with_all_it_started(device: Device) -> None:
    assert [ended(process) for process in killed_by_time(device, shortest=1)] == [True]


def _raws(folder: Path, count: int) -> dict[str, Path]:
    folder.mkdir()
    files = {f"Result_{number}/it's; $(x).raw": folder / str(number) for number in range(count)}
    for file in files.values():
        file.write_bytes(os.urandom(4608))
    return files


@pytest.mark.usefixtures("own_cache")
def test_many_small_files_are_pushed_once_and_read_back(server: Sshd, tmp_path: Path) -> None:
    files = _raws(tmp_path / "raws", 1000)
    with connect(server.address, patience=PATIENCE) as device:
        assert device.root == f"{server.home}/.cache/snpe-tools"
        pushed = push_bundle(device, files, "inputs")
        assert (pushed.total, pushed.sent) == (4_608_000, 4_608_000)
        assert push_bundle(device, files, "inputs").sent == 0
        with run_folder(device, needed=5_000_000, uses=[pushed.name]) as folder:
            device.check(Script.of("cp -R {} {}/output && rm {}/output/.s*", pushed.folder, folder, folder))
            names = pull_folder(device, f"{folder}/output", tmp_path / "back", limit=5_000_000)
    assert names == sorted(files)
    assert all((tmp_path / "back" / name).read_bytes() == file.read_bytes() for name, file in files.items())


@pytest.mark.usefixtures("own_cache")
def test_a_bundle_survives_a_broken_push(server: Sshd, tmp_path: Path) -> None:
    files = _raws(tmp_path / "raws", 100) | {"model.dlc": tmp_path / "model"}
    (tmp_path / "model").write_bytes(os.urandom(40_000_000))
    parts = server.home / ".cache/snpe-tools/staging"

    def watch() -> None:
        while not any(part.stat().st_size for part in parts.glob("*/.snpe-tools.parts/*")):
            time.sleep(0.005)
        server.kill_sessions()

    watcher = threading.Thread(target=watch)
    with connect(server.address, patience=PATIENCE) as device, pytest.raises(DeviceLostError):
        watcher.start()
        push_bundle(device, files, "inputs")
    watcher.join()
    with connect(server.address, patience=PATIENCE) as device:
        folder = Path(push_bundle(device, files, "inputs").folder)
    assert all((folder / name).read_bytes() == file.read_bytes() for name, file in files.items())


@pytest.mark.usefixtures("own_cache")
def test_a_full_device_keeps_what_arrived(server: Sshd, tmp_path: Path, small_disk: Callable[[str], Path]) -> None:
    small = small_disk("20m")
    (tmp_path / "model").write_bytes(os.urandom(30_000_000))
    with connect(server.address, patience=PATIENCE, root=f"{small}/tools") as device:
        with pytest.raises(StorageError, match="MiB free"):
            push_bundle(device, {"model.dlc": tmp_path / "model"}, "dlc")
        with pytest.raises(StorageError, match="no space left on the device"):
            device.push(tmp_path / "model", f"{small}/model")
        assert list((small / "tools" / "bundles").iterdir()) == []


def test_two_runs_at_once(server: Sshd) -> None:
    with connect(server.address, patience=PATIENCE) as first, connect(server.address, patience=PATIENCE) as second:
        seen: list[str] = []
        other = threading.Thread(target=lambda: seen.append(second.check(Script("sleep 1; echo b"))))
        other.start()
        assert first.check(Script("sleep 1; echo a")) == "a\n"
        other.join()
        assert seen == ["b\n"]


def test_a_connection_says_nothing_on_stderr(server: Sshd) -> None:
    program = f"from snpe_tools.devices import connect; connect({server.address!r}).run(['true'])"
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
