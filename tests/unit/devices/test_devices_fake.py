"""A device over the shipped fake: commands, quoting, files, and lines that break."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpe_tools.core.errors import DeviceLostError, InputError, StorageError, UsageError
from snpe_tools.devices import Device, Script, connect
from snpe_tools.devices.transports.fake import FakeTransport, Faults


def _broken(tmp_path: Path, faults: Faults) -> Device:
    return Device(FakeTransport(tmp_path / "device", faults))


def test_a_command_has_its_output_and_its_exit_status(device: Device) -> None:
    lines: list[str] = []
    finished = device.run(Script("echo one; echo two >&2; printf three; exit 3"), on_line=lines.append)
    assert (finished.status, finished.output, finished.ending) == (3, "one\ntwo\nthree", "exit status 3")
    assert lines == ["one", "two", "three"]
    assert device.run(Script("kill -KILL $$")).ending == "killed by SIGKILL"
    assert device.run(["no-such-tool"]).status == 127
    assert device.run(Script("if then")).status == 2


def test_everything_goes_into_one_folder_of_the_device(device: Device, tmp_path: Path) -> None:
    assert device.root == f"{tmp_path}/device/.cache/snpe-tools"
    assert connect(f"fake:{tmp_path}", root="/elsewhere").root == "/elsewhere"


def test_folder_variables_and_input_reach_a_command(device: Device) -> None:
    assert device.run(["mkdir", "a b"]).status == 0
    finished = device.run(
        Script('pwd; echo "$LIBS"; cat'), folder="a b", environment={"LIBS": "/x;/y z"}, chunks=[b"in", b"put"]
    )
    assert finished.output.split("/a b\n")[1] == "/x;/y z\ninput"
    assert device.run(["true"], folder="missing").status == 1
    with pytest.raises(UsageError, match="no name of an environment variable"):
        device.run(["true"], environment={"A B": ""})


@given(
    st.lists(
        st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=20)
        | st.sampled_from(["$(touch bad)", "`touch bad`", "a; touch bad", "'", '"', "\n", "\\", "*", "~", "-n", ""]),
        min_size=1,
        max_size=5,
    )
)
def test_any_words_arrive_as_they_are(tmp_path_factory: pytest.TempPathFactory, words: list[str]) -> None:
    folder = tmp_path_factory.getbasetemp() / "words"
    with connect(f"fake:{folder}") as device:
        seen = bytearray()
        text = Script.of("printf '%s\\0' " + " ".join("{}" for _ in words), *words).text
        assert device.stream(text, sink=seen.extend, timeout=10) == 0
    assert seen == b"".join(word.encode() + b"\0" for word in words)
    assert list(folder.iterdir()) == []


def test_a_nul_is_refused() -> None:
    with pytest.raises(UsageError, match="NUL"):
        Script.of("echo {}", "a\0b")


def test_what_is_pushed_is_counted_and_whole(device: Device, transport: FakeTransport, tmp_path: Path) -> None:
    content = os.urandom(300_000)
    (tmp_path / "a").write_bytes(content)
    moved: list[int] = []

    def advance(count: int = 1, note: str = "") -> None:
        assert not note
        moved.append(count)

    device.push(tmp_path / "a", "it's; $(b)", advance)
    assert sum(moved) == len(content)
    assert (transport.folder / "it's; $(b)").read_bytes() == content


def test_a_push_that_broke_goes_on_where_it_stopped(tmp_path: Path) -> None:
    content = os.urandom(500_000)
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DeviceLostError, match="cable was pulled"):
        _broken(tmp_path, Faults(drop_after=200_000)).push(tmp_path / "a", "a")
    there = (tmp_path / "device" / "a").stat().st_size
    assert 0 < there < len(content)
    again = FakeTransport(tmp_path / "device")
    Device(again).push(tmp_path / "a", "a")
    assert (tmp_path / "device" / "a").read_bytes() == content
    assert again.moved < len(content) - there + 1000


def test_a_full_device_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(os.urandom(100_000))
    with pytest.raises(StorageError, match="no space left on the device"):
        _broken(tmp_path, Faults(space=10_240)).push(tmp_path / "a", "a")


def test_a_local_file_that_cannot_be_read_is_the_error(device: Device) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"a"
        raise InputError("It is gone.")

    with pytest.raises(InputError, match="It is gone"):
        device.run(["cat"], chunks=chunks())


def test_of_long_output_the_end_is_kept(device: Device) -> None:
    finished = device.run(Script("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"), keep=1000)
    assert finished.output.endswith("line 19999\n")
    assert len(finished.output) == 1000


def test_a_silent_device_is_a_lost_one(tmp_path: Path) -> None:
    with pytest.raises(DeviceLostError, match="has not answered"):
        Device(FakeTransport(tmp_path / "device", Faults(silent=True)), patience=0.2).run(["true"])
