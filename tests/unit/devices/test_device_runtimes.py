"""What is put on a device, and how a run is asked for there."""

from __future__ import annotations

import hashlib
import math
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpe_tools.board.job import BoardJob
from snpe_tools.core.dtypes import BY_CODE
from snpe_tools.core.errors import ExecutionError, SetupError, UsageError
from snpe_tools.core.socs import BY_NAME, DEFAULT
from snpe_tools.core.tensor_spec import TensorSpec
from snpe_tools.devices.facts import Facts
from snpe_tools.devices.runtimes import DeviceJob, Fetched, Timing, libraries
from snpe_tools.devices.runtimes.board import BoardRunner
from snpe_tools.devices.runtimes.choosing import MissingRuntimeError, choose_runtime, choose_soc
from snpe_tools.devices.runtimes.diagnostics import parse_table
from snpe_tools.devices.runtimes.native import NativeRunner, job_text
from snpe_tools.devices.runtimes.net_run import PROFILES as NET_RUN_PROFILES
from snpe_tools.devices.runtimes.qnn import QnnNetRun
from snpe_tools.devices.runtimes.sdk import find_device_sdk, named_sdk
from snpe_tools.devices.runtimes.snpe import SnpeNetRun
from snpe_tools.devices.runtimes.wheel import unpack
from snpe_tools.devices.transports.address import DeviceAddress, Targets, parse_targets
from snpe_tools.execution.on_device import without_newer_cache
from snpe_tools.qnn.power import PROFILES
from snpe_tools.steps.bench import percentile
from tests import device_double

FLOAT = BY_CODE[0x232]
PHONE = Facts("android", "aarch64", "Linux", "15", "A Phone", "SM8650", BY_NAME["sm8650"], 1 << 33)
BOARD = replace(PHONE, system="linux", release="Ubuntu 22.04", soc_name="qcs6490", soc=BY_NAME["qcs6490"],
                tools=frozenset({"python3"}))  # fmt: skip
COMPUTER = replace(BOARD, machine="x86_64", soc_name="", soc=None)
BUNDLE = PurePosixPath("/data/local/tmp/a b")
RAWS = [f"raws/{hashlib.sha256(np.full(4, n, np.float32).tobytes()).hexdigest()[:32]}.raw" for n in range(3)]


def task(folder: Path, **changes: Any) -> DeviceJob:
    raws = [folder / f"{number}.raw" for number in range(3)]
    for number, file in enumerate(raws):
        file.write_bytes(np.full(4, number, np.float32).tobytes())
    (folder / "m.dlc").write_bytes(b"dlc")
    inputs = [TensorSpec("x/a:0", (1, 4), FLOAT), TensorSpec("y", (1, 4), FLOAT)]
    lines = [{"x/a:0": raws[0], "y": raws[1]}, {"x/a:0": raws[0], "y": raws[2]}]
    made = DeviceJob(folder / "m.dlc", ["g"], inputs, [TensorSpec("out/z:0", (1, 2), FLOAT)], lines, DEFAULT)
    return replace(made, **changes)


@pytest.fixture
def sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "sdk"
    for target in (device_double.ANDROID, device_double.UBUNTU, device_double.YOCTO, "aarch64-oe-linux-gcc8.2"):
        device_double.make_sdk(root, target)
    with device_double.sdk_named(root, monkeypatch):
        yield root


def test_the_dsps_path_has_semicolons() -> None:
    found = libraries(BUNDLE, system=("/dsp",))
    assert found == {"LD_LIBRARY_PATH": "/data/local/tmp/a b", "ADSP_LIBRARY_PATH": "/data/local/tmp/a b;/dsp"}


def test_snpe_net_run_is_asked_for_by_its_own_flags(sdk: Path, tmp_path: Path) -> None:
    runtime = choose_runtime(PHONE, DEFAULT, tmp_path)
    assert isinstance(runtime, SnpeNetRun)
    assert set(runtime.bundle()) == {"snpe-net-run", "libSNPE.so", "libSnpeHtpV75Stub.so", "libSnpeHtpV75Skel.so"}
    call = runtime.call(task(tmp_path, warm_up=1, repeat=2), BUNDLE, tmp_path)
    assert " ".join(call.command[1:]) == (
        "--container model.dlc --input_list list.txt --output_dir output --use_dsp --perf_profile burst "
        "--set_output_tensors out/z:0"
    )
    assert call.command[0] == "/data/local/tmp/a b/snpe-net-run"
    zero, first, second = RAWS
    one, other = f"x/a:0:={zero} y:={first}", f"x/a:0:={zero} y:={second}"
    assert call.files["list.txt"].read_text().splitlines() == [one, one, other, one, other]
    assert set(call.files) == {"model.dlc", "list.txt", *RAWS}
    native = runtime.call(task(tmp_path, native=True), BUNDLE, tmp_path)
    assert native.command[-2:] == ["--userbuffer_auto", "--use_native_input_files"]
    with pytest.raises(UsageError, match="Unknown performance profile 'fast'"):
        runtime.call(task(tmp_path, profile="fast"), BUNDLE, tmp_path)
    assert sdk.is_dir()


def test_snpe_results_are_found_under_their_folders(sdk: Path, tmp_path: Path) -> None:
    runtime = choose_runtime(PHONE, DEFAULT, tmp_path)
    file = tmp_path / "output" / "Result_1" / "out" / "z:0.raw"
    file.parent.mkdir(parents=True)
    file.write_bytes(np.array([1, 2], np.float32).tobytes())
    found = runtime.results(task(tmp_path), Fetched(tmp_path / "output"), 1)
    assert found["out/z:0"].tolist() == [[1, 2]]
    file.unlink()
    file.symlink_to("/etc/hostname")
    with pytest.raises(ExecutionError, match="wrote no out/z:0"):
        runtime.results(task(tmp_path), Fetched(tmp_path / "output"), 1)
    assert sdk.is_dir()


@pytest.mark.parametrize("name", ["a b", "a,b", "a:=b", "a\nb"])
def test_a_name_that_no_list_can_hold(name: str, sdk: Path, tmp_path: Path) -> None:
    runtime = choose_runtime(PHONE, DEFAULT, tmp_path)
    with pytest.raises(UsageError, match="cannot name the tensor"):
        runtime.call(task(tmp_path, outputs=[TensorSpec(name, (1,), FLOAT)]), BUNDLE, tmp_path)
    assert sdk.is_dir()


def test_qnn_net_run_speaks_the_librarys_names(sdk: Path, tmp_path: Path) -> None:
    """For SDKs without `snpe-net-run`, or when it is asked for."""
    place = sdk / "bin" / device_double.ANDROID
    (place / "snpe-net-run").rename(place / "qnn-net-run")
    runtime = choose_runtime(PHONE, DEFAULT, tmp_path)
    assert isinstance(runtime, QnnNetRun)
    with pytest.raises(SetupError, match=r"has no lib/aarch64-android/libQnnHtp\.so"):
        runtime.bundle()
    call = runtime.call(task(tmp_path, profile="balanced"), BUNDLE, tmp_path)
    assert call.command[1:7] == [
        "--model", "/data/local/tmp/a b/libQnnModelDlc.so", "--dlc_path", "model.dlc",
        "--backend", "/data/local/tmp/a b/libQnnHtp.so",
    ]  # fmt: skip
    assert call.files["list.txt"].read_text().splitlines()[0] == f"x_a_0:={RAWS[0]} y:={RAWS[1]}"
    (tmp_path / "output" / "Result_0").mkdir(parents=True)
    (tmp_path / "output" / "Result_0" / "out_z_0.raw").write_bytes(np.array([1, 2], np.float32).tobytes())
    assert runtime.results(task(tmp_path), Fetched(tmp_path / "output"), 0)["out/z:0"].tolist() == [[1, 2]]


def test_each_system_gets_its_own_build(sdk: Path) -> None:
    assert named_sdk(android=True, arch=75) == sdk
    assert find_device_sdk(sdk, android=True, machine="aarch64").target == "aarch64-android"
    assert find_device_sdk(sdk, android=False, machine="aarch64", system="Ubuntu 22.04").target == device_double.UBUNTU
    assert find_device_sdk(sdk, android=False, machine="aarch64", system="Poky").target == device_double.YOCTO
    with pytest.raises(SetupError, match="no programs for Linux on armv7l"):
        find_device_sdk(sdk, android=False, machine="armv7l")
    (sdk / "bin" / device_double.ANDROID / "snpe-net-run").chmod(0o644)
    with pytest.raises(SetupError, match="is not executable"):
        find_device_sdk(sdk, android=True, machine="aarch64").program("snpe-net-run")


def test_which_runtime_a_device_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def fetched(arch: int) -> dict[str, Path]:
        asked.append(arch)
        return {}

    monkeypatch.setattr("snpe_tools.devices.runtimes.choosing.arm_libraries", fetched)
    monkeypatch.setattr("snpe_tools.devices.runtimes.choosing.program", Path)
    with pytest.raises(MissingRuntimeError, match="runtime for Android and HTP v75 is not on this machine") as caught:
        choose_runtime(PHONE, DEFAULT, tmp_path)
    assert "snpe-tools sdk fetch --for android --soc sm8650" in caught.value.hint
    with pytest.raises(UsageError, match="for Linux"):
        choose_runtime(PHONE, DEFAULT, tmp_path, "board")
    with pytest.raises(UsageError, match="Unknown runtime 'x'"):
        choose_runtime(PHONE, DEFAULT, tmp_path, "x")
    with pytest.raises(SetupError, match="no libraries for Linux on riscv64"):
        choose_runtime(replace(BOARD, machine="riscv64"), DEFAULT, tmp_path)
    board = choose_runtime(BOARD, BY_NAME["qcs6490"], tmp_path)
    assert isinstance(board, BoardRunner)
    assert not board.emulated
    assert board.needs_python
    assert asked == [68]
    assert choose_runtime(COMPUTER, DEFAULT, tmp_path).emulated


def test_a_board_without_python_gets_the_native_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snpe_tools.devices.runtimes.choosing.arm_libraries", lambda _arch: {})
    monkeypatch.setattr("snpe_tools.devices.runtimes.choosing.program", Path)
    bare = replace(BOARD, tools=frozenset())
    for facts, name in ((bare, ""), (BOARD, "native"), (COMPUTER, "native")):
        chosen = choose_runtime(facts, DEFAULT, tmp_path, name)
        assert isinstance(chosen, NativeRunner)
        assert not chosen.needs_python
        assert chosen.runner == Path(f"{facts.machine}-linux")
        assert chosen.emulated == (facts == COMPUTER)
    with pytest.raises(SetupError, match="no native runner for Android on x86_64"):
        choose_runtime(replace(PHONE, machine="x86_64"), DEFAULT, tmp_path, "native")


def test_a_phone_gets_the_native_runner_with_the_sdks_libraries(
    sdk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snpe_tools.devices.runtimes.choosing.program", Path)
    names = ["libQnnHtp.so", "libQnnSystem.so", "libQnnHtpV75Stub.so", "libQnnHtpPrepare.so"]
    for file in (f"{device_double.ANDROID}/{name}" for name in names):
        (sdk / "lib" / file).write_text("double")
    (sdk / "lib" / "hexagon-v75" / "unsigned" / "libQnnHtpV75Skel.so").write_text("double")
    runtime = choose_runtime(PHONE, DEFAULT, tmp_path, "native")
    assert runtime.bundle().keys() == {*names, "libQnnHtpV75Skel.so", "snpe-tools-runner"}
    assert runtime.label == "snpe-tools native runner, HTP, QAIRT 2.31.0.250130"
    call = runtime.call(task(tmp_path, profile="burst", warm_up=1, cache=(64, 100)), BUNDLE, tmp_path)
    assert call.command == ["/data/local/tmp/a b/snpe-tools-runner", "job.txt", "/data/local/tmp/a b"]
    assert "/system/lib/rfsa/adsp" in call.environment["ADSP_LIBRARY_PATH"]
    assert call.files["job.txt"].read_text().splitlines() == [
        "snpe-tools job 1", "dlc\tmodel.dlc", "folder\toutput", "token\t", "warm-up\t1", "repeat\t1", "graph\tg",
        "cache\t64\t100", "profile\tburst", "corner\t160", "latency\t40", "scaling\t0", "poll\t9999",
        "input\t16\tx_a_0", "input\t16\ty", "output\t8\tout_z_0", *(f"file\t{RAWS[n]}" for n in (0, 1, 0, 2)),
    ]  # fmt: skip


def test_an_htp_that_cannot_poll_is_not_asked_to(tmp_path: Path) -> None:
    board = BoardRunner({}, tmp_path)
    old = board.job(task(tmp_path, profile="burst", soc=BY_NAME["qcs6490"]), tmp_path)[0]
    assert old.power == (0xA0, 40, 0, 0)
    assert board.job(task(tmp_path), tmp_path)[0].power is None
    with pytest.raises(UsageError, match="Unknown performance profile 'fast'"):
        board.job(task(tmp_path, profile="fast"), tmp_path)
    assert set(PROFILES) == set(NET_RUN_PROFILES)


def test_names_that_a_job_cannot_hold() -> None:
    with pytest.raises(UsageError, match="cannot be told of the name"):
        job_text(BoardJob("m.dlc", ["a\tb"], None, None, [], [], []))


def test_which_soc_is_meant() -> None:
    sm8550 = BY_NAME["sm8550"]
    assert choose_soc(PHONE, None, fallback=DEFAULT) == BY_NAME["sm8650"]
    assert choose_soc(COMPUTER, sm8550, fallback=DEFAULT) == sm8550
    assert choose_soc(COMPUTER, None, fallback=DEFAULT) == DEFAULT
    assert choose_soc(replace(PHONE, soc=None), sm8550, fallback=DEFAULT) == sm8550
    with pytest.raises(UsageError, match="calls its SoC 'SM8650', which is not a known one"):
        choose_soc(replace(PHONE, soc=None), None, fallback=DEFAULT)


def test_the_table_of_the_diagnostics_reader() -> None:
    text = "0,Init,us,443264\n1,Avg_Total_Inference_Time,us,13567\n1,Init,us,9\n2,Text,us,none\nshort\n3,,us,4\n"
    assert parse_table(text) == pytest.approx({"init": 0.443264, "avg_total_inference_time": 0.013567})


@given(st.text())
def test_any_text_may_stand_there(text: str) -> None:
    assert all(isinstance(value, float) for value in parse_table(text.replace("\0", "")).values())


def test_percentiles_are_of_real_runs() -> None:
    timing = Timing(seconds=tuple(number / 1000 for number in range(1, 101)))
    assert (percentile(timing, 50), percentile(timing, 90), percentile(timing, 99)) == (50, 90, 99)
    assert math.isnan(percentile(replace(timing, seconds=timing.seconds[:99]), 99))
    assert math.isnan(percentile(Timing(), 50))


def test_where_a_dlc_runs() -> None:
    assert parse_targets("host") == Targets()
    phone, board = DeviceAddress.parse("adb:A"), DeviceAddress.parse("ssh://u@b")
    assert parse_targets("host, adb:A") == Targets(host=True, devices=(phone,))
    assert parse_targets("adb:A,ssh://u@b") == Targets(host=False, devices=(phone, board))
    with pytest.raises(UsageError, match="'moon' is no device address"):
        parse_targets("host,moon")
    with pytest.raises(UsageError, match="No device"):
        parse_targets("")


def test_only_libraries_leave_a_wheel(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.whl", "w") as archive:
        for name in ("onnxruntime_qnn/libQnnHtp.so", "../../libQnnSystem.so", "/etc/libQnnHtpV75Skel.so", "a/evil.sh"):
            archive.writestr(name, name)
    (tmp_path / "out").mkdir()
    unpack(tmp_path / "w.whl", tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "libQnnHtp.so", "libQnnSystem.so", "libQnnHtpV75Skel.so",
    }  # fmt: skip
    (tmp_path / "w.whl").write_bytes(b"no wheel")
    with pytest.raises(SetupError, match="is damaged"):
        unpack(tmp_path / "w.whl", tmp_path / "out")


@pytest.mark.parametrize(
    ("built_by", "kept"),
    [("v2.31.0.250130120001_111", True), ("v2.30.1.1", True), ("", True), ("v2.51.0.260929181845", False)],
)
def test_a_cache_of_a_newer_compiler_is_left_out(
    sdk: Path, tmp_path: Path, built_by: str, kept: bool, caplog: pytest.LogCaptureFixture
) -> None:
    assert sdk.is_dir()
    runtime = choose_runtime(PHONE, DEFAULT, tmp_path)
    job = task(tmp_path, cache=(64, 100), cache_by=built_by)
    found = without_newer_cache(job, runtime)
    assert (found == job) == kept
    if not kept:
        assert (found.cache, found.recompile) == (None, True)
        assert "of QAIRT 2.51, which QAIRT 2.31.0.250130 refuses" in caplog.text
        assert "always_generate_new" in runtime.call(found, BUNDLE, tmp_path).command
