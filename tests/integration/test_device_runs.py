"""The whole way on devices: push, run the DLC, pull, compare with the host's emulator; and every way it can break."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import snpe_tools.dlc as dlc_format
from snpe_tools import prepare, run
from snpe_tools.core.errors import DeviceError, DeviceLostError, SetupError, StorageError, UsageError
from snpe_tools.core.raw_files import read_list
from snpe_tools.core.socs import BY_NAME
from snpe_tools.devices import Device, DeviceAddress
from snpe_tools.devices.runtimes import choosing
from snpe_tools.devices.runtimes.wheel import x86_libraries
from snpe_tools.devices.transports.fake import FakeTransport, Faults
from snpe_tools.execution.fleet import Fleet, FleetMember, look
from snpe_tools.execution.on_device import DeviceOptions, DeviceRun, run_connected, run_on_device
from snpe_tools.execution.results import read_results
from tests import device_double, sshd
from tests.adb_device import running
from tests.integration.conftest import Tiny

pytestmark = pytest.mark.usefixtures("own_cache")

WINDOWS = 3
NASTY = 'it\'s a "$(touch pwned)"; rm -rf x\n&'


@pytest.fixture(scope="module")
def model(tiny: Callable[[str, str], Tiny], tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Three windows of it."""
    made = tiny("bert", "fp16")
    folder = tmp_path_factory.mktemp("model") / "m"
    shutil.copytree(made.listed.parent, folder)
    lines = (folder / "list.txt").read_text().splitlines()[:WINDOWS]
    (folder / "list.txt").write_text("\n".join(lines) + "\n")
    shutil.copyfile(made.dlc, folder / "m.dlc")
    return Tiny(made.source, folder / "m.dlc", folder / "list.txt")


@pytest.fixture(scope="module")
def expected(model: Tiny, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """What the emulator computes on this machine."""
    folder = tmp_path_factory.mktemp("host") / "results"
    run(model.dlc, model.listed, folder)
    return results(model.dlc, folder)


def results(dlc: Path, folder: Path) -> dict[str, np.ndarray]:
    with dlc_format.open(dlc) as opened:
        shapes = {tensor.name: tensor.shape for tensor in opened.graph.outputs}
    return {name: read_results(folder, name, shape, WINDOWS) for name, shape in shapes.items()}


def assert_same(found: DeviceRun, dlc: Path, expected: dict[str, np.ndarray]) -> None:
    got = results(dlc, found.folder)
    assert got.keys() == expected.keys()
    for name, values in expected.items():
        assert np.array_equal(got[name], values), name


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A phone in a folder, and an SDK for it."""
    device_double.make_phone(tmp_path / "phone")
    with device_double.sdk_named(device_double.make_sdk(tmp_path / "sdk"), monkeypatch):
        yield f"fake:{tmp_path / 'phone'}"


@pytest.fixture
def board(tmp_path: Path) -> str:
    """A computer without an SDK: its libraries are those of the wheel."""
    return f"fake:{tmp_path / 'board'}"


def test_a_phone_computes_the_emulators_bits(
    phone: str, model: Tiny, expected: dict[str, np.ndarray], tmp_path: Path
) -> None:
    found = run_on_device(
        phone, model.dlc, model.listed, tmp_path / "results", options=DeviceOptions(profile="balanced")
    )
    assert_same(found, model.dlc, expected)
    record = json.loads((tmp_path / "results" / "run.json").read_text())
    assert record["soc"] == "sm8650"
    assert record["os"] == "android 15"
    assert record["runtime"] == "snpe-net-run of QAIRT 2.31.0.250130, HTP v75"
    assert record["profile"] == "balanced"
    assert "--perf_profile balanced" in found.log.read_text()
    assert not [*(tmp_path / "phone" / ".cache" / "snpe-tools" / "runs").iterdir()]
    again = run_on_device(phone, model.dlc, model.listed, tmp_path / "results")
    assert again.moved == 0
    assert again.pushed == found.pushed


def test_a_real_ssh_server(
    model: Tiny, expected: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = sshd.start(tmp_path / "sshd")
    monkeypatch.setenv("HOME", str(server.home))
    try:
        found = run_on_device(server.address, model.dlc, model.listed, tmp_path / "results")
    finally:
        server.stop()
    assert_same(found, model.dlc, expected)
    assert found.emulated
    assert len(found.timing.seconds) == WINDOWS


def test_a_real_adb(
    model: Tiny, expected: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = device_double.make_phone(tmp_path / "phone")
    sdk = device_double.make_sdk(tmp_path / "sdk")
    with running.own_server(tmp_path / "android", monkeypatch), device_double.sdk_named(sdk, monkeypatch):
        switched_on = running.start(home)
        try:
            found = run_on_device(switched_on.address, model.dlc, model.listed, tmp_path / "results")
        finally:
            switched_on.stop()
    assert_same(found, model.dlc, expected)
    assert found.facts.model == "A Phone"


def test_a_prepared_model_starts_from_its_cache(
    board: str, model: Tiny, expected: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(model.dlc, tmp_path / "p.dlc", [BY_NAME["sm8650"]])
    found = run_on_device(board, tmp_path / "p.dlc", model.listed, tmp_path / "results")
    assert found.timing.start == "cache"
    assert_same(found, model.dlc, expected)
    other = run_on_device(
        board, tmp_path / "p.dlc", model.listed, tmp_path / "r", options=DeviceOptions(soc=BY_NAME["sm8750"])
    )
    assert other.timing.start == "compiled"
    assert "has caches for sm8650, none for sm8750" in capsys.readouterr().err


def test_names_of_any_kind(board: str, model: Tiny, expected: dict[str, np.ndarray], tmp_path: Path) -> None:
    folder = tmp_path / NASTY
    shutil.copytree(model.listed.parent, folder)
    found = run_on_device(board, folder / "m.dlc", folder / "list.txt", tmp_path / f"out {NASTY}")
    assert_same(found, model.dlc, expected)
    assert not [*tmp_path.rglob("pwned")]
    assert not Path("pwned").exists()


def test_two_runs_at_once(board: str, model: Tiny, expected: dict[str, np.ndarray], tmp_path: Path) -> None:
    found: list[DeviceRun] = []

    def one(number: int) -> None:
        found.append(run_on_device(board, model.dlc, model.listed, tmp_path / f"results{number}"))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    for each in found:
        assert_same(each, model.dlc, expected)


LIES = {
    "missing": ("rm output/Result_1/start_logits.raw", r"wrote no Result_1/start_logits\.raw"),
    "short": (": > output/Result_2/end_logits.raw", r"Result_2/end_logits\.raw .* has 0 bytes"),
    "fewer": ("rm -r output/Result_2", "wrote 2 results for 3 inferences"),
    "more": ("cp -R output/Result_0 output/Result_3", "wrote 4 results for 3 inferences"),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_comes_back_is_looked_at(lie: str, model: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    after, words = LIES[lie]
    device_double.make_phone(tmp_path / "phone")
    sdk = device_double.make_sdk(tmp_path / "sdk", after=after)
    with device_double.sdk_named(sdk, monkeypatch), pytest.raises(DeviceError, match=words) as caught:
        run_on_device(f"fake:{tmp_path / 'phone'}", model.dlc, model.listed, tmp_path / "results")
    assert str(tmp_path / "results.log") in caught.value.hint
    assert not (tmp_path / "results").exists()


BREAKS = {
    "killed": (b"#!/bin/sh\necho one line\nkill -9 $$\n", "killed by SIGKILL: something killed it", "compiled cache"),
    "wrong processor": (device_double.elf_for_aarch64(), "for another processor", "uname -m"),
    "no loader": (b"#!/system/bin/none\n", "not on the device", "folder for this system"),
    "own words": (b"#!/bin/sh\necho error_code=15001 QnnBackend DeviceCreate INVALID_CONFIG\nexit 1\n",
                  "exit status 1: the libraries of this SDK do not know the SoC", "newer SDK"),
    "unknown": (b"#!/bin/sh\necho strange >&2\nexit 3\n", "exit status 3", "own words"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BREAKS)
def test_a_run_that_ends_badly_says_why(
    kind: str, model: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program, words, fix = BREAKS[kind]
    device_double.make_phone(tmp_path / "phone")
    sdk = device_double.make_sdk(tmp_path / "sdk", program=program)
    with device_double.sdk_named(sdk, monkeypatch), pytest.raises(DeviceError, match=words) as caught:
        run_on_device(f"fake:{tmp_path / 'phone'}", model.dlc, model.listed, tmp_path / "results")
    assert fix in caught.value.hint
    assert (tmp_path / "results.log").is_file()
    assert "what the run left is in" in capsys.readouterr().err
    assert len([*(tmp_path / "phone").rglob("runs/*")]) == 1


def test_a_skel_that_the_dsp_does_not_find(
    phone: str, model: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With colons in ADSP_LIBRARY_PATH the DSP finds nothing."""
    broken = "snpe_tools.devices.runtimes.net_run.libraries"
    monkeypatch.setattr(
        broken, lambda folder, **_: {"LD_LIBRARY_PATH": str(folder), "ADSP_LIBRARY_PATH": f"{folder}:/dsp"}
    )
    with pytest.raises(DeviceError, match="the DSP did not load its half") as caught:
        run_on_device(phone, model.dlc, model.listed, tmp_path / "results")
    assert "Transport layer setup failed: 14001" in str(caught.value)


def test_a_library_that_is_missing_there(
    board: str, model: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {name: file for name, file in x86_libraries().items() if not name.startswith("libc++abi")}
    monkeypatch.setattr(choosing, "x86_libraries", lambda: found)
    with pytest.raises(DeviceError, match="a library is missing on the device") as caught:
        run_on_device(board, model.dlc, model.listed, tmp_path / "results")
    assert "libc++abi" in str(caught.value)


def test_a_library_that_the_sdk_lacks(model: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device_double.make_phone(tmp_path / "phone", soc="SM8550")
    with (
        device_double.sdk_named(device_double.make_sdk(tmp_path / "sdk"), monkeypatch),
        pytest.raises(SetupError, match=r"has no lib/aarch64-android/libSnpeHtpV73Stub\.so"),
    ):
        run_on_device(f"fake:{tmp_path / 'phone'}", model.dlc, model.listed, tmp_path / "results")


def test_a_phone_needs_an_sdk(model: Tiny, tmp_path: Path) -> None:
    device_double.make_phone(tmp_path / "phone")
    with pytest.raises(SetupError, match="runtime for Android and HTP v75 is not on this machine") as caught:
        run_on_device(f"fake:{tmp_path / 'phone'}", model.dlc, model.listed, tmp_path / "results")
    assert "SNPE_ROOT" in caught.value.hint


def test_a_soc_that_the_device_has_not(phone: str, model: Tiny, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has a sm8650, and --soc says sm8550"):
        run_on_device(
            phone, model.dlc, model.listed, tmp_path / "results", options=DeviceOptions(soc=BY_NAME["sm8550"])
        )


@pytest.mark.parametrize("share", [0.1, 0.5, 0.995])
def test_a_cable_that_is_pulled(share: float, model: Tiny, expected: dict[str, np.ndarray], tmp_path: Path) -> None:
    """In push and in run; the next try sends only what is missing."""
    whole = FakeTransport(tmp_path / "whole")
    run_connected(Device(whole), model.dlc, read_list(model.listed), tmp_path / "first")
    cut = Device(FakeTransport(tmp_path / "cut", Faults(drop_after=int(share * whole.moved))), patience=2)
    with pytest.raises(DeviceLostError):
        run_connected(cut, model.dlc, read_list(model.listed), tmp_path / "results")
    assert not (tmp_path / "results").exists()
    mended = Device(FakeTransport(tmp_path / "cut"))
    found = run_connected(mended, model.dlc, read_list(model.listed), tmp_path / "results")
    assert_same(found, model.dlc, expected)
    assert found.moved < found.pushed


def test_a_device_that_is_full(model: Tiny, tmp_path: Path) -> None:
    full = Device(FakeTransport(tmp_path / "board", Faults(space=1 << 20)))
    with pytest.raises(StorageError, match="no space left on the device"):
        run_connected(full, model.dlc, read_list(model.listed), tmp_path / "results")


def test_a_run_that_hangs(model: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device_double.make_phone(tmp_path / "phone")
    sdk = device_double.make_sdk(tmp_path / "sdk", program=b"#!/bin/sh\necho begun\nsleep 600\n")
    with device_double.sdk_named(sdk, monkeypatch), pytest.raises(DeviceError, match="did not end within 2 seconds"):
        run_on_device(
            f"fake:{tmp_path / 'phone'}",
            model.dlc,
            model.listed,
            tmp_path / "results",
            options=DeviceOptions(timeout=2),
        )
    assert (tmp_path / "results.log").read_text() == "begun\n"


def test_a_run_that_is_interrupted(model: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while two devices run: both are let go at once, whatever they do."""
    program = f"#!/bin/sh\nmkdir '{tmp_path}/once' && kill -INT {os.getpid()}\nsleep 600\n".encode()
    sdk = device_double.make_sdk(tmp_path / "sdk", program=program)
    members = look([DeviceAddress("fake", str(device_double.make_phone(tmp_path / name))) for name in ("one", "two")])
    fleet = Fleet({str(member): DeviceOptions() for member in members})

    def job(member: FleetMember) -> Callable[[], DeviceRun]:
        return lambda: fleet.run(member, model.dlc, model.listed, tmp_path / member.address.target[-3:])

    with device_double.sdk_named(sdk, monkeypatch), pytest.raises(KeyboardInterrupt):
        fleet.at_once({str(member): job(member) for member in members})
    assert not fleet.runs
