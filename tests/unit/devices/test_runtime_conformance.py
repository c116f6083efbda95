"""Our runtimes pass the suite that ships."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from snpe_tools.board.main import RECORD
from snpe_tools.core.tensor_spec import Array
from snpe_tools.devices.runtimes import DeviceJob, Runtime
from snpe_tools.devices.runtimes.board import BoardRunner, pack_runner
from snpe_tools.devices.runtimes.native import NativeRunner
from snpe_tools.devices.runtimes.qnn import QnnNetRun
from snpe_tools.devices.runtimes.sdk import DeviceSdk, find_device_sdk
from snpe_tools.devices.runtimes.snpe import SnpeNetRun
from snpe_tools.testing import RuntimeSuite
from tests import device_double

_QNN = ("libQnnHtp.so", "libQnnModelDlc.so", "libQnnHtpPrepare.so", "libQnnSystem.so", "libQnnHtpV75Stub.so")


@pytest.fixture
def sdk(tmp_path: Path) -> DeviceSdk:
    root = device_double.make_sdk(tmp_path / "sdk", device_double.ANDROID)
    return find_device_sdk(root, android=True, machine="aarch64")


class NetRunSuite(RuntimeSuite):
    """Both net-run programs write `Result_<n>/<file>`, those of a warm-up first."""

    result: str

    def leave(self, job: DeviceJob, output: Path, values: Sequence[Mapping[str, Array]]) -> str:
        listed = [values[0]] * job.warm_up + list(values) * job.repeat
        for index, outputs in enumerate(listed):
            for array in outputs.values():
                file = output / f"Result_{index}" / self.result
                file.parent.mkdir(parents=True)
                file.write_bytes(array.tobytes())
        return "Processing DNN input(s):\n"


class TestSnpeNetRun(NetRunSuite):
    result = "out/z:0.raw"

    @pytest.fixture
    def runtime(self, sdk: DeviceSdk) -> Runtime:
        return SnpeNetRun(sdk, 75)


class TestQnnNetRun(NetRunSuite):
    result = "out_z_0.raw"

    @pytest.fixture
    def runtime(self, sdk: DeviceSdk, tmp_path: Path) -> Runtime:
        programs = tmp_path / "sdk" / "bin" / device_double.ANDROID
        (programs / "snpe-net-run").rename(programs / "qnn-net-run")
        for name in _QNN:
            (tmp_path / "sdk" / "lib" / device_double.ANDROID / name).write_text("double")
        (tmp_path / "sdk" / "lib" / "hexagon-v75" / "unsigned" / "libQnnHtpV75Skel.so").write_text("double")
        return QnnNetRun(sdk, 75)


class BoardSuite(RuntimeSuite):
    """Our runners number their files, and write a record."""

    def leave(self, job: DeviceJob, output: Path, values: Sequence[Mapping[str, Array]]) -> str:
        for index, outputs in enumerate(values):
            (output / f"Result_{index}").mkdir()
            for number, spec in enumerate(job.outputs):
                (output / f"Result_{index}" / f"{number}.raw").write_bytes(spec.to_native(outputs[spec.name]).tobytes())
        record = {"token": job.token, "seconds": [0.001] * len(job.lines), "init": 0.5, "start": "compiled"}
        (output / RECORD).write_text(json.dumps(record))
        return "done 0\n"


class TestBoardRunner(BoardSuite):
    @pytest.fixture
    def runtime(self, tmp_path: Path) -> Runtime:
        return BoardRunner({}, pack_runner(tmp_path / "runner.pyz"))


class TestNativeRunner(BoardSuite):
    @pytest.fixture
    def runtime(self, tmp_path: Path) -> Runtime:
        (tmp_path / "runner").write_bytes(b"double")
        return NativeRunner({}, tmp_path / "runner", android=True, sdk="QAIRT 2.31.0.250130")
