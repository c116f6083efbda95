"""Bundles on a fake device: only what is missing is sent, whatever breaks on the way."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from snpe_tools.core.errors import DeviceError, DeviceLostError, InputError, StorageError, UsageError
from snpe_tools.devices import Device, Script
from snpe_tools.devices.storage.bundle import Pushed, push_bundle
from snpe_tools.devices.storage.transfer import send_files
from snpe_tools.devices.transports.address import DeviceAddress
from snpe_tools.devices.transports.fake import FakeTransport, Faults

pytestmark = pytest.mark.usefixtures("own_cache")


def _files(folder: Path, count: int = 50, size: int = 4608) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = {f"input ids\u2028/{number}'s $(raw);.raw": folder / str(number) for number in range(count)}
    for file in files.values():
        file.write_bytes(os.urandom(size))
    return files


def _content(folder: str) -> dict[str, bytes]:
    found = sorted(Path(folder).rglob("*"))
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in found
        if file.is_file() and not file.name.startswith(".snpe-tools")
    }


def _wanted(files: dict[str, Path]) -> dict[str, bytes]:
    return {name: files[name].read_bytes() for name in sorted(files)}


def test_files_arrive_once(device: Device, transport: FakeTransport, tmp_path: Path) -> None:
    files = _files(tmp_path / "raws")
    first = push_bundle(device, files, "inputs")
    assert _content(first.folder) == _wanted(files)
    assert (first.files, first.total, first.sent) == (50, 50 * 4608, 50 * 4608)
    transport.moved = 0
    assert push_bundle(device, files, "inputs").sent == 0
    assert transport.moved < first.total / 100
    assert list((tmp_path / "device/.cache/snpe-tools/staging").iterdir()) == []


def test_only_what_changed_is_sent_and_the_older_bundle_stays_as_it_was(device: Device, tmp_path: Path) -> None:
    files = _files(tmp_path / "raws") | {"large": tmp_path / "large"}
    (tmp_path / "large").write_bytes(os.urandom(9_000_000))
    old = push_bundle(device, files, "inputs")
    before = _wanted(files)
    names = list(files)
    files[names[3]].write_bytes(b"changed")
    (tmp_path / "large").write_bytes(os.urandom(9_000_001))
    del files[names[4]]
    new = push_bundle(device, files, "inputs")
    assert new.sent == len(b"changed") + 9_000_001
    assert _content(new.folder) == _wanted(files)
    assert _content(old.folder) == before


def test_executables_stay_executable(device: Device, tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\necho it runs\n")
    (tmp_path / "tool").chmod(0o755)
    (tmp_path / "empty").touch()
    pushed = push_bundle(device, {"bin/tool": tmp_path / "tool", "lib/__init__.py": tmp_path / "empty"}, "runtime")
    assert device.check([f"{pushed.folder}/bin/tool"]) == "it runs\n"


@pytest.mark.parametrize("after", [400, 3000, 50_000, 220_000, 300_000, 3_000_000, 8_000_000])
def test_a_push_that_broke_is_finished_by_the_next(tmp_path: Path, after: int) -> None:
    files = _files(tmp_path / "raws") | {"large": tmp_path / "large"}
    (tmp_path / "large").write_bytes(os.urandom(9_000_000))
    transport = FakeTransport(tmp_path / "device", Faults(drop_after=after))
    with pytest.raises(DeviceLostError):
        push_bundle(Device(transport), files, "inputs")
    assert not list((tmp_path / "device").glob(".cache/snpe-tools/bundles/*"))
    again = FakeTransport(tmp_path / "device")
    pushed = push_bundle(Device(again), files, "inputs")
    assert _content(pushed.folder) == _wanted(files)
    assert again.moved < 9_000_000 + 300_000 - after + 300_000


def test_a_full_device_is_told_and_nothing_half_is_used(tmp_path: Path) -> None:
    files = _files(tmp_path / "raws", 3, 100_000)
    with pytest.raises(StorageError, match="no space left on the device"):
        push_bundle(Device(FakeTransport(tmp_path / "device", Faults(space=51_200))), files, "inputs")
    pushed = push_bundle(Device(FakeTransport(tmp_path / "device")), files, "inputs")
    assert _content(pushed.folder) == _wanted(files)


def test_what_does_not_fit_is_refused_before_it_is_sent(transport: FakeTransport, tmp_path: Path) -> None:
    (transport.folder / "bin").mkdir()
    df = transport.folder / "bin" / "df"
    df.write_text(
        "#!/bin/sh\necho 'Filesystem 1024-blocks Used Available Capacity Mounted on'\necho '/dev/x 9 9 20000 50% /'\n"
    )
    df.chmod(0o755)
    with pytest.raises(StorageError, match="19 MiB free, and 20 MiB are needed"):
        push_bundle(Device(transport), _files(tmp_path / "raws", 1, 4 << 20), "inputs")
    assert transport.moved < 100_000


@pytest.mark.parametrize("emptied", [["*.raw"], [".snpe-tools.sha256"], ["*.raw", ".snpe-tools.sha256"]])
def test_damage_on_the_device_is_noticed_after_a_restart(device: Device, tmp_path: Path, emptied: list[str]) -> None:
    """What a power cut leaves: files without their content."""
    files = _files(tmp_path / "raws")
    folder = push_bundle(device, files, "inputs").folder
    for pattern in emptied:
        next(file for file in Path(folder).rglob(pattern)).write_bytes(b"")
    (Path(folder) / ".snpe-tools.boot").write_text("another boot\n")
    assert push_bundle(device, files, "inputs").sent == 50 * 4608
    assert _content(folder) == _wanted(files)


def test_damage_on_the_way_is_noticed(device: Device, transport: FakeTransport, tmp_path: Path) -> None:
    (transport.folder / "bin").mkdir()
    tar = transport.folder / "bin" / "tar"
    tar.write_text('#!/bin/sh\nPATH=${PATH#*:} && tar "$@" && printf x >> "input ids\u2028/1\'s \\$(raw);.raw"\n')
    tar.chmod(0o755)
    files = _files(tmp_path / "raws")
    with pytest.raises(DeviceError, match=r"arrived damaged:\n.*1's \$\(raw\);\.raw: FAILED"):
        push_bundle(device, files, "inputs")
    tar.unlink()
    pushed = push_bundle(device, files, "inputs")
    assert pushed.sent == 4608
    assert _content(pushed.folder) == _wanted(files)


def test_a_device_without_a_tool_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("sh", "mkdir", "cat"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or name)
    device = Device(FakeTransport(tmp_path / "device", path=str(tmp_path / "bin")))
    with pytest.raises(DeviceError, match="sha256sum: not found") as caught:
        push_bundle(device, _files(tmp_path / "raws"), "inputs")
    assert "busybox" in caught.value.hint


def test_two_runs_at_once_push_once(tmp_path: Path) -> None:
    files = _files(tmp_path / "raws", 300)
    pushed: list[int] = []

    def push() -> None:
        pushed.append(push_bundle(Device(FakeTransport(tmp_path / "device")), files, "inputs").sent)

    threads = [threading.Thread(target=push) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(pushed) == [0, 0, 300 * 4608]


def test_two_machines_at_once_do_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = _files(tmp_path / "raws")
    folders = set()
    for machine in ("one", "two"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / machine))
        transport = FakeTransport(tmp_path / "device", Faults(drop_after=100_000))
        with pytest.raises(DeviceLostError):
            push_bundle(Device(transport), files, "inputs")
    assert len(list((tmp_path / "device/.cache/snpe-tools/staging").iterdir())) == 2
    for machine in ("one", "two"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / machine))
        folders.add(push_bundle(Device(FakeTransport(tmp_path / "device")), files, "inputs").folder)
    assert len(folders) == 1
    assert _content(folders.pop()) == _wanted(files)


class Named(FakeTransport):
    """One device under several names, as `adb:SERIAL` and `adb:HOST:PORT` are."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder)
        self._name = name

    @property
    def address(self) -> DeviceAddress:
        return DeviceAddress("fake", self._name)


def test_one_device_under_two_names_is_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second push begins and ends while the first is on its way."""
    files = _files(tmp_path / "raws")
    pushed: list[Pushed] = []

    def push(name: str) -> None:
        pushed.append(push_bundle(Device(Named(tmp_path / "device", name)), files, "inputs"))

    def send(device: Device, *given: Any) -> None:
        if str(device) == "fake:first":
            push("second")
        send_files(device, *given)

    monkeypatch.setattr("snpe_tools.devices.storage.bundle.send_files", send)
    push("first")
    assert len({one.folder for one in pushed}) == 1
    assert [one.sent for one in pushed] == [50 * 4608] * 2
    assert _content(pushed[0].folder) == _wanted(files)
    assert list((tmp_path / "device/.cache/snpe-tools/staging").iterdir()) == []


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a\nb", "a\\b", "x" * 300])
def test_names_that_lead_elsewhere_are_refused(device: Device, tmp_path: Path, name: str) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(UsageError, match="no name for a file on a device"):
        push_bundle(device, {name: tmp_path / "a"}, "inputs")
    with pytest.raises(UsageError, match="no kind of bundle"):
        push_bundle(device, {"a": tmp_path / "a"}, "../x")
    with pytest.raises(InputError, match="does not exist"):
        push_bundle(device, {"a": tmp_path / "none"}, "inputs")
    assert device.run(Script("ls")).output == ""
