"""How the SDK's programs are asked for many inner tensors: names, folders and caches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from snpe_tools.core.dtypes import BY_CODE
from snpe_tools.core.errors import UsageError
from snpe_tools.core.raw_files import read_list
from snpe_tools.core.socs import DEFAULT
from snpe_tools.core.tensor_spec import TensorSpec
from snpe_tools.devices.runtimes import DeviceJob
from snpe_tools.devices.runtimes.qnn import QnnNetRun
from snpe_tools.devices.runtimes.sdk import DeviceSdk
from snpe_tools.devices.runtimes.snpe import SnpeNetRun
from snpe_tools.devices.shell import command_text

FLOAT = BY_CODE[0x232]
BUNDLE = PurePosixPath("/data/local/tmp/bundle")
SDK = DeviceSdk(Path("sdk"), "QAIRT 2.31.0.250130", "aarch64-android", android=True)


def _task(folder: Path, **changes: Any) -> DeviceJob:
    (folder / "m.dlc").write_bytes(b"dlc")
    (folder / "x.raw").write_bytes(bytes(16))
    lines = [{"x": folder / "x.raw"}] * 2
    outputs = [TensorSpec("y", (1, 2), FLOAT)]
    made = DeviceJob(folder / "m.dlc", ["g"], [TensorSpec("x", (1, 4), FLOAT)], outputs, lines, DEFAULT)
    return replace(made, **changes)


def test_more_names_than_a_command_holds_go_into_the_list(tmp_path: Path) -> None:
    """With the folders that slashes in names stand for, of every inference, warm-up included."""
    outputs = [TensorSpec(f"/encoder/layer.{n}/MatMul_output_0", (1, 4), FLOAT) for n in range(1000)]
    runtime = SnpeNetRun(SDK, 75)
    call = runtime.call(_task(tmp_path, outputs=outputs, warm_up=1), BUNDLE, tmp_path)
    assert "--set_output_tensors" not in call.command
    assert len(command_text(call.command, environment=call.environment)) < 2000
    first, *lines = call.files["list.txt"].read_text().splitlines()
    assert first == "%" + " ".join(spec.name for spec in outputs)
    assert len(lines) == 3
    assert len(call.folders) == 3000
    assert call.folders[-1] == "output/Result_2/encoder/layer.999"
    assert read_list(call.files["list.txt"]).outputs == tuple(spec.name for spec in outputs)
    assert not runtime.call(_task(tmp_path, outputs=[TensorSpec("flat", (1,), FLOAT)]), BUNDLE, tmp_path).folders


def test_caches_that_lack_the_outputs_are_not_used(tmp_path: Path) -> None:
    runtime = SnpeNetRun(SDK, 75)
    found = runtime.call(_task(tmp_path, recompile=True), BUNDLE, tmp_path).command
    assert found[-2:] == ["--cache_compatibility_mode", "always_generate_new"]
    assert "--cache_compatibility_mode" not in runtime.call(_task(tmp_path), BUNDLE, tmp_path).command


@pytest.mark.parametrize(("name", "one", "other"), [("snpe", "a/b", "/a/b"), ("qnn", "a/b", "a:b")])
def test_two_tensors_for_one_file_are_refused(name: str, one: str, other: str, tmp_path: Path) -> None:
    runtime = QnnNetRun(SDK, 75) if name == "qnn" else SnpeNetRun(SDK, 75)
    outputs = [TensorSpec(one, (1,), FLOAT), TensorSpec(other, (1,), FLOAT)]
    with pytest.raises(UsageError, match=f"write the tensors '{one}' and '{other}' into one file"):
        runtime.call(_task(tmp_path, outputs=outputs), BUNDLE, tmp_path)
