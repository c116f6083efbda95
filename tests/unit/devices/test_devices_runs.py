"""Run folders, results read back, facts, and removing what is old, on a fake device."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpe_tools.core.errors import DeviceError, DeviceLostError, StorageError, UsageError
from snpe_tools.core.socs import BY_NAME
from snpe_tools.devices import Device, Script
from snpe_tools.devices.facts import Facts, parse_facts, read_facts
from snpe_tools.devices.shell import decimal
from snpe_tools.devices.storage.bundle import push_bundle
from snpe_tools.devices.storage.collect import collect
from snpe_tools.devices.storage.run_folder import run_folder
from snpe_tools.devices.storage.transfer import pull_folder
from snpe_tools.devices.transports.fake import FakeTransport, Faults
from tests.device_double import age

pytestmark = pytest.mark.usefixtures("own_cache")

HASH = "0" * 64


def _tool(transport: FakeTransport, name: str, body: str) -> None:
    file = transport.folder / "bin" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)


def test_a_run_has_a_folder_of_its_own_that_goes_when_it_succeeds(device: Device) -> None:
    with run_folder(device, needed=1000) as first, run_folder(device) as second:
        assert first != second
        assert device.run(["ls", first, second]).status == 0
    assert device.run(["ls", first]).status != 0


def test_a_failed_run_keeps_its_folder_and_names_it(device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), run_folder(device) as folder:
        device.check(Script.of("echo why > {}/log", folder))
        raise RuntimeError
    assert device.check(["cat", f"{folder}/log"]) == "why\n"
    assert folder in capsys.readouterr().err


def test_a_run_that_does_not_fit_is_refused(device: Device) -> None:
    with pytest.raises(StorageError, match="MiB are needed"), run_folder(device, needed=1 << 60):
        pass


def test_results_are_read_back(device: Device, tmp_path: Path) -> None:
    written = {f"Result_{number}/a b;'$(x).raw": os.urandom(100 + number) for number in range(20)} | {"empty": b""}
    for name, content in written.items():
        file = tmp_path / "device" / "out" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    names = pull_folder(device, f"{tmp_path}/device/out", tmp_path / "results", limit=10_000)
    assert names == sorted(written)
    assert {name: (tmp_path / "results" / name).read_bytes() for name in names} == written
    with pytest.raises(DeviceError, match="at most 100 were expected"):
        pull_folder(device, f"{tmp_path}/device/out", tmp_path / "more", limit=100)
    with pytest.raises(DeviceError, match="none"):
        pull_folder(device, f"{tmp_path}/device/none", tmp_path / "more", limit=100)
    assert not (tmp_path / "more").exists()


def test_a_pull_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "device" / "out").mkdir(parents=True)
    (tmp_path / "device" / "out" / "a").write_bytes(os.urandom(500_000))
    device = Device(FakeTransport(tmp_path / "device", Faults(drop_after=200_000)))
    with pytest.raises(DeviceLostError):
        pull_folder(device, "out", tmp_path / "results", limit=10**6)
    assert [entry.name for entry in tmp_path.iterdir()] == ["device"]


def test_links_are_not_followed(device: Device, tmp_path: Path) -> None:
    (tmp_path / "device" / "out").mkdir()
    (tmp_path / "device" / "out" / "link").symlink_to("/etc/passwd")
    assert pull_folder(device, "out", tmp_path / "results", limit=100) == []


@pytest.mark.parametrize("name", ["../evil", "/abs/evil", "a/../../evil", "a\\b", ".snpe-tools.x"])
def test_names_that_lead_elsewhere_are_refused(transport: FakeTransport, tmp_path: Path, name: str) -> None:
    """A device whose `find` lies."""
    _tool(transport, "find", f"case \"$*\" in *stat*) echo '3 {name}';; *) echo '{HASH}  {name}';; esac")
    with pytest.raises(DeviceError, match="unusual names"):
        pull_folder(Device(transport), ".", tmp_path / "results", limit=100)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        (("-1", "3"), "no numbers"),
        (("3", "x"), "no numbers"),
        (("", "3"), "no numbers"),
        (("3", "٣"), "no numbers"),
        (("3", "9" * 5000), "no numbers"),
        (("9" * 18, "3"), "at most 100 were expected"),
    ],
)
def test_sizes_that_are_none_are_refused(
    transport: FakeTransport, tmp_path: Path, sizes: tuple[str, str], words: str
) -> None:
    """A device whose `find` lies about sizes."""
    lines = "".join(f"{size} ./{name}\\n" for size, name in zip(sizes, "ab", strict=True))
    _tool(
        transport,
        "find",
        f"case \"$*\" in *stat*) printf -- '{lines}';; *) printf '{HASH}  ./a\\n{HASH}  ./b\\n';; esac",
    )
    _tool(transport, "cat", "echo abcdef")
    with pytest.raises(DeviceError, match=words):
        pull_folder(Device(transport), ".", tmp_path / "results", limit=100)
    assert not (tmp_path / "results").exists()


def test_a_file_that_is_a_folder_too_is_refused(transport: FakeTransport, tmp_path: Path) -> None:
    hashes = f"{HASH}  ./a\\n{HASH}  ./a/b/c\\n"
    _tool(transport, "find", f"case \"$*\" in *stat*) printf '0 ./a\\n0 ./a/b/c\\n';; *) printf '{hashes}';; esac")
    with pytest.raises(DeviceError, match="unusual names"):
        pull_folder(Device(transport), ".", tmp_path / "results", limit=100)


@pytest.mark.parametrize("answer", ["9" * 5000, "٣", "-1", "1 2", ""])
def test_a_size_that_is_none_is_refused(transport: FakeTransport, tmp_path: Path, answer: str) -> None:
    (tmp_path / "local").write_bytes(b"xyz")
    (transport.folder / "a").write_bytes(b"xy")
    _tool(transport, "wc", f"echo '{answer}'")
    with pytest.raises(DeviceError, match="the size of a was answered with"):
        Device(transport).push(tmp_path / "local", "a")


@given(st.text() | st.from_regex(r"[0-9]{1,30}", fullmatch=True))
def test_a_number_is_read_or_refused(text: str) -> None:
    number = decimal(text)
    assert number is None or (0 <= number < 2**63 and f"{number:0{len(text)}}" == text)
    assert decimal(str(2**59)) == 2**59


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ("abcxyz0", "another SHA-256"),
        ("xyzabc0", "more than was asked"),
        ("xyzab", "did not arrive"),
        ("", "did not arrive"),
    ],
)
def test_other_bytes_than_those_listed_are_refused(
    transport: FakeTransport, tmp_path: Path, sent: str, words: str
) -> None:
    """A device whose `cat` sends what it likes."""
    (transport.folder / "out").mkdir()
    (transport.folder / "out" / "a").write_bytes(b"xyz")
    (transport.folder / "out" / "b").write_bytes(b"abc")
    _tool(transport, "cat", f"printf %s '{sent}'")
    with pytest.raises(DeviceError, match=words):
        pull_folder(Device(transport), "out", tmp_path / "results", limit=100)
    assert not (tmp_path / "results").exists()


def test_what_is_old_goes_and_what_is_needed_stays(device: Device, tmp_path: Path) -> None:
    names = []
    for number in range(3):
        (tmp_path / "file").write_text(str(number))
        names.append(push_bundle(device, {"file": tmp_path / "file"}, "dlc").name)
    root = tmp_path / "device" / ".cache" / "snpe-tools"
    with run_folder(device, uses=[names[0]]):
        assert collect(device).folders == ()
        for bundle in (root / "bundles").iterdir():
            age(bundle)
        assert collect(device, keep=[names[1]]).folders == (f"bundles/{names[2]}",)
    age(root / "bundles")
    collected = collect(device)
    assert collected.folders == tuple(sorted(f"bundles/{name}" for name in names[:2]))
    assert collected.freed > 0
    assert collect(device).folders == ()
    with pytest.raises(UsageError, match="too few"):
        collect(device, idle=1)


def test_an_old_run_no_longer_holds_its_bundles(device: Device, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    name = push_bundle(device, {"file": tmp_path / "file"}, "dlc").name
    with pytest.raises(RuntimeError), run_folder(device, uses=[name]) as run:
        raise RuntimeError
    for folder in (Path(run), tmp_path / "device/.cache/snpe-tools/bundles" / name):
        age(folder)
    assert len(collect(device).folders) == 2


def test_what_several_runs_need_stays(device: Device, tmp_path: Path) -> None:
    names = []
    for number in range(5):
        (tmp_path / "file").write_text(str(number))
        names.append(push_bundle(device, {"file": tmp_path / "file"}, "dlc").name)
    with run_folder(device, uses=names[:2]), run_folder(device, uses=names[2:4]):
        age(tmp_path / "device/.cache/snpe-tools/bundles")
        assert collect(device).folders == (f"bundles/{names[4]}",)


def test_nothing_is_old_where_find_knows_no_ages(transport: FakeTransport, tmp_path: Path) -> None:
    folder = tmp_path / "device/.cache/snpe-tools/bundles/dlc-1"
    folder.mkdir(parents=True)
    age(folder)
    _tool(transport, "find", "echo 'find: unknown -mmin' >&2; exit 1")
    assert collect(Device(transport)).folders == ()
    assert folder.is_dir()


@pytest.mark.parametrize("kind", ["runs", "staging"])
def test_what_is_still_written_stays(device: Device, tmp_path: Path, kind: str) -> None:
    """A run that lasts writes only below `output`, and a long push into one file."""
    folder = tmp_path / "device/.cache/snpe-tools" / kind / "lasts"
    (folder / "output").mkdir(parents=True)
    file = folder / "output" / "0.raw"
    file.write_bytes(b"old")
    age(folder)
    with file.open("ab") as stream:
        stream.write(b"new")
    assert collect(device).folders == ()
    age(folder)
    assert collect(device).folders == (f"{kind}/lasts",)


def test_a_phone_tells_what_it_is(transport: FakeTransport) -> None:
    props = {"ro.soc.model": "SM8650-AC", "ro.product.model": "A Phone", "ro.build.version.release": "14"}
    cases = " ".join(f"{name}) echo '{value}';;" for name, value in props.items())
    _tool(transport, "getprop", f'case "$1" in {cases} *) echo arm64-v8a;; esac')
    facts = read_facts(Device(transport))
    assert (facts.system, facts.release, facts.model) == ("android", "14", "A Phone")
    assert (facts.soc_name, facts.soc) == ("SM8650-AC", BY_NAME["sm8650"])
    assert facts.machine == os.uname().machine
    assert facts.free > 0
    assert facts.missing_tools == ()


def test_a_board_tells_what_it_is(device: Device) -> None:
    facts = read_facts(device)
    assert (facts.system, facts.soc) == ("linux", None)
    answer = "machine=aarch64\ncompatible=qcom,rb3gen2 qcom,qcm6490\ndf= /dev/x 100 50 50 50% /"
    board = parse_facts(device, answer)
    assert (board.soc_name, board.soc, board.free) == ("qcm6490", BY_NAME["qcs6490"], 51200)
    assert "tar" in board.missing_tools


@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_whatever_a_device_answers_is_facts_or_an_error(tmp_path_factory: pytest.TempPathFactory, answer: str) -> None:
    device = Device(FakeTransport(tmp_path_factory.getbasetemp() / "any"))
    for text in (answer, f"machine=aarch64\n{answer}\ndf= /dev/x 100 50 50 50% /", f"machine={answer}\ndf={answer}"):
        try:
            facts = parse_facts(device, text)
        except DeviceError:
            continue
        assert isinstance(facts, Facts)
        assert (facts.model + facts.soc_name + facts.release + facts.kernel).isascii()
