"""The tools of other systems: toybox and mksh as on Android, busybox as on small boards, instead of GNU's."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from snpe_tools.core.errors import DeviceError
from snpe_tools.devices import Device, Script
from snpe_tools.devices.facts import read_facts
from snpe_tools.devices.storage.bundle import push_bundle
from snpe_tools.devices.storage.collect import collect
from snpe_tools.devices.storage.run_folder import run_folder
from snpe_tools.devices.storage.transfer import pull_folder
from snpe_tools.devices.transports.fake import FakeTransport
from tests.device_double import age


@pytest.fixture(params=[("toybox", "mksh"), ("busybox", "busybox")], ids=["toybox", "busybox"])
def device(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    """A device that has nothing but one box of tools and a shell."""
    box, shell = (shutil.which(name) for name in request.param)
    if not box or not shell:
        pytest.skip(f"{' or '.join(request.param)} is missing: apt install toybox mksh busybox-static")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "tools").mkdir()
    listed = subprocess.run(
        [box, "--list"] if request.param[0] == "busybox" else [box], capture_output=True, text=True, check=True
    )
    for tool in {*listed.stdout.split(), request.param[0]} - {"sh"}:
        (tmp_path / "tools" / tool).symlink_to(box)
    (tmp_path / "tools" / "sh").symlink_to(shell)
    return Device(FakeTransport(tmp_path / "device", path=str(tmp_path / "tools")))


def test_everything_works_with_these_tools(device: Device, tmp_path: Path) -> None:
    (tmp_path / "raws").mkdir()
    files = {f"a b/it's; $(x) {number}.raw": tmp_path / "raws" / str(number) for number in range(20)}
    for file in files.values():
        file.write_bytes(os.urandom(4608))
    files["large"] = tmp_path / "large"
    files["large"].write_bytes(os.urandom(9_000_000))
    files["large"].chmod(0o755)
    first = push_bundle(device, files, "inputs")
    assert push_bundle(device, files, "inputs").sent == 0
    files["a b/it's; $(x) 3.raw"].write_bytes(b"changed")
    second = push_bundle(device, files, "inputs")
    assert second.sent == len(b"changed")
    assert device.run(["test", "-x", f"{second.folder}/large"]).status == 0
    with run_folder(device, needed=1000, uses=[first.name]) as folder:
        device.check(Script.of("cp -R {} {}/out && rm {}/out/.s*", second.folder, folder, folder))
        assert pull_folder(device, f"{folder}/out", tmp_path / "back", limit=10_000_000) == sorted(files)
        for bundle in Path(first.folder).parent.iterdir():
            age(bundle)
        assert collect(device).folders == (f"bundles/{second.name}",)
    assert all((tmp_path / "back" / name).read_bytes() == file.read_bytes() for name, file in files.items())


def test_damage_is_noticed_with_these_tools(device: Device, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"whole")
    folder = Path(push_bundle(device, {"a": tmp_path / "a"}, "dlc").folder)
    (folder / "a").write_bytes(b"halve")
    (folder / ".snpe-tools.boot").write_text("another boot\n")
    assert push_bundle(device, {"a": tmp_path / "a"}, "dlc").sent == 5
    assert (folder / "a").read_bytes() == b"whole"
    with pytest.raises(DeviceError):
        pull_folder(device, "none", tmp_path / "back", limit=10)


def test_facts_are_read_with_these_tools(device: Device) -> None:
    facts = read_facts(device)
    assert facts.missing_tools == ()
    assert facts.free > 0
