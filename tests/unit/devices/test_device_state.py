"""How warm a device is, and how it is powered."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from snpe_tools.devices import Device
from snpe_tools.devices.state import DeviceState, parse_state, read_state


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(f"{text}\n")


def test_what_a_phone_tells(device: Device, tmp_path: Path) -> None:
    thermal, power = tmp_path / "sys" / "class" / "thermal", tmp_path / "sys" / "class" / "power_supply"
    write(thermal / "thermal_zone0", type="cpu-0-0", temp="55300")
    write(thermal / "thermal_zone1", type="nsphvx-0", temp="48000")
    write(thermal / "thermal_zone2", type="broken", temp="-273000")
    write(thermal / "thermal_zone3", type="silent")
    write(power / "usb", type="USB", status="Charging")
    write(power / "battery", type="Battery", capacity="81", status="Not charging")
    state = read_state(device, str(tmp_path / "sys"))
    assert state == DeviceState(55.3, {"nsphvx-0": 48.0}, 81, "Not charging", state.throttling)
    assert str(state).startswith("55 °C at its hottest, NPU 48 °C, battery 81 % (not charging)")


def test_a_device_that_tells_nothing(device: Device, tmp_path: Path) -> None:
    assert read_state(device, str(tmp_path / "none")).hottest is None
    assert str(DeviceState()) == "not told"


def test_androids_thermal_status() -> None:
    assert parse_state("throttling=3\nthrottling=9\n") == DeviceState(throttling=3)
    assert "thermal status 3" in str(parse_state("throttling=3"))


@given(st.text(max_size=200))
def test_any_answer_is_a_state(answer: str) -> None:
    state = parse_state(answer)
    assert state.hottest is None or -40 < state.hottest < 150
