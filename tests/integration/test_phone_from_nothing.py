"""A phone on a machine without an SDK: what is missing is said, fetched from a web server, and F1 comes out."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from snpe_tools.cli.main import app
from snpe_tools.core.errors import SetupError
from snpe_tools.toolchains.sdk_store import installed, store
from snpe_tools.toolchains.sdk_store.fetching import fetch
from tests import device_double
from tests.adb_device import running
from tests.sdk_server import VERSION, Behaviour, make_archive, serving

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(autouse=True)
def _no_sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.HOME_VARIABLE, str(tmp_path / "sdk"))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Behaviour]:
    """Has the SDK as a zip: what the doubles of it consist of, and what a phone does not need."""
    tree = device_double.make_sdk(tmp_path / "tree")
    (tree / "sdk.yaml").write_text(f"version: {VERSION}\n")
    (tree / "lib" / "x86_64-linux-clang").mkdir()
    (tree / "lib" / "x86_64-linux-clang" / "libLarge.so").write_bytes(os.urandom(1_000_000))
    files = {str(file.relative_to(tree)): file.read_bytes() for file in sorted(tree.rglob("*")) if file.is_file()}
    told = Behaviour(make_archive(tmp_path / "sdk.zip", files))
    with serving(told) as url:
        monkeypatch.setenv("SNPE_SDK_URL", url)
        yield told


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with running.own_server(tmp_path / "android", monkeypatch):
        device_double.make_phone(tmp_path / "phone")
        switched_on = running.start(tmp_path / "phone")
        yield switched_on.address
        switched_on.stop()


@pytest.fixture
def score(tmp_path: Path, checkpoint: Callable[[str], Path]) -> Callable[..., Result]:
    recipe = ("--checkpoint", checkpoint("bert"), "--seq", 48, "--precision", "w8a16", "--windows", 8)
    common = ("--root", tmp_path / "root", "--model", "tiny", "--questions", 2, "--max-drop", 100, "--json")

    def asked(*more: object) -> Result:
        return CliRunner().invoke(app, [str(word) for word in ("score", *common, *recipe, *more)])

    return asked


def test_from_nothing_to_the_f1_of_a_phone(
    score: Callable[..., Result], phone: str, server: Behaviour, tmp_path: Path
) -> None:
    refused = score("--device", phone)
    assert isinstance(refused.exception, SetupError)
    assert "Qualcomm's runtime for Android and HTP v75 is not on this machine" in refused.stderr
    assert "snpe-tools sdk fetch --for android --soc sm8650" in str(refused.exception)
    assert not (tmp_path / "root" / "Models").exists()
    assert not server.requests

    done = score("--device", phone, "--fetch")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["stages"][-1]["stage"] == f"dlc-w8a16@{phone}"
    (made,) = document["devices"]
    assert made["runtime"] == f"snpe-net-run of QAIRT {VERSION}, HTP v75"
    assert "Qualcomm_AI_Runtime_Community" in done.stderr
    assert "refuses" not in done.stderr
    (fetched,) = installed()
    assert (fetched.targets, fetched.archs) == (("android",), (75,))
    assert server.sent < len(server.data) // 2


def test_devices_and_the_doctor_say_what_to_fetch(server: Behaviour, tmp_path: Path) -> None:
    device_double.make_phone(tmp_path / "phone")
    address = f"fake:{tmp_path / 'phone'}"
    listed = CliRunner().invoke(app, ["devices", address, "--json"])
    (found,) = json.loads(listed.stdout)
    advice = {one["name"]: one["advice"] for one in found["findings"]}
    assert not found["ready"]
    assert "sdk fetch --for android --soc sm8650" in advice["runtime"]
    fetch(archs={75})
    (found,) = json.loads(CliRunner().invoke(app, ["devices", address, "--json"]).stdout)
    assert found["ready"]
    assert server.sent


def test_make_passes_it_on() -> None:
    command = ["make", "-n", "device", "DEVICE=adb", "FETCH=1", "RUNTIME=native"]
    shown = subprocess.run(command, cwd=device_double.ROOT, capture_output=True, text=True, check=True).stdout
    assert "--device 'adb'" in shown
    assert "--runtime 'native'" in shown
    assert "--fetch" in shown
