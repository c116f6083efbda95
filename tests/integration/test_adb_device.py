"""ADB devices: the real adb against a device that speaks ADB's device side, and connections that really break."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from snpe_tools.core.errors import DeviceError, DeviceLostError, StorageError
from snpe_tools.devices import Device, Script, Transport, connect
from snpe_tools.devices.storage.bundle import push_bundle
from snpe_tools.devices.storage.transfer import pull_folder
from snpe_tools.devices.transports.adb_server import AttachedDevice, attached
from snpe_tools.testing import TransportSuite
from tests.adb_device import running
from tests.adb_device.running import AdbDevice

PATIENCE = 20.0
STARTED = Script("echo started; sleep 600")
"""What breaks it begins when its line has come, so that a slow machine does not matter."""


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module", autouse=True)
def _own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One for all tests, since adb takes three seconds to start it."""
    with pytest.MonkeyPatch.context() as patch, running.own_server(tmp_path_factory.mktemp("android"), patch):
        yield


@pytest.fixture(autouse=True)
def _nothing_attached() -> Iterator[None]:
    yield
    running.adb("disconnect")


@pytest.fixture
def phone(tmp_path: Path) -> Iterator[AdbDevice]:
    switched_on = running.start(tmp_path / "phone")
    yield switched_on
    switched_on.stop()


@pytest.fixture
def device(phone: AdbDevice) -> Device:
    return connect(phone.address, patience=PATIENCE)


class TestAdb(TransportSuite):
    @pytest.fixture
    def transport(self, device: Device) -> Transport:
        return device.transport


def test_files_travel_both_ways(device: Device, phone: AdbDevice, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(os.urandom(5_000_000))
    device.push(tmp_path / "a", "it's; $(b)")
    assert (phone.home / "it's; $(b)").read_bytes() == (tmp_path / "a").read_bytes()
    bundle = push_bundle(device, {"model.dlc": tmp_path / "a"}, "dlc")
    assert (Path(bundle.folder) / "model.dlc").read_bytes() == (tmp_path / "a").read_bytes()
    (phone.home / "out" / "Result_0").mkdir(parents=True)
    (phone.home / "out" / "Result_0" / "logits.raw").write_bytes(b"1234")
    assert pull_folder(device, "out", tmp_path / "results", limit=100) == ["Result_0/logits.raw"]


def test_the_only_device_needs_no_name(device: Device) -> None:
    only = connect("adb", patience=PATIENCE)
    assert str(only) == str(device)
    assert only.run(["true"]).status == 0


def test_several_devices_need_a_name(device: Device, tmp_path: Path) -> None:
    second = running.start(tmp_path / "second")
    try:
        other = connect(second.address, patience=PATIENCE)
        with pytest.raises(DeviceError, match="2 devices are attached") as caught:
            connect("adb", patience=PATIENCE)
        assert str(device) in caught.value.hint
        assert str(other) in caught.value.hint
        assert {one.state for one in attached()} == {"device"}
    finally:
        second.stop()


def test_no_device_says_how_to_attach_one() -> None:
    with pytest.raises(DeviceError, match="no device is attached") as caught:
        connect("adb", patience=1)
    assert "USB debugging" in caught.value.hint
    with pytest.raises(DeviceError, match="adb:R58M123: it is not attached"):
        connect("adb:R58M123", patience=1)


def test_a_phone_that_has_not_allowed_this_computer(tmp_path: Path) -> None:
    locked = running.start(tmp_path / "phone", "--locked")
    try:
        with pytest.raises(DeviceError, match="unauthorized") as caught:
            connect(locked.address, patience=PATIENCE)
        assert "allow USB debugging" in caught.value.hint
    finally:
        locked.stop()


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("device", ""),
        ("offline", "Unplug it"),
        ("no permissions (missing udev rules? user is in the plugdev group); see [http://x]", "udev|apt install"),
        ("bootloader", "fastboot reboot"),
        ("something new", "Restart"),
    ],
)
def test_each_state_has_a_remedy(state: str, words: str) -> None:
    assert any(word in AttachedDevice("x", state).remedy for word in words.split("|"))


def test_a_phone_that_is_too_old(tmp_path: Path) -> None:
    old = running.start(tmp_path / "phone", "--features", "cmd")
    try:
        with pytest.raises(DeviceError, match="too old") as caught:
            connect(old.address, patience=PATIENCE)
        assert "Android 7" in caught.value.hint
    finally:
        old.stop()


def test_a_push_that_breaks_goes_on_where_it_stopped(tmp_path: Path) -> None:
    phone = running.start(tmp_path / "phone", "--drop-after", "10_000_000")
    (tmp_path / "a").write_bytes(os.urandom(30_000_000))
    (tmp_path / "b").write_bytes(b"small")
    files = {"a": tmp_path / "a", "b": tmp_path / "b"}
    try:
        with pytest.raises(DeviceLostError):
            push_bundle(connect(phone.address, patience=PATIENCE), files, "dlc")
        parts = list(phone.home.glob(".cache/snpe-tools/staging/*/.snpe-tools.parts/*"))
        assert [0 < part.stat().st_size < 30_000_000 for part in parts] == [True]
        pushed = push_bundle(connect(phone.address, patience=PATIENCE), files, "dlc")
        assert (Path(pushed.folder) / "a").read_bytes() == (tmp_path / "a").read_bytes()
        assert push_bundle(connect(phone.address, patience=PATIENCE), files, "dlc").sent == 0
    finally:
        phone.stop()


def test_a_pull_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    phone = running.start(tmp_path / "phone", "--drop-after", "1_000_000")
    (phone.home / "out").mkdir()
    (phone.home / "out" / "a").write_bytes(os.urandom(5_000_000))
    try:
        with pytest.raises(DeviceLostError):
            pull_folder(connect(phone.address, patience=PATIENCE), "out", tmp_path / "results", limit=10**7)
        assert not (tmp_path / "results").exists()
        again = connect(phone.address, patience=PATIENCE)
        assert pull_folder(again, "out", tmp_path / "results", limit=10**7) == ["a"]
    finally:
        phone.stop()


def test_a_server_that_is_killed_is_started_again(device: Device) -> None:
    with pytest.raises(DeviceLostError):
        device.run(STARTED, on_line=lambda _line: running.kill_server())
    assert device.check(["echo", "x"]) == "x\n"


def _why_lost(device: Device) -> str:
    with pytest.raises(DeviceLostError) as caught:
        Device(device.transport, patience=0.5).run(["true"])
    return caught.value.message


def test_a_phone_that_restarts(device: Device, phone: AdbDevice) -> None:
    with pytest.raises(DeviceLostError):
        device.run(STARTED, on_line=lambda _line: phone.stop())
    assert any(re.search("not attached|state is", _why_lost(device)) for _ in range(40))  # a busy server says nothing
    again = running.start(phone.home, "--port", str(phone.port))
    try:
        assert device.check(["echo", "x"]) == "x\n"
    finally:
        again.stop()


@pytest.mark.parametrize("during", ["before", "run", "push"])
def test_a_frozen_phone_is_a_lost_one(phone: AdbDevice, tmp_path: Path, during: str) -> None:
    (tmp_path / "a").write_bytes(bytes(50_000_000))
    device = connect(phone.address, patience=PATIENCE)
    device.patience = 0.5

    def freeze(_line: str) -> None:
        phone.process.send_signal(signal.SIGSTOP)

    if during != "run":
        freeze("")
    with pytest.raises(DeviceLostError):
        if during == "push":
            device.push(tmp_path / "a", "b")
        else:
            device.run(STARTED, on_line=freeze)


def test_a_full_phone(device: Device, tmp_path: Path, phone: AdbDevice) -> None:
    (tmp_path / "a").write_bytes(bytes(1_000_000))
    (phone.home / "bin").mkdir()
    limited = phone.home / "bin" / "cat"
    limited.write_text("#!/bin/sh\ntrap '' XFSZ; ulimit -f 100; exec /bin/cat \"$@\"\n")
    limited.chmod(0o755)
    with pytest.raises(StorageError, match="no space left on the device"):
        device.push(tmp_path / "a", "b")


def test_two_runs_at_once(phone: AdbDevice, tmp_path: Path) -> None:
    files = {str(number): tmp_path / str(number) for number in range(200)}
    for file in files.values():
        file.write_bytes(os.urandom(4608))
    sent: list[int] = []

    def push() -> None:
        sent.append(push_bundle(connect(phone.address, patience=PATIENCE), files, "inputs").sent)

    threads = [threading.Thread(target=push) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sent) == [0, 200 * 4608]
