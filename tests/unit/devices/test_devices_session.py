"""A whole run on a fake device, with a runtime that writes what a test wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from snpe_tools.core.dtypes import BY_CODE
from snpe_tools.core.errors import DeviceError
from snpe_tools.core.socs import DEFAULT
from snpe_tools.core.tensor_spec import Array, TensorSpec
from snpe_tools.devices import Device, session
from snpe_tools.devices.runtimes import OUTPUT, Call, DeviceJob, Fetched, Timing, raw_names, read_exact
from snpe_tools.devices.session import carry_out
from snpe_tools.devices.storage.bundle import push_bundle

pytestmark = pytest.mark.usefixtures("own_cache")

FLOAT = BY_CODE[0x232]
ASKED, OTHER = TensorSpec("asked", (1, 4), FLOAT), TensorSpec("other", (1, 4096), FLOAT)


class ShellRuntime:
    """A runtime that is a shell script."""

    label = "a script"
    versions: Mapping[str, str] = {}
    profile = ""
    emulated = True

    def __init__(self, script: Path) -> None:
        self.script = script

    def bundle(self) -> Mapping[str, Path]:
        return {"run": self.script}

    def call(self, task: DeviceJob, bundle: PurePosixPath, scratch: Path) -> Call:  # noqa: ARG002
        return Call({"model.dlc": task.dlc}, ["sh", str(bundle / "run")], {})

    def results(self, task: DeviceJob, fetched: Fetched, index: int) -> dict[str, Array]:
        folder = fetched.output / f"Result_{index}"
        data = {spec.name: read_exact(folder / f"{spec.name}.raw", spec, native=False) for spec in task.outputs}
        return {name: np.frombuffer(content, np.float32) for name, content in data.items()}

    def timing(self, task: DeviceJob, fetched: Fetched) -> Timing:  # noqa: ARG002 - a script says nothing of its speed
        return Timing()


@pytest.fixture
def device(device: Device, monkeypatch: pytest.MonkeyPatch) -> Device:
    """Little may be written there beside the outputs."""
    monkeypatch.setattr(session, "_SPARE", 1000)
    return device


def _run(device: Device, folder: Path, task: DeviceJob, script: str) -> dict[str, list[float]]:
    """What it wrote, by output."""
    (folder / "run").write_text(script)
    (folder / "scratch").mkdir()
    runtime = ShellRuntime(folder / "run")
    fetched, _ = carry_out(device, runtime, task, folder / "scratch", folder / "log")
    return {name: array.ravel().tolist() for name, array in runtime.results(task, fetched, 0).items()}


def _task(folder: Path, *all_outputs: TensorSpec) -> DeviceJob:
    (folder / "m.dlc").write_bytes(b"dlc")
    return DeviceJob(folder / "m.dlc", ["g"], [], [ASKED], [{}], DEFAULT, all_outputs)


WRITES_ALL = f"""mkdir {OUTPUT}/Result_0; cd {OUTPUT}/Result_0
head -c 16 /dev/zero >asked.raw; head -c 16384 /dev/zero >other.raw
"""


def test_a_runtime_may_write_outputs_that_nobody_asked_for(device: Device, tmp_path: Path) -> None:
    assert _run(device, tmp_path, _task(tmp_path, ASKED, OTHER), WRITES_ALL) == {"asked": [0.0] * 4}
    assert (tmp_path / "scratch" / OUTPUT / "Result_0" / "other.raw").stat().st_size == OTHER.nbytes()


def test_a_runtime_that_writes_more_than_its_graph_has_is_refused(device: Device, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="bytes"):
        _run(device, tmp_path, _task(tmp_path, ASKED), WRITES_ALL)


def test_a_debug_copy_goes_with_its_run(device: Device, tmp_path: Path) -> None:
    """It is read there as any DLC, and leaves neither a bundle nor a run's folder."""
    script = f"mkdir {OUTPUT}/Result_0; cat model.dlc > {OUTPUT}/Result_0/asked.raw; test ! -L model.dlc"
    task = replace(_task(tmp_path, ASKED), debug=True)
    task.dlc.write_bytes(np.arange(4, dtype=np.float32).tobytes())
    assert _run(device, tmp_path, task, script) == {"asked": [0, 1, 2, 3]}
    root = tmp_path / "device" / ".cache" / "snpe-tools"
    assert [folder.name.partition("-")[0] for folder in (root / "bundles").iterdir()] == ["runtime"]
    assert not [*(root / "runs").iterdir()]


def test_a_line_more_in_a_list_sends_that_line_only(device: Device, tmp_path: Path) -> None:
    raws = [tmp_path / f"{number}.raw" for number in range(6)]
    for number, file in enumerate(raws):
        file.write_bytes(bytes([number % 5]) * 1000)
    task = replace(_task(tmp_path), lines=[{"x": file} for file in raws[1:]])
    files, lines = raw_names(task)
    assert push_bundle(device, files, "inputs").sent == 5000
    more, longer = raw_names(replace(task, lines=[{"x": raws[2]}, {"x": raws[0]}, *task.lines]))
    assert longer[2:] == lines
    assert push_bundle(device, more, "inputs").sent == 0  # the last of them has the content of the one put first
    raws[0].write_bytes(b"new" * 100)
    more, _ = raw_names(replace(task, lines=[{"x": raws[0]}, *task.lines]))
    assert push_bundle(device, more, "inputs").sent == 300
